"""``yolact benchmark --ros`` and the live budget: a node measured over real DDS."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not here")

from ros_processes import REPOSITORY

from yolact_ros.cli.main import main
from yolact_ros.evaluation.benchmark.live_record import find_untruths, read_records

pytestmark = pytest.mark.usefixtures("reserved_domains")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    noise = np.random.default_rng(0)
    for index in range(3):
        pixels = noise.integers(0, 256, (48, 64, 3), np.uint8)
        cv2.imwrite(str(folder / f"{index}.png"), pixels)
    return folder


def test_a_node_is_measured_with_both_profiles(
    tiny_model: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        "benchmark", "--ros", "--model", str(tiny_model), "--device", "cpu", "--runtimes", "eager",
        "--sizes", "160x120", "--rate", "10", "--duration", "2", "--images", str(pictures),
        "--score-threshold", "0", "--top-k", "2", "--budget", "20000", "--output", str(tmp_path),
    ]  # fmt: skip
    assert main(arguments) == 0
    text = capsys.readouterr().out
    assert "| 160x120 | " in text
    values = json.loads((tmp_path / "ros.json").read_text())
    assert [result["profile"] for result in values["results"]] == ["default", "shipped"]
    for result in values["results"]:
        assert result["results"] >= 2
        assert 0 < result["frames_received"] <= result["frames_sent"] <= 20
        assert result["node_ms"][0] <= result["latency_ms"][0]
        assert result["node_cpu_percent"] > 0
        assert result["untruths"] == []
        records = read_records(tmp_path / f"160x120_{result['profile']}" / "records.jsonl")
        assert len(records) == result["results"]
        assert {(record.instances, record.masks) for record in records} == {(2, 2)}


def test_a_variant_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    arguments = ["benchmark", "--ros", "--variant", "yolact_light", "--output", str(tmp_path)]
    assert main(arguments) == 2
    assert "needs a --model" in capsys.readouterr().err


def test_under_a_load_that_comes_and_goes_every_message_tells_the_truth(
    tiny_model: Path, pictures: Path, tmp_path: Path
) -> None:
    command = [
        sys.executable, "benchmarks/budget_live.py", "--model", str(tiny_model),
        "--runtime", "eager", "--sizes", "128", "96", "64", "--budget", "12", "--rate", "20",
        "--seconds", "1", "2", "1", "--load-processes", "2", "--source", str(pictures),
        "--output", str(tmp_path), "--plot", str(tmp_path / "plot.png"),
        "--node-prefix", "nice -n 1", "-p", "score_threshold:=0.0", "-p", "top_k:=8",
    ]  # fmt: skip
    result = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=240)
    assert result.returncode == 0, result.stdout + result.stderr
    runs = json.loads((tmp_path / "budget_live.json").read_text())["runs"]
    assert list(runs) == ["without a budget", "with the budget", "budget, nice -n 1"]
    for name, run in runs.items():
        assert run["untruths"] == []
        messages = run["messages"]
        assert len(messages) >= 5
        accounted = len(messages) + sum(message["frames_dropped"] for message in messages)
        # Those dropped after the last result have no message to say so.
        assert 0 <= run["frames_received"] - accounted <= 2
        assert run["load_begun_ns"] < run["load_ended_ns"]
        budget_ms = 0.0 if name == "without a budget" else 12.0
        assert {m["budget_ms"] for m in messages} == {budget_ms}
        for message in messages:
            late = budget_ms > 0 and message["total_ms"] > budget_ms
            assert message["deadline_met"] == (not late)
            assert bool(message["degradation"] & 1) == (message["input_size"] < 128)
    assert {m["degradation"] for m in runs["without a budget"]["messages"]} == {0}
    records = read_records(tmp_path / "records.jsonl")
    assert find_untruths(records, best_input_px=128) == []
    assert cv2.imread(str(tmp_path / "plot.png")).std() > 5
