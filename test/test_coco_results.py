"""COCO results from predictions."""

from __future__ import annotations

import numpy as np
import pytest

from yolact_ros.prediction import Prediction
from yolact_ros.structures import MaskCrop

mask_utils = pytest.importorskip("pycocotools.mask")


def crop_of(full: np.ndarray, x: int, y: int, width: int, height: int) -> MaskCrop:
    return MaskCrop(x, y, width, height, np.packbits(full[y : y + height, x : x + width]))


def predicted(full: np.ndarray, *crops: MaskCrop) -> Prediction:
    count = len(crops)
    return Prediction(
        *full.shape,
        class_ids=np.arange(count),
        scores=np.linspace(0.9, 0.5, count, dtype=np.float32),
        boxes_xyxy=np.array([[1.25, 2.5, 31.0, 42.125]] * count, np.float32),
        mask_crops=crops,
    )


def test_a_mask_crop_becomes_the_same_mask_in_the_whole_image():
    full = np.zeros((47, 61), bool)
    full[5:40, 9:31] = np.random.default_rng(3).random((35, 22)) > 0.5
    prediction = predicted(
        full, crop_of(full, 9, 5, 22, 35), MaskCrop(0, 0, 0, 0, np.zeros(0, np.uint8))
    )
    first, empty = prediction.to_coco(4, [17, 18])
    assert np.array_equal(mask_utils.decode(first["segmentation"]), full)
    assert first["segmentation"]["size"] == [47, 61]
    assert mask_utils.area(empty["segmentation"]) == 0
    assert (first["image_id"], first["category_id"], empty["category_id"]) == (4, 17, 18)
    assert first["bbox"] == [1.25, 2.5, 29.75, 39.62]
    assert first["score"] == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("x", "y", "width", "height"),
    [
        (0, 0, 31, 23),
        (5, 4, 9, 11),
        (30, 22, 1, 1),
        (0, 0, 1, 23),
        (0, 22, 31, 1),
        (22, 12, 9, 11),
    ],
)
@pytest.mark.parametrize("kind", ["full", "empty", "noise", "checkerboard"])
def test_run_lengths_equal_pycocotools_letter_by_letter(x, y, width, height, kind):
    full = np.zeros((23, 31), bool)
    pattern = {
        "full": np.ones((height, width)),
        "empty": np.zeros((height, width)),
        "noise": np.random.default_rng(width).random((height, width)) > 0.5,
        "checkerboard": np.indices((height, width)).sum(0) % 2,
    }[kind]
    full[y : y + height, x : x + width] = pattern
    result = predicted(full, crop_of(full, x, y, width, height)).to_coco(1, [1])[0]
    expected = mask_utils.encode(np.asfortranarray(full.astype(np.uint8)))
    assert result["segmentation"]["counts"] == expected["counts"].decode()


def test_long_runs_take_several_letters():
    full = np.zeros((2000, 1500), bool)
    full[1000:, 700:1400] = True
    crop = crop_of(full, 700, 1000, 700, 1000)
    result = predicted(full, crop).to_coco(1, [1])[0]
    assert mask_utils.area(result["segmentation"]) == 700 * 1000
    assert np.array_equal(mask_utils.decode(result["segmentation"]), full)


def test_a_prediction_without_masks_has_boxes_only():
    empty = Prediction(
        9, 9, np.zeros(1, np.int64), np.ones(1, np.float32), np.zeros((1, 4), np.float32)
    )
    assert "segmentation" not in empty.to_coco(1, [1])[0]


def test_classes_that_the_data_set_does_not_have_are_left_out():
    full = np.ones((8, 8), bool)
    crop = crop_of(full, 0, 0, 8, 8)
    results = predicted(full, crop, crop).to_coco(1, [None, 5])
    assert [row["category_id"] for row in results] == [5]
