"""Depth images in metres, and which sizes go together."""

from __future__ import annotations

import numpy as np
import pytest

from yolact_ros.depth import check_same_view, depth_in_metres
from yolact_ros.errors import DepthError


def test_16uc1_is_millimetres_and_0_is_no_reading() -> None:
    depth_m = depth_in_metres(np.array([[0, 1, 1234], [65535, 500, 0]], np.uint16), "16UC1")
    assert depth_m.dtype == np.float32
    np.testing.assert_allclose(depth_m, [[np.nan, 0.001, 1.234], [65.535, 0.5, np.nan]])


def test_32fc1_is_metres_and_nan_infinite_0_and_negative_are_no_reading() -> None:
    array = np.array([[np.nan, np.inf, -np.inf, 0, -1, 2.5]], np.float32)
    depth_m = depth_in_metres(array, "32FC1")
    np.testing.assert_array_equal(depth_m, np.float32([[np.nan] * 5 + [2.5]]))
    assert np.isinf(array[0, 1])


@pytest.mark.parametrize(
    ("array", "encoding", "told"),
    [
        (np.zeros((2, 2), np.uint8), "rgb8", "expected 16UC1"),
        (np.zeros((2, 2), np.uint8), "16UC1", "expected uint16"),
        (np.zeros((2, 2), np.float64), "32FC1", "expected float32"),
        (np.zeros((2, 2, 3), np.uint16), "16UC1", "3 dimensions"),
    ],
)
def test_what_is_no_depth_image_says_so(array: np.ndarray, encoding: str, told: str) -> None:
    with pytest.raises(DepthError, match=told):
        depth_in_metres(array, encoding)


@pytest.mark.parametrize("size", [(640, 480), (320, 240), (1280, 960), (640, 478)])
def test_sizes_with_the_same_ratio_show_the_same(size: tuple[int, int]) -> None:
    check_same_view(size, (640, 480))


@pytest.mark.parametrize("size", [(640, 360), (480, 640), (848, 480), (0, 0)])
def test_another_ratio_names_the_registered_depth(size: tuple[int, int]) -> None:
    with pytest.raises(DepthError, match="aligned_depth_to_color"):
        check_same_view(size, (640, 480))
