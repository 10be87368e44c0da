from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from yolact_ros.errors import DataError, ImageError
from yolact_ros.training.annotations import DataSource, read_source
from yolact_ros.training.sample import decode_segmentation, load_sample

SQUARE = [[2.0, 3.0, 8.0, 3.0, 8.0, 9.0, 2.0, 9.0]]


def square_mask() -> np.ndarray:
    mask = np.zeros((12, 10), np.uint8)
    mask[3:9, 2:8] = 1
    return mask


def uncompressed_rle(mask: np.ndarray) -> dict[str, object]:
    counts, value, run = [], 0, 0
    for pixel in mask.T.reshape(-1):
        if pixel != value:
            counts.append(run)
            value, run = pixel, 0
        run += 1
    return {"size": list(mask.shape), "counts": [*counts, run]}


def test_polygons_and_both_kinds_of_rle_give_the_same_mask() -> None:
    mask = square_mask()
    compressed = coco_mask.encode(np.asfortranarray(mask))
    as_text = {"size": compressed["size"], "counts": compressed["counts"].decode()}
    for segmentation in (SQUARE, uncompressed_rle(mask), compressed, as_text):
        assert np.array_equal(decode_segmentation(segmentation, 12, 10), mask)


def test_an_rle_of_another_size_is_an_error() -> None:
    with pytest.raises(DataError, match="10x12 px, its image 12x12"):
        decode_segmentation(uncompressed_rle(square_mask()), 12, 12)


def test_masks_lie_on_the_object_that_was_painted(shapes: DataSource) -> None:
    records, _ = read_source(shapes, ("disc", "box"))
    sample = load_sample(records[0])
    for row, color in enumerate([(40, 40, 220), (220, 120, 30)]):
        patch = sample.masks[row]
        height, width = patch.pixels.shape
        pixels = sample.image_bgr[patch.y_px : patch.y_px + height, patch.x_px :][:, :width]
        same = (pixels[patch.pixels == 1] == color).all(axis=1)
        assert same.mean() > 0.95


def test_a_shrunk_sample_shrinks_boxes_and_masks_alike(shapes: DataSource) -> None:
    records, _ = read_source(shapes, ("disc", "box"))
    whole, shrunk = load_sample(records[0]), load_sample(records[0], max_side_px=48)
    assert shrunk.image_bgr.shape == (36, 48, 3)
    np.testing.assert_allclose(shrunk.boxes_xyxy, whole.boxes_xyxy / 2)
    for small, large in zip(shrunk.masks, whole.masks, strict=True):
        assert small.pixels.sum() == pytest.approx(large.pixels.sum() / 4, rel=0.15)


def test_crowds_come_last_without_a_class(shapes: DataSource) -> None:
    records, _ = read_source(shapes, ("disc", "box"))
    first, second = records[0].objects
    record = replace(records[0], objects=(replace(first, is_crowd=True), second))
    sample = load_sample(record)
    assert sample.class_ids.tolist() == [1, -1]


def test_an_image_that_cannot_be_read_is_named(shapes: DataSource) -> None:
    records, _ = read_source(shapes, ("disc", "box"))
    records[0].path.write_bytes(b"")
    with pytest.raises(ImageError, match=r"000\.png: not an image"):
        load_sample(records[0])


def test_an_image_of_another_size_is_an_error(shapes: DataSource) -> None:
    records, _ = read_source(shapes, ("disc", "box"))
    cv2.imwrite(str(records[0].path), np.zeros((10, 20, 3), np.uint8))
    with pytest.raises(DataError, match=r"is 20x10, its annotations are for 96x72"):
        load_sample(records[0])
