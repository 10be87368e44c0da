"""What int8 costs, in AP and in agreement."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from yolact_ros.datasets.coco_file import parse_coco
from yolact_ros.evaluation.int8 import Agreement, ApChange, measure_agreement, measure_ap_change
from yolact_ros.prediction import Prediction
from yolact_ros.structures import MaskCrop

IMAGE = np.zeros((60, 80, 3), np.uint8)


def found(*instances: tuple[int, float, tuple[int, int, int, int]]) -> Prediction:
    """Instances of (class, score, x, y, width, height), each filling its rectangle."""
    boxes = [(x, y, x + w, y + h) for _, _, (x, y, w, h) in instances]
    return Prediction(
        60,
        80,
        np.array([class_id for class_id, _, _ in instances], np.int64),
        np.array([score for _, score, _ in instances], np.float32),
        np.array(boxes, np.float32).reshape(-1, 4),
        tuple(
            MaskCrop(x, y, w, h, np.packbits(np.ones((h, w), bool)))
            for _, _, (x, y, w, h) in instances
        ),
    )


def agreement(expected: Prediction, actual: Prediction) -> Agreement:
    return measure_agreement(lambda _: expected, lambda _: actual, [IMAGE])


def test_the_same_instances_agree_completely() -> None:
    one = found((0, 0.9, (10, 10, 20, 20)), (1, 0.5, (40, 5, 10, 10)))
    assert agreement(one, one) == Agreement(1, 2, 1.0, 0.0, 1.0, 0.0)


def test_a_shifted_mask_and_another_score_are_measured() -> None:
    # Three quarters of each mask lie in the other: IoU 0.6.
    result = agreement(found((0, 0.9, (10, 10, 20, 20))), found((0, 0.7, (15, 10, 20, 20))))
    assert result.mask_iou == pytest.approx(0.6)
    assert result.score_difference == pytest.approx(0.2)
    assert (result.found, result.added) == (1.0, 0.0)


def test_lost_moved_and_invented_instances_are_told_apart() -> None:
    exact = found((0, 0.9, (0, 0, 10, 10)), (0, 0.8, (30, 30, 10, 10)), (1, 0.7, (50, 0, 9, 9)))
    # The first is found twice, the second moved away, the third got another class.
    quantized = found(
        (0, 0.9, (0, 0, 10, 10)),
        (0, 0.6, (0, 0, 10, 9)),
        (0, 0.8, (38, 30, 10, 10)),
        (2, 0.7, (50, 0, 9, 9)),
    )
    result = agreement(exact, quantized)
    assert result.found == pytest.approx(1 / 3)
    assert result.added == pytest.approx(3 / 3)
    assert result.mask_iou == 1.0


def test_without_instances_there_is_nothing_to_say() -> None:
    result = agreement(found(), found())
    assert "finds nothing on 1 image" in str(result)
    assert result.to_dict()["mask_iou"] is None


def test_the_sentence_names_change_and_images() -> None:
    change = ApChange(90, mask_ap=0.406, int8_mask_ap=0.394, box_ap=0.394, int8_box_ap=0.39)
    assert str(change) == "mask AP 40.6 to 39.4 (-1.2), box AP 39.4 to 39.0 (-0.4) on 90 images"


def test_ap_is_that_of_each_network() -> None:
    pytest.importorskip("pycocotools")
    square = {"size": [60, 80], "counts": [10 * 60 + 10, *[20, 40] * 19, 20, 80 * 60 - 1770]}
    truth = {
        "images": [{"id": 7, "height": 60, "width": 80}],
        "categories": [{"id": 1, "name": "cup"}, {"id": 2, "name": "zebra"}],
        "annotations": [
            {
                "id": 1, "image_id": 7, "category_id": 1, "bbox": [10, 10, 20, 20], "area": 400,
                "segmentation": square, "iscrowd": 0,
            }
        ],
    }  # fmt: skip
    images: list[tuple[int, NDArray[np.uint8]]] = [(7, IMAGE)]
    change = measure_ap_change(
        lambda _: found((0, 0.9, (10, 10, 20, 20))),
        # IoU 0.6: right at 0.5, 0.55 and 0.6 of the ten thresholds.
        lambda _: found((0, 0.9, (15, 10, 20, 20))),
        parse_coco(truth),
        images,
        ("cup",),
    )
    assert change.num_images == 1
    assert (change.mask_ap, change.box_ap) == (pytest.approx(1.0), pytest.approx(1.0))
    assert change.int8_mask_ap == pytest.approx(0.3)
    assert change.int8_box_ap == pytest.approx(0.3)
