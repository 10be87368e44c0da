"""What `import yolact_ros` gives, and that the notebook runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import yolact_ros

NOTEBOOK = Path(__file__).parents[1] / "examples" / "python" / "predictions.ipynb"


@pytest.mark.parametrize("name", yolact_ros.__all__)
def test_every_exported_name_is_there(name: str) -> None:
    assert getattr(yolact_ros, name).__name__ == name
    assert name in dir(yolact_ros)


def test_a_name_that_is_not_exported_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Yolo'"):
        yolact_ros.Yolo  # noqa: B018


def test_importing_the_package_imports_no_torch() -> None:
    program = "import sys, yolact_ros; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


def test_the_notebook_runs_from_top_to_bottom(tmp_path: Path) -> None:
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    # Measuring runtimes is no part of it.
    code = code.replace('load("bundled")', 'load("bundled", runtime="eager")')
    environment = {"MPLBACKEND": "Agg", "YOLACT_ROS_CACHE": str(tmp_path)}
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )
    assert result.returncode == 0, result.stderr
    assert "Instance(person 0." in result.stdout
