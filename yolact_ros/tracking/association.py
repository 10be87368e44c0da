"""Which detection is which known object: overlaps, and the assignment with the largest sum."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from yolact_ros.dependencies import require

__all__ = ["Assigner", "Assignment", "pairwise_box_iou", "shares_inside"]

Floats = NDArray[np.float64]


class Assignment(NamedTuple):
    """Pairs of tracks and detections, by their rows.

    Attributes:
        tracks (int64[p]): rows of the tracks that were found,
        detections (int64[p]): and of their detections.
    """

    tracks: NDArray[np.int64]
    detections: NDArray[np.int64]


class Assigner:
    """Finds the assignment with scipy.

    Raises:
        DependencyError: scipy is not installed.
    """

    def __init__(self) -> None:
        self._solve: Any = require("scipy.optimize", extra="track").linear_sum_assignment

    def __call__(self, gain: NDArray[np.float64], allowed: NDArray[np.bool_]) -> Assignment:
        """The pairs with the largest sum of gains; each row and column in one pair at most.

        Args:
            gain (float64[m, n]): not negative where allowed.
            allowed (bool[m, n]): pairs that may be.
        """
        if not allowed.any():
            return Assignment(np.zeros(0, np.int64), np.zeros(0, np.int64))
        rows, columns = self._solve(np.where(allowed, gain, 0.0), maximize=True)
        kept = allowed[rows, columns]
        return Assignment(rows[kept], columns[kept])


def pairwise_box_iou(a_xyxy: Floats, b_xyxy: Floats) -> Floats:
    """Intersection over union of all pairs; ``[m, 4], [n, 4] -> [m, n]``, 0 without any area."""
    shared = _intersections(a_xyxy, b_xyxy)
    union = _areas(a_xyxy)[:, None] + _areas(b_xyxy) - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def shares_inside(a_xyxy: Floats, b_xyxy: Floats) -> Floats:
    """Share of each ``b`` inside each ``a``; ``[m, 4], [n, 4] -> [m, n]``, 0 without area."""
    shared = _intersections(a_xyxy, b_xyxy)
    areas = np.broadcast_to(_areas(b_xyxy), shared.shape)
    return np.divide(shared, areas, out=np.zeros_like(shared), where=areas > 0)


def _areas(boxes_xyxy: Floats) -> Floats:
    areas: Floats = (boxes_xyxy[:, 2] - boxes_xyxy[:, 0]) * (boxes_xyxy[:, 3] - boxes_xyxy[:, 1])
    return areas


def _intersections(a_xyxy: Floats, b_xyxy: Floats) -> Floats:
    a, b = a_xyxy.T[:, :, None], b_xyxy.T[:, None, :]
    widths = np.minimum(a[2], b[2]) - np.maximum(a[0], b[0])
    heights = np.minimum(a[3], b[3]) - np.maximum(a[1], b[1])
    shared: Floats = np.maximum(widths, 0) * np.maximum(heights, 0)
    return shared
