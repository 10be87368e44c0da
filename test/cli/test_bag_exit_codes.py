"""CI tells a worse model from bags that could not be read."""

from __future__ import annotations

from pathlib import Path

import pytest
from bag_samples import TRUTH_TOPIC, image_messages, truth_messages, write_bag

from yolact_ros.cli.main import main


@pytest.mark.parametrize(
    ("names", "limits", "expected"),
    [
        (["drive"], [], 0),
        (["drive"], ["--min-map", "101"], 1),
        (["drive", "none"], [], 3),
        (["drive", "none"], ["--min-map", "101"], 1),
        (["drive", "none"], ["--min-map", "0"], 3),
        (["none"], [], 2),
    ],
)
def test_exit_codes_of_bag_evaluate(
    tiny_model: Path, tmp_path: Path, names: list[str], limits: list[str], expected: int
) -> None:
    write_bag(tmp_path / "drive", image_messages(3) + truth_messages(3))
    bags = [str(tmp_path / name) for name in names]
    options = ["--model", str(tiny_model), "--device", "cpu", "--output", str(tmp_path / "out")]
    truth = ["--truth", TRUTH_TOPIC, "--classes", "all"]
    assert main(["bag", "evaluate", *bags, *truth, *options, *limits]) == expected
