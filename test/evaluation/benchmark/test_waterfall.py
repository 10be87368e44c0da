"""benchmarks/waterfall.py: a row for each technique, which keeps what those above it brought."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

pytest.importorskip("matplotlib", reason="the extra benchmark is not installed")

REPOSITORY = Path(__file__).parents[3]


def test_a_waterfall_starts_at_the_reference_and_ends_at_our_way(tmp_path):
    command = [
        sys.executable, "benchmarks/waterfall.py", "--variant", "yolact_light", "--input-size",
        "96", "--instances", "40", "--rounds", "3", "--threads", "1", "--output", str(tmp_path),
        "--plot", str(tmp_path / "plot.png"),
    ]  # fmt: skip
    result = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=240)
    assert result.returncode == 0, result.stdout + result.stderr
    steps = json.loads((tmp_path / "waterfall.json").read_text())["steps"]
    assert steps[0]["name"].startswith("reference")
    assert "masks in their boxes" in steps[-1]["name"]
    assert all(step["whole"]["count"] == 3 for step in steps)
    # Forty full-frame float masks cost ten times as much as forty in their boxes.
    naive, fast = (steps[index]["parts"]["postprocessing"]["min_ms"] for index in (0, -1))
    assert fast < naive
    assert cv2.imread(str(tmp_path / "plot.png")).std() > 5
