"""Instances of two images, or of two networks, that belong together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["best_pairs"]


def best_pairs(ious: NDArray[np.floating], least: float) -> list[tuple[int, int, float]]:
    """Row, column and IoU of pairs, the largest IoU first; each row and column is in one at most.

    Args:
        ious (float[n, m]): of every instance of one side with every one of the other.
        least: pairs below it, or without any overlap, are not made.
    """
    left = ious.copy()
    pairs: list[tuple[int, int, float]] = []
    while left.size:
        row, column = np.unravel_index(int(left.argmax()), left.shape)
        iou = float(left[row, column])
        if iou < least or iou <= 0.0:
            break
        pairs.append((int(row), int(column), iou))
        left[row, :] = left[:, column] = -1.0
    return pairs
