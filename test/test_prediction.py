"""What a notebook does with a prediction."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from pycocotools import mask as coco_masks

from yolact_ros.ops.packing import pack_bits
from yolact_ros.prediction import Prediction
from yolact_ros.structures import MaskCrop

HEIGHT_PX, WIDTH_PX = 20, 30


def two_instances(*, masks: bool = True) -> Prediction:
    """A dog with a mask of a diagonal in a rectangle at (5, 3), and a cat without any pixel."""
    crops = (MaskCrop(5, 3, 4, 4, pack_bits(np.eye(4, dtype=np.bool_))),)
    crops += (MaskCrop(0, 0, 0, 0, np.zeros(0, np.uint8)),)
    return Prediction(
        HEIGHT_PX,
        WIDTH_PX,
        class_ids=np.array([1, 0]),
        scores=np.array([0.9, 0.4], np.float32),
        boxes_xyxy=np.array([[5, 3, 9, 7], [0, 0, 30, 20]], np.float32),
        mask_crops=crops if masks else (),
        class_names=("cat", "dog"),
    )


def test_it_is_a_sequence_of_instances() -> None:
    prediction = two_instances()
    assert [instance.class_name for instance in prediction] == ["dog", "cat"]
    assert len(prediction) == 2
    dog = prediction[0]
    assert (dog.class_id, dog.box_xyxy) == (1, (5.0, 3.0, 9.0, 7.0))
    assert dog.score == pytest.approx(0.9)
    assert prediction[-1].class_name == "cat"
    with pytest.raises(IndexError):
        prediction[2]


def test_a_mask_is_of_the_whole_image() -> None:
    prediction = two_instances()
    expected = np.zeros((HEIGHT_PX, WIDTH_PX), np.bool_)
    expected[range(3, 7), range(5, 9)] = True
    np.testing.assert_array_equal(prediction[0].mask, expected)
    assert prediction.masks.shape == (2, HEIGHT_PX, WIDTH_PX)
    assert prediction.masks.dtype == np.bool_
    np.testing.assert_array_equal(prediction.masks[0], expected)
    assert not prediction.masks[1].any()


def test_without_masks_an_instance_has_none() -> None:
    prediction = two_instances(masks=False)
    assert prediction[0].mask is None
    assert not prediction.masks.any()


def test_it_shows_what_was_found() -> None:
    assert repr(two_instances()) == "Prediction(30x20, 2: dog 0.90, cat 0.40)"
    assert repr(two_instances()[0]) == "Instance(dog 0.90, box (5, 3, 9, 7), 4 pixels)"
    nothing = Prediction(
        20, 30, np.zeros(0, np.int64), np.zeros(0, np.float32), np.zeros((0, 4), np.float32)
    )
    assert repr(nothing) == "Prediction(30x20, 0: nothing)"


def test_its_coco_results_have_the_masks_of_pycocotools() -> None:
    first, second = two_instances().to_coco(image_id=7, category_ids=[10, 20])
    assert (first["image_id"], first["category_id"], first["bbox"]) == (7, 20, [5, 3, 4, 4])
    np.testing.assert_array_equal(
        coco_masks.decode(first["segmentation"]).astype(bool), two_instances().masks[0]
    )
    assert second["score"] == pytest.approx(0.4)
    assert "segmentation" not in two_instances(masks=False).to_coco()[0]


def test_coco_results_leave_out_a_class_without_a_category() -> None:
    assert [row["category_id"] for row in two_instances().to_coco(0, [None, 3])] == [3]


def test_supervision_gets_the_same_boxes_and_masks() -> None:
    pytest.importorskip("supervision")
    prediction = two_instances()
    detections = prediction.to_supervision()
    np.testing.assert_array_equal(detections.xyxy, prediction.boxes_xyxy)
    np.testing.assert_array_equal(detections.mask, prediction.masks)
    assert list(detections.data["class_name"]) == ["dog", "cat"]


def test_decoding_the_masks_of_messages_needs_no_torch() -> None:
    program = "import sys, yolact_ros.masks; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
