"""The decoders for users of the messages."""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from yolact_ros.errors import DataError
from yolact_ros.masks import (
    mask_to_array,
    mask_to_full,
    to_coco_results,
    to_coco_rle,
    to_label_image,
    to_polygons,
)

# A ring with a hole, three columns wide borders.
RING = np.ones((9, 11), np.bool_)
RING[3:6, 3:8] = False


def bits_message(mask: np.ndarray, x_offset: int = 0, y_offset: int = 0) -> SimpleNamespace:
    height, width = mask.shape
    data = array("B", np.packbits(mask).tobytes())
    return SimpleNamespace(
        encoding=1,
        x_offset=x_offset,
        y_offset=y_offset,
        width=width,
        height=height,
        counts=array("I"),
        data=data,
    )


def rle_message(mask: np.ndarray, x_offset: int = 0, y_offset: int = 0) -> SimpleNamespace:
    """Run lengths counted pixel by pixel, down the columns."""
    counts, value = [0], False
    for pixel in mask.T.ravel().tolist():
        if pixel != value:
            counts.append(0)
            value = pixel
        counts[-1] += 1
    message = bits_message(mask, x_offset, y_offset)
    message.encoding, message.data, message.counts = 2, array("B"), array("I", counts)
    return message


def instance(mask: SimpleNamespace, score: float, class_id: int = 0) -> SimpleNamespace:
    return SimpleNamespace(
        class_id=class_id,
        class_name="thing",
        score=score,
        x_min=1.0,
        y_min=2.0,
        x_max=4.0,
        y_max=8.0,
        mask=mask,
    )


def instance_array(*instances: SimpleNamespace) -> SimpleNamespace:
    return SimpleNamespace(image_height=20, image_width=30, instances=list(instances))


masks = hnp.arrays(np.bool_, st.tuples(st.integers(1, 13), st.integers(1, 17)))


@settings(max_examples=50)
@given(masks)
def test_both_encodings_decode_to_the_mask_that_was_sent(mask: np.ndarray) -> None:
    np.testing.assert_array_equal(mask_to_array(bits_message(mask)), mask)
    np.testing.assert_array_equal(mask_to_array(rle_message(mask)), mask)


def test_a_message_without_mask_decodes_to_nothing() -> None:
    message = bits_message(np.zeros((0, 0), np.bool_))
    message.encoding = 0
    assert mask_to_array(message).shape == (0, 0)
    assert not mask_to_full(message, 20, 30).any()
    assert to_polygons(message) == []


def test_the_mask_lies_at_its_offset_in_the_full_image() -> None:
    full = mask_to_full(bits_message(RING, x_offset=5, y_offset=7), 20, 30)
    assert full.shape == (20, 30)
    np.testing.assert_array_equal(full[7:16, 5:16], RING)
    assert full.sum() == RING.sum()


@pytest.mark.parametrize("encode", [bits_message, rle_message])
def test_coco_rle_is_that_of_pycocotools(encode: Callable[..., SimpleNamespace]) -> None:
    message = encode(RING, x_offset=19, y_offset=11)
    ours = to_coco_rle(message, 20, 30)
    theirs = coco_mask.encode(np.asfortranarray(mask_to_full(message, 20, 30), np.uint8))
    assert ours == {"size": [20, 30], "counts": theirs["counts"].decode()}


def test_polygons_keep_holes_and_give_the_mask_back() -> None:
    (polygon,) = to_polygons(bits_message(RING, x_offset=5, y_offset=7))
    assert len(polygon.holes) == 1
    filled = np.zeros((20, 30), np.uint8)
    cv2.fillPoly(filled, [polygon.outer], 1)
    # A hole's ring runs through the mask pixels around it: those stay set.
    cv2.fillPoly(filled, list(polygon.holes), 0)
    cv2.polylines(filled, list(polygon.holes), True, 1)
    np.testing.assert_array_equal(
        filled.astype(bool), mask_to_full(bits_message(RING, 5, 7), 20, 30)
    )


