from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from coco_shapes import write_coco

from yolact_ros.cli.main import main
from yolact_ros.models.checkpoint import load_checkpoint
from yolact_ros.training.state import load_state

TINY = {
    "network": {
        "variant": "yolact_light",
        "input_size_px": 64,
        "num_prototypes": 4,
        "fpn_channels": 8,
        "proto_channels": 8,
    },
    "data": [{"images": "shapes/images", "annotations": "shapes/labels.json", "holdout": 0.4}],
    "start_from": "nothing",
    "steps": 2,
    "batch_size": 2,
    "workers": 0,
    "log_every": 1,
    "checkpoint_every": 1,
    "validate_every": 1,
    "pictures_every": 2,
    "device": "cpu",
}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    write_coco(tmp_path / "shapes")
    path = tmp_path / "train.yaml"
    path.write_text(json.dumps(TINY))
    return path


def test_a_coco_folder_becomes_a_network_with_tables_and_pictures(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", str(config), "--seed", "5"]) == 0
    run = config.parent / "run"
    assert load_checkpoint(run / "best.safetensors").config.class_names == ("disc", "box")
    assert (
        load_checkpoint(run / "last.safetensors").metadata["model_card"]["results"]["steps"] == 2
    )
    with (run / "validation.csv").open(newline="") as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["1", "2"]
    assert list((run / "pictures").rglob("*.jpg"))
    assert json.loads((run / "settings.json").read_text())["seed"] == 5
    output = capsys.readouterr().out
    assert "training   labels: " in output
    assert "step 2/2" in output
    assert f"exported {run / 'best.safetensors'}" in output


def test_resume_goes_on_to_more_steps(config: Path) -> None:
    assert main(["train", str(config)]) == 0
    assert main(["train", str(config), "--resume", "--steps", "3"]) == 0
    assert load_state(config.parent / "run" / "state.pt")["step"] == 3


def test_a_new_run_does_not_overwrite_another(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", str(config)]) == 0
    state = (config.parent / "run" / "state.pt").read_bytes()
    assert main(["train", str(config), "--seed", "7"]) == 2
    assert "run holds a training run: go on with it (--resume)" in capsys.readouterr().err
    assert (config.parent / "run" / "state.pt").read_bytes() == state


def test_a_device_that_is_not_there_is_named(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", str(config), "--device", "cuda:99"]) == 2
    assert 'the device "cuda:99" cannot be used here' in capsys.readouterr().err


def test_check_reports_defects_by_its_exit_code(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", str(config), "--check"]) == 0
    (config.parent / "shapes/images/003.png").unlink()
    assert main(["train", str(config), "--check"]) == 1
    assert "missing image file" in capsys.readouterr().out
    assert not (config.parent / "run").exists()


def test_strict_stops_before_training(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (config.parent / "shapes/images/003.png").unlink()
    assert main(["train", str(config), "--strict"]) == 2
    assert "the data have defects" in capsys.readouterr().err


def test_flags_alone_are_enough(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_coco(tmp_path / "shapes")
    images, labels = tmp_path / "shapes/images", tmp_path / "shapes/labels.json"
    flags = ["--images", str(images), "--annotations", str(labels), "--check"]
    assert main(["train", *flags, "--classes", "box", "--holdout", "0.5"]) == 0
    output = capsys.readouterr().out
    assert "validation labels: " in output
    assert "disc" not in output


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "no training data"),
        (["--images", "photos"], "needs its images folder and its annotations file"),
    ],
)
def test_missing_data_is_one_line(
    flags: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", *flags]) == 2
    assert message in capsys.readouterr().err


def test_fine_tuning_other_classes_says_what_starts_anew(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", str(config)]) == 0
    first = config.parent / "run/last.safetensors"
    values = {**TINY, "start_from": str(first), "network": {"class_names": ["box"]}, "output": "b"}
    config.write_text(json.dumps(values))
    assert main(["train", str(config)]) == 0
    tuned = load_checkpoint(config.parent / "b/last.safetensors").config
    assert tuned.class_names == ("box",)
    assert tuned.fpn_channels == 8  # of the weights it started from
    output = capsys.readouterr().out
    assert "its 2 classes are not the 1 of this run" in output
    assert "prediction_layers.0.conf_layer" in output
