"""Outlines of masks as polygons, and the trapezoids that fill them."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from yolact_ros.ops.packing import unpack_bits
from yolact_ros.structures import MaskCrop

__all__ = ["mask_rings", "trapezoids"]

MIN_RING_POINTS = 3


def mask_rings(crop: MaskCrop, tolerance_px: float = 0.0) -> list[NDArray[np.float64]]:
    """The borders of a mask's parts and of the holes in them, through the centres of its pixels.

    Args:
        tolerance_px: how far a simplified border may be from the true one.

    Returns:
        float64[n, 2] each: x, y in source-image pixels, whole numbers at the centres of pixels;
        closed, the first point is not repeated. Parts too small to have an area are left out.
    """
    if crop.width == 0:
        return []
    mask = unpack_bits(crop.bits, crop.height, crop.width).view(np.uint8)
    contours, _ = cv2.findContours(
        mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE, offset=(crop.x_offset, crop.y_offset)
    )
    simplified = [cv2.approxPolyDP(contour, tolerance_px, closed=True) for contour in contours]
    return [
        ring.reshape(-1, 2).astype(np.float64)
        for ring in simplified
        if len(ring) >= MIN_RING_POINTS
    ]


def trapezoids(rings: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Trapezoids that cover what the rings enclose; a ring inside another is a hole.

    The area is cut at the height of every corner. Between two cuts no edge begins or ends, so what
    lies between the first and the second edge, the third and the fourth, ... is a trapezoid.

    Returns:
        float64[m, 4, 2]: x, y of the corners: top left, top right, bottom left, bottom right.
    """
    if not rings:
        return np.zeros((0, 4, 2))
    starts = np.concatenate(rings)
    ends = np.concatenate([np.roll(ring, -1, axis=0) for ring in rings])
    sloping = starts[:, 1] != ends[:, 1]
    falling = (starts[:, 1] < ends[:, 1])[:, None]
    upper = np.where(falling, starts, ends)[sloping]
    lower = np.where(falling, ends, starts)[sloping]
    cuts_y = np.unique(starts[:, 1])
    top_y, bottom_y = cuts_y[:-1, None], cuts_y[1:, None]
    run = (lower[:, 0] - upper[:, 0]) / (lower[:, 1] - upper[:, 1])
    # Rows are the bands between two cuts, columns the edges.
    top_x = upper[:, 0] + (top_y - upper[:, 1]) * run
    bottom_x = upper[:, 0] + (bottom_y - upper[:, 1]) * run
    crosses = (upper[:, 1] <= top_y) & (lower[:, 1] >= bottom_y)
    order = np.argsort(np.where(crosses, top_x + bottom_x, np.inf), axis=1, kind="stable")
    pairs = order.shape[1] // 2
    band, pair = np.nonzero(np.arange(pairs) < crosses.sum(axis=1, keepdims=True) // 2)
    sides = [order[band, 2 * pair], order[band, 2 * pair + 1]]
    corners = [
        np.stack([x[band, side], y[band, 0]], axis=1)
        for x, y in ((top_x, top_y), (bottom_x, bottom_y))
        for side in sides
    ]
    return np.stack(corners, axis=1)
