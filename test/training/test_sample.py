from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from yolact_ros.errors import DataError, ImageError
from yolact_ros.training.annotations import DataSource, read_source
from yolact_ros.training.sample import load_sample


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
