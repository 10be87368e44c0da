"""How steady the instances of consecutive frames are: mask IoU, score flicker, blinking."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from yolact_ros.dependencies import require
from yolact_ros.evaluation.bag.frame import FoundInstance
from yolact_ros.evaluation.pairs import best_pairs

__all__ = ["StabilityMeter", "match_instances"]

# Between two frames of a video an object rarely moves by more than half of itself.
MIN_IOU = 0.3


class StabilityMeter:
    """Follows the instances through the frames of one bag; remembers two frames."""

    def __init__(self) -> None:
        self._last: tuple[tuple[FoundInstance, ...], tuple[int, int]] | None = None
        self._before_last: tuple[FoundInstance, ...] = ()
        self._lost: list[FoundInstance] = []

    def add(self, instances: Sequence[FoundInstance], shape: tuple[int, int]) -> dict[str, float]:
        """Compare a frame's instances with those of the frame before.

        Returns:
            columns of the table of frames; none for the first frame and after a change of the
            image size. ``steadiness`` is the sum of matched IoU (masks where both have one, else
            boxes) over the mean number of instances, 1 for two empty frames.
        """
        now = tuple(instances)
        if self._last is None or self._last[1] != shape:
            self._last, self._before_last, self._lost = (now, shape), (), []
            return {}
        before = self._last[0]
        pairs = match_instances(before, now, shape, MIN_IOU)
        rows, columns, ious = zip(*pairs, strict=True) if pairs else ((), (), ())
        fresh = [found for column, found in enumerate(now) if column not in columns]
        mean_count = (len(before) + len(now)) / 2
        values = {
            "steadiness": sum(ious) / mean_count if mean_count else 1.0,
            "matched_pairs": len(pairs),
            "pair_iou_sum": sum(ious),
            "score_change_sum": sum(
                abs(before[row].score - now[column].score) for row, column, _ in pairs
            ),
            "blinks": len(match_instances(self._lost, fresh, shape, MIN_IOU)),
            "num_before_last": len(self._before_last),
        }
        self._lost = [found for row, found in enumerate(before) if row not in rows]
        self._before_last = before
        self._last = (now, shape)
        return values


def match_instances(
    before: Sequence[FoundInstance],
    now: Sequence[FoundInstance],
    shape: tuple[int, int],
    min_iou: float,
) -> list[tuple[int, int, float]]:
    """Pairs of instances of one class, the largest IoU first, each instance in one pair at most.

    Returns:
        row in ``before``, column in ``now``, and their IoU, ``min_iou`` or more.
    """
    if not before or not now:
        return []
    ious = _ious(before, now, shape)
    names_before = np.array([found.class_name for found in before])
    names_now = np.array([found.class_name for found in now])
    ious = np.where(names_before[:, None] == names_now[None, :], ious, 0.0)
    return best_pairs(ious, min_iou)


def _ious(
    before: Sequence[FoundInstance], now: Sequence[FoundInstance], shape: tuple[int, int]
) -> NDArray[np.float64]:
    """IoU of all pairs, float64[n, m]: of the masks where all have one, else of the boxes."""
    sides: list[Any] = []
    for instances in (before, now):
        if all(found.counts for found in (*before, *now)):
            sides.append([{"size": shape, "counts": found.counts} for found in instances])
        else:
            sides.append(np.array([found.bbox_xywh for found in instances], np.float64))
    coco_mask = require("pycocotools.mask", extra="evaluate")
    return np.asarray(coco_mask.iou(*sides, [0] * len(now)), np.float64)
