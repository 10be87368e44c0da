"""Where an image lies in the input, and where boxes then lie in the image."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from yolact_ros.config import InputShape
from yolact_ros.ops.placement import Placement, place_image

SQUARE = InputShape(640, 640)
FREE = InputShape(640, 640, 32, 32)


@pytest.mark.parametrize(
    ("size_px", "shape", "expected"),
    [
        ((480, 640), SQUARE, Placement(640, 640, 0, 80, 640, 480)),
        ((720, 1280), SQUARE, Placement(640, 640, 0, 140, 640, 360)),
        ((640, 427), SQUARE, Placement(640, 640, 106, 0, 427, 640)),  # 106 left, 107 right
        ((1000, 1000), SQUARE, Placement(640, 640, 0, 0, 640, 640)),
        ((3000, 1), SQUARE, Placement(640, 640, 319, 0, 1, 640)),
        ((480, 640), InputShape(480, 640), Placement(480, 640, 0, 0, 640, 480)),
        ((480, 640), FREE, Placement(480, 640, 0, 0, 640, 480)),
        ((720, 1280), FREE, Placement(384, 640, 0, 12, 640, 360)),
        ((100, 1280), FREE, Placement(64, 640, 0, 7, 640, 50)),
        ((100, 1280), InputShape(640, 640, 32, 128), Placement(128, 640, 0, 39, 640, 50)),
    ],
)
def test_a_letterbox_is_where_ultralytics_puts_it(
    size_px: tuple[int, int], shape: InputShape, expected: Placement
) -> None:
    assert place_image(*size_px, shape, keep_aspect_ratio=True) == expected


def test_an_image_that_fills_the_input_has_no_border() -> None:
    place = place_image(480, 640, SQUARE, keep_aspect_ratio=False)
    assert place == Placement(640, 640, 0, 0, 640, 640)
    assert place.fills_input


@given(
    height_px=st.integers(1, 3000),
    width_px=st.integers(1, 3000),
    shape=st.sampled_from([SQUARE, FREE, InputShape(320, 512), InputShape(64, 96, 32, 64)]),
)
def test_the_image_is_inside_of_an_input_that_the_network_takes(
    height_px: int, width_px: int, shape: InputShape
) -> None:
    place = place_image(height_px, width_px, shape, keep_aspect_ratio=True)
    assert shape.takes(place.input_height_px, place.input_width_px)
    assert place.left_px >= 0 <= place.top_px
    assert place.left_px + place.width_px <= place.input_width_px
    assert place.top_px + place.height_px <= place.input_height_px
    # As large as can be, and the larger half of an odd border behind it.
    assert place.width_px == shape.width_px or place.height_px == shape.height_px
    behind_px = place.input_width_px - place.width_px - place.left_px
    assert 0 <= behind_px - place.left_px <= 1


def test_boxes_of_the_input_become_boxes_of_the_image() -> None:
    place = place_image(720, 1280, SQUARE, keep_aspect_ratio=True)
    corners_px = np.array([[0, 140, 640, 500], [320, 320, 640, 640]], np.float32)
    found = place.to_image(corners_px / 640)
    np.testing.assert_allclose(found, [[0, 0, 1, 1], [0.5, 0.5, 1, 500 / 360]], atol=1e-6)


def test_prototypes_without_the_border_where_it_ends_between_cells() -> None:
    prototypes = np.zeros((160, 160, 2), np.float32)
    crop = place_image(480, 640, SQUARE, keep_aspect_ratio=True).crop(prototypes)
    assert crop.prototypes.shape == (120, 160, 2)
    assert (crop.rows.start, crop.rows.length) == (0.0, 120.0)


def test_prototypes_with_a_cell_of_the_border_where_it_ends_in_one() -> None:
    prototypes = np.zeros((160, 160, 2), np.float32)
    crop = place_image(640, 427, SQUARE, keep_aspect_ratio=True).crop(prototypes)
    assert crop.prototypes.shape == (160, 108, 2)  # 26.5 - 0.5 to 133.25 + 0.5
    assert (crop.columns.start, crop.columns.length) == (0.5, 106.75)
