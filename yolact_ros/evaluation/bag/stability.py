"""How steady the instances of consecutive frames are: mask IoU, score flicker, blinking."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from yolact_ros.dependencies import require
from yolact_ros.evaluation.bag.frame import FoundInstance
from yolact_ros.evaluation.pairs import best_pairs

__all__ = ["FrameStability", "StabilityMeter", "match_instances"]

# Between two frames of a video an object rarely moves by more than half of itself.
MIN_IOU = 0.3


@dataclass(frozen=True)
class FrameStability:
    """A frame against the one before it.

    Attributes:
        ious: of each pair of matched instances, masks where both have one, else boxes.
        score_changes: absolute, of the same pairs.
        num_before, num_now: instances of the two frames.
        num_blinks: instances of the frame before the last that were missing in the last and
            are back now.
        num_before_last: instances of the frame before the last, of which blinks are a share.
    """

    ious: tuple[float, ...]
    score_changes: tuple[float, ...]
    num_before: int
    num_now: int
    num_blinks: int
    num_before_last: int

    @property
    def steadiness(self) -> float:
        """Sum of matched IoU over the mean number of instances, 0..1; 1 for two empty frames."""
        mean_count = (self.num_before + self.num_now) / 2
        return float(sum(self.ious) / mean_count) if mean_count else 1.0


class StabilityMeter:
    """Follows the instances through the frames of one bag; remembers two frames."""

    def __init__(self) -> None:
        self._last: tuple[tuple[FoundInstance, ...], tuple[int, int]] | None = None
        self._before_last: tuple[FoundInstance, ...] = ()
        self._lost: list[FoundInstance] = []

    def add(
        self, instances: Sequence[FoundInstance], shape: tuple[int, int]
    ) -> FrameStability | None:
        """Compare a frame's instances with those of the frame before.

        Args:
            instances: of the frame.
            shape: height and width of the image.

        Returns:
            None for the first frame and after a change of the image size.
        """
        now = tuple(instances)
        if self._last is None or self._last[1] != shape:
            self._last, self._before_last, self._lost = (now, shape), (), []
            return None
        before = self._last[0]
        pairs = match_instances(before, now, shape, MIN_IOU)
        matched_now = {column for _, column, _ in pairs}
        fresh = [found for column, found in enumerate(now) if column not in matched_now]
        blinks = match_instances(self._lost, fresh, shape, MIN_IOU)
        matched_before = {row for row, _, _ in pairs}
        result = FrameStability(
            ious=tuple(iou for _, _, iou in pairs),
            score_changes=tuple(
                abs(before[row].score - now[column].score) for row, column, _ in pairs
            ),
            num_before=len(before),
            num_now=len(now),
            num_blinks=len(blinks),
            num_before_last=len(self._before_last),
        )
        self._lost = [found for row, found in enumerate(before) if row not in matched_before]
        self._before_last = before
        self._last = (now, shape)
        return result


def match_instances(
    before: Sequence[FoundInstance],
    now: Sequence[FoundInstance],
    shape: tuple[int, int],
    min_iou: float,
) -> list[tuple[int, int, float]]:
    """Pairs of instances of one class, the largest IoU first, each instance in one pair at most.

    Args:
        before, now: instances of two frames.
        shape: height and width of both images.
        min_iou: pairs below it are not made.

    Returns:
        row in ``before``, column in ``now``, and their IoU.
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
