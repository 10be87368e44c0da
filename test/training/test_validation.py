from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from yolact_ros.config import YolactConfig
from yolact_ros.models import Yolact, build_network
from yolact_ros.ops.packing import pack_bits
from yolact_ros.prediction import Prediction
from yolact_ros.structures import MaskCrop
from yolact_ros.training import validation
from yolact_ros.training.annotations import DataSource, ImageRecord, read_source
from yolact_ros.training.sample import load_sample
from yolact_ros.training.validation import PictureWriter, Validator

NAMES = ("disc", "box")


class Oracle:
    """Predicts the truth of its records in turn, and a disc of the whole image after it."""

    records: tuple[ImageRecord, ...] = ()

    def __init__(self, network: Yolact, **options: object) -> None:
        del network, options
        self._next = iter(self.records)

    def predict(self, image: np.ndarray) -> Prediction:
        sample = load_sample(next(self._next))
        height, width = image.shape[:2]
        crops = [
            MaskCrop(m.x_px, m.y_px, m.pixels.shape[1], m.pixels.shape[0], pack_bits(m.pixels))
            for m in sample.masks
        ]
        crops.append(MaskCrop(0, 0, width, height, pack_bits(np.ones((height, width), bool))))
        boxes = np.concatenate([sample.boxes_xyxy, [[0, 0, width, height]]]).astype(np.float32)
        scores = np.array([0.9] * len(sample.masks) + [0.95], np.float32)
        ids = np.append(sample.class_ids, 0)
        return Prediction(height, width, ids, scores, boxes, tuple(crops))

    def close(self) -> None:
        pass


@pytest.fixture
def records(shapes: DataSource) -> list[ImageRecord]:
    return read_source(shapes, NAMES)[0]


def score(
    records: list[ImageRecord], config: YolactConfig, monkeypatch: pytest.MonkeyPatch
) -> dict[str, float]:
    monkeypatch.setattr(Oracle, "records", tuple(records))
    monkeypatch.setattr(validation, "Predictor", Oracle)
    return Validator(records, NAMES)(build_network(config), 0)


def test_right_detections_score_one_and_wrong_ones_cost(
    records: list[ImageRecord], tiny_config: YolactConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = score(records, tiny_config, monkeypatch)
    assert values["mask_ap_box"] == pytest.approx(1)
    assert values["mask_ap_disc"] == pytest.approx(0.5, abs=0.05)  # a false disc above every one
    assert values["mask_ap"] == pytest.approx((values["mask_ap_box"] + values["mask_ap_disc"]) / 2)


def test_detections_of_unlabelled_classes_do_not_count(
    shapes: DataSource, tiny_config: YolactConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    records, _ = read_source(replace(shapes, labels_only=("box",)), NAMES)
    values = score(records, tiny_config, monkeypatch)
    assert values["mask_ap"] == pytest.approx(1)
    assert "mask_ap_disc" not in values


def test_a_real_network_can_be_validated(
    records: list[ImageRecord], tiny_config: YolactConfig
) -> None:
    values = Validator(records[:2], NAMES)(build_network(tiny_config).eval(), 5)
    assert 0 <= values["mask_ap"] <= 1
    assert {"mask_ap", "mask_ap50", "box_ap"} <= set(values)


def test_pictures_of_the_same_images_are_written_at_every_step(
    records: list[ImageRecord], tiny_config: YolactConfig, tmp_path: Path
) -> None:
    records = [replace(records[0], objects=()), *records[1:3]]
    writer = PictureWriter(tmp_path, records)
    network = build_network(tiny_config).eval()
    for step in (10, 20):
        writer.write(network, step)
    written = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.jpg"))
    assert written == [f"{n}/{step:07d}.jpg" for n in ("001", "002") for step in (10, 20)]
    assert cv2.imread(str(tmp_path / written[0])).shape == (72, 96, 3)
