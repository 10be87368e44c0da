"""``yolact quantize``: the int8 network and its cost, through the command line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from yolact_ros.cli.main import main
from yolact_ros.inference.predictor import Predictor
from yolact_ros.inference.runtimes import openvino as openvino_runtime
from yolact_ros.inference.runtimes.selection import default_engine_folder, open_runtime
from yolact_ros.models import Yolact
from yolact_ros.models.checkpoint import load_network

pytest.importorskip("openvino", reason="the extra openvino is not installed")


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Engines of this test alone, made without NNCF: what it gives is test_int8's matter.

    What it leaves in float runs in fp32 on every CPU, so that it equals the float network.
    """
    monkeypatch.setenv("YOLACT_ROS_CACHE", str(tmp_path / "cache"))

    def keep_float(converted: object, model: Yolact, images: Sequence[Path]) -> object:
        return converted

    monkeypatch.setattr(openvino_runtime, "_quantize", keep_float)
    monkeypatch.setattr(openvino_runtime, "fastest_float", lambda device: "fp32")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    noise = np.random.default_rng(5)
    for index in range(3):
        image = noise.integers(0, 256, (12, 16, 3), np.uint8)
        large = cv2.resize(image, (80, 60), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / f"{index}.png"), large)
    return folder


@pytest.fixture
def annotations(photos: Path, tiny_model: Path, tmp_path: Path) -> Path:
    """What the float network finds in the photographs, as if it were the truth."""
    pytest.importorskip("pycocotools")
    predictor = Predictor.load(tiny_model, runtime="eager")
    images, rows = [], []
    for number in range(3):
        prediction = predictor.predict(cv2.imread(str(photos / f"{number}.png")))
        image = {"id": number, "file_name": f"{number}.png", "height": 60, "width": 80}
        images.append(image)
        for x_min, y_min, x_max, y_max in prediction.boxes_xyxy[:2].tolist():
            corners = [x_min, y_min, x_max, y_min, x_max, y_max, x_min, y_max]
            rows.append(
                {
                    "id": len(rows) + 1, "image_id": number, "category_id": 1, "iscrowd": 0,
                    "bbox": [x_min, y_min, x_max - x_min, y_max - y_min],
                    "area": (x_max - x_min) * (y_max - y_min), "segmentation": [corners],
                }
            )  # fmt: skip
    truth = {
        "images": images,
        "annotations": rows,
        "categories": [{"id": 1, "name": "person"}],
    }
    path = tmp_path / "annotations.json"
    path.write_text(json.dumps(truth))
    return path


def test_with_annotations_the_change_of_ap_is_printed_and_kept_for_the_node(
    tiny_model: Path,
    photos: Path,
    annotations: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    report = tmp_path / "report.json"
    options = ["--images", photos, "--annotations", annotations, "--json", report]
    assert main(["quantize", str(tiny_model), *map(str, options)]) == 0
    output = capsys.readouterr().out
    assert "int8 from 3 images" in output
    (line,) = (line for line in output.splitlines() if "mask AP" in line)
    assert "on 3 images" in line
    (row,) = json.loads(report.read_text())
    # What was not really quantised loses nothing.
    assert row["cost"]["mask_ap"] == row["cost"]["int8_mask_ap"]
    assert row["cost"]["box_ap"] == row["cost"]["int8_box_ap"] > 0.0
    assert row["calibration_images"] == 3

    runtime = open_runtime(
        "openvino",
        load_network(tiny_model),
        device=torch.device("cpu"),
        precision="int8",
        cache_folder=default_engine_folder(),
    )
    assert "int8 calibrated on 3 images, mask AP" in runtime.describe()["reason"]


def test_without_annotations_the_agreement_is_printed_for_every_size(
    tiny_model: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--images", str(photos), "--input-size", "64", "96"]
    assert main(["quantize", str(tiny_model), *options]) == 0
    output = capsys.readouterr().out
    for size in (64, 96):
        assert f"at {size} px: int8 from 3 images" in output
    assert output.count("instances found again") == 2
    assert "100% of" in output
    assert output.count("needs annotated images: --annotations FILE") == 2


def test_annotations_of_other_images_are_refused_before_quantising(
    tiny_model: Path,
    photos: Path,
    annotations: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(openvino_runtime, "_quantize", None)
    (photos / "1.png").rename(photos / "other.png")
    options = ["--images", str(photos), "--annotations", str(annotations)]
    assert main(["quantize", str(tiny_model), *options]) == 2
    assert "1 of 3 images are not there: 1.png" in capsys.readouterr().err


def test_an_empty_folder_is_named(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["quantize", str(tiny_model), "--images", str(tmp_path / "none")]) == 2
    assert "does not exist or is not a folder" in capsys.readouterr().err
