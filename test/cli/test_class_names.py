"""Weights of other programs through the commands: named, shown and made into one file."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from yolact_ros.cli.main import main
from yolact_ros.models.checkpoint import load_checkpoint


@pytest.fixture
def parts(tiny_model: Path, tmp_path: Path) -> Path:
    """The tiny model as another program writes it: its classes have no names."""
    path = tmp_path / "yolact_base_parts_10_500.pth"
    torch.save({"state_dict": load_checkpoint(tiny_model).state_dict, "epoch": 3}, path)
    return path


@pytest.fixture
def names(parts: Path, tmp_path: Path) -> Path:
    path = tmp_path / "names.yaml"
    count = load_checkpoint(parts).config.num_classes
    path.write_text("names:\n" + "".join(f"- part {index}\n" for index in range(count)))
    return path


def test_results_carry_the_names_that_the_user_gave(
    parts: Path, names: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = tmp_path / "photo.png"
    cv2.imwrite(str(photo), np.random.default_rng(5).integers(0, 255, (72, 96, 3), np.uint8))
    command = ["predict", str(photo), "--model", str(parts), "--class-names", str(names)]
    options = ["--output", str(tmp_path / "out"), "--score-threshold", "0", "--input-size", "64"]
    assert main([*command, *options]) == 0
    captured = capsys.readouterr()
    assert "part " in captured.out
    assert "holds a yolact_light" in captured.err
    assert "brings no class names" not in captured.err
    categories = json.loads((tmp_path / "out" / "images.json").read_text())["categories"]
    assert [row["name"] for row in categories][:2] == ["part 0", "part 1"]


def test_names_that_nobody_gave_are_told_once_with_the_cure(
    parts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "show", str(parts)]) == 0
    captured = capsys.readouterr()
    assert captured.err.count("brings no class names, so they are class_0") == 1
    assert "entries that are not of the network are ignored: epoch" in captured.err
    rows = dict(line.split(maxsplit=1) for line in captured.out.splitlines())
    assert rows["network"].startswith("yolact_light (efficientnet_lite0), ")
    assert rows["prototypes"] == "k = 4"
    assert "names from  nowhere" in captured.out


def test_converted_weights_are_complete_in_one_file(
    parts: Path, names: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "complete.safetensors"
    convert = ["convert", "weights", str(parts), "--class-names", str(names), "--input-size", "64"]
    assert main([*convert, "--output", str(output)]) == 0
    assert "(part 0, part 1" in capsys.readouterr().out
    complete = load_checkpoint(output)
    assert complete.config.class_names[:2] == ("part 0", "part 1")
    assert complete.config.input_size_px == 64
    assert (complete.names_from, complete.remarks) == ("the file itself", ())
    original = load_checkpoint(parts).state_dict
    assert all(torch.equal(value, original[key]) for key, value in complete.state_dict.items())
    assert main(["convert", "weights", str(output), "--output", str(output)]) == 2
    assert "is the file that is read" in capsys.readouterr().err


def test_a_wrong_number_of_names_is_one_line(
    parts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "show", str(parts), "--class-names", "bolt"]) == 2
    error = capsys.readouterr().err
    assert "the list of class names has 1 name (bolt), but" in error
    assert error.count("\n") == 1