def test_separate_parts_are_separate_polygons() -> None:
    two = np.zeros((6, 12), np.bool_)
    two[1:4, 1:4] = two[2:6, 7:11] = True
    assert len(to_polygons(bits_message(two))) == 2


def test_the_higher_score_wins_in_the_label_image() -> None:
    square = np.ones((4, 4), np.bool_)
    low = instance(bits_message(square, 2, 2), score=0.4)
    high = instance(bits_message(square, 4, 4), score=0.9)
    for order in ((high, low), (low, high)):
        labels = to_label_image(instance_array(*order))
        assert labels.dtype == np.uint8
        index_of_high = order.index(high) + 1
        assert (labels[4:8, 4:8] == index_of_high).all()
        assert (labels == 3 - index_of_high).sum() == 16 - 4


def test_more_than_255_instances_need_16_bits() -> None:
    dot = np.ones((1, 1), np.bool_)
    many = [instance(bits_message(dot, i % 30, i // 30), 0.5) for i in range(300)]
    labels = to_label_image(instance_array(*many))
    assert labels.dtype == np.uint16
    assert labels[9, 29] == 300


def test_coco_results_have_boxes_as_corner_and_size() -> None:
    message = instance_array(instance(rle_message(RING, 2, 3), 0.75, class_id=1))
    (result,) = to_coco_results(message, image_id=9, category_ids=(1, 44))
    assert result["image_id"] == 9
    assert result["category_id"] == 44
    assert result["bbox"] == [1.0, 2.0, 3.0, 6.0]
    assert result["segmentation"] == to_coco_rle(message.instances[0].mask, 20, 30)


@pytest.mark.parametrize("encode", [bits_message, rle_message])
def test_pycocotools_reads_the_results_file(
    encode: Callable[..., SimpleNamespace], tmp_path: Path
) -> None:
    message = instance_array(instance(encode(RING, 2, 3), 0.75, class_id=1))
    results = to_coco_results(message, image_id=np.int64(9), category_ids=np.array([1, 44]))
    (tmp_path / "results.json").write_text(json.dumps(results))
    truth = COCO()
    truth.dataset = {"images": [{"id": 9}], "categories": [{"id": 44}], "annotations": []}
    truth.createIndex()
    (annotation,) = truth.loadRes(str(tmp_path / "results.json")).anns.values()
    np.testing.assert_array_equal(
        coco_mask.decode(annotation["segmentation"]).astype(bool),
        mask_to_full(message.instances[0].mask, 20, 30),
    )
    assert (annotation["category_id"], annotation["score"]) == (44, 0.75)


def test_an_unknown_class_id_is_named() -> None:
    message = instance_array(instance(bits_message(RING), 0.75, class_id=7))
    with pytest.raises(DataError, match=r"class 7 \(thing\) has no category id; 2 were given"):
        to_coco_results(message, image_id=9, category_ids=(1, 44))


def test_an_unknown_encoding_is_named() -> None:
    message = bits_message(RING)
    message.encoding = 3
    with pytest.raises(DataError, match="encoding 3 is unknown"):
        mask_to_array(message)


@pytest.mark.parametrize("encode", [bits_message, rle_message])
def test_data_that_does_not_fill_the_rectangle_is_refused(
    encode: Callable[..., SimpleNamespace],
) -> None:
    message = encode(RING)
    message.height += 4
    with pytest.raises(DataError, match="InstanceMask"):
        mask_to_array(message)
    with pytest.raises(DataError, match="InstanceMask"):
        to_coco_rle(message, 20, 30)


def test_a_rectangle_outside_of_the_image_is_refused() -> None:
    message = bits_message(RING, x_offset=25)
    for use in (mask_to_full, to_coco_rle):
        with pytest.raises(DataError, match="ends at x 36, y 9, outside of the 30 x 20 image"):
            use(message, 20, 30)
