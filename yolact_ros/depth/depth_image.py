"""Depth images of every encoding in metres, and which sizes belong to a colour image."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from yolact_ros.errors import DepthError

__all__ = ["check_same_view", "depth_in_metres"]

# REP 118: whole millimetres, 0 is no reading; or metres, NaN is none.
MILLIMETRE_ENCODINGS = ("16UC1", "mono16")
METRE_ENCODINGS = ("32FC1",)
METRES_A_STEP = np.float32(1e-3)
# 848 x 480 shows what 1280 x 720 does, and its ratios differ by 0.6 %.
MAX_RATIO_DIFFERENCE = 0.01


def depth_in_metres(array: NDArray[Any], encoding: str) -> NDArray[np.float32]:
    """The depth along the optical axis.

    Args:
        array: [h, w], uint16 for 16UC1 and float32 for 32FC1, in the machine's byte order.
        encoding: of sensor_msgs/Image.

    Returns:
        float32[h, w], metres, a new array; NaN where there is no reading (0 in 16UC1; NaN,
        infinite, 0 or negative in 32FC1).

    Raises:
        DepthError: another encoding, or an array that is not of it.
    """
    if encoding in MILLIMETRE_ENCODINGS:
        _require_type(array, np.uint16, encoding)
        depth_m: NDArray[np.float32] = np.multiply(array, METRES_A_STEP, dtype=np.float32)
        depth_m[array == 0] = np.nan
        return depth_m
    if encoding in METRE_ENCODINGS:
        _require_type(array, np.float32, encoding)
        good = (array > 0) & (array < np.inf)
        return np.where(good, array, np.float32(np.nan))
    raise DepthError(
        f"the depth image's encoding is {encoding!r}, expected 16UC1 (millimetres) or 32FC1 "
        "(metres): is it the topic of a colour image?"
    )


def check_same_view(depth_size_px: tuple[int, int], image_size_px: tuple[int, int]) -> None:
    """Refuse a depth image that cannot show the same field of view as the colour image.

    Args:
        depth_size_px, image_size_px: width and height.

    Raises:
        DepthError: their widths and heights are not in the same ratio.
    """
    across, down = (
        depth / image for depth, image in zip(depth_size_px, image_size_px, strict=True)
    )
    if min(across, down) <= 0 or abs(across / down - 1) > MAX_RATIO_DIFFERENCE:
        raise DepthError(
            f"the depth image is {depth_size_px[0]} x {depth_size_px[1]}, the colour image "
            f"{image_size_px[0]} x {image_size_px[1]}: expected the same size, or both sides "
            "larger or smaller by the same ratio. Use the depth that is registered to the colour "
            "image, such as aligned_depth_to_color or depth_registered"
        )


def _require_type(array: NDArray[Any], dtype: type[np.generic], encoding: str) -> None:
    if array.ndim != 2 or array.dtype != dtype:
        raise DepthError(
            f"a depth image of encoding {encoding} is {array.dtype} with {array.ndim} dimensions, "
            f"expected {np.dtype(dtype)} with rows and columns"
        )
