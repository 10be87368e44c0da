"""Confidence intervals by resampling frames: how much of a difference is chance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from yolact_ros.evaluation.bag.scoring.matches import MatchTable

__all__ = [
    "Interval",
    "WeightedAp",
    "Weights",
    "bag_weights",
    "block_weights",
    "percentile_interval",
]

NUM_THRESHOLDS = 10
RECALLS = np.linspace(0.0, 1.0, 101)
Weights = NDArray[np.int64]


@dataclass(frozen=True)
class Interval:
    """A number with its uncertainty.

    Attributes:
        value: of the data.
        low, high: ends of the interval that holds 95 % of the resampled values.
    """

    value: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """True if zero lies outside: a difference that is more than chance."""
        return self.low > 0.0 or self.high < 0.0


class WeightedAp:
    """AP of a match table in which every frame counts a whole number of times.

    The rule is COCO's: precision made monotonic, read at 101 recalls, mean over the categories
    that have an object. With every weight 1 the result is COCOeval's.

    Args:
        table: verdicts, area range "all".
        num_frames: frames that have a weight; frames of the table are indices among them.
    """

    def __init__(self, table: MatchTable, num_frames: int) -> None:
        self._categories = []
        bits = np.arange(NUM_THRESHOLDS)[:, None]
        for category in np.unique(table.objects["category"]):
            found = table.detections[table.detections["category"] == category]
            found = found[np.argsort(-found["score"], kind="mergesort")]
            matched = (found["matched"] >> bits) & 1 == 1
            ignored = (found["ignored"] >> bits) & 1 == 1
            mine = table.objects[table.objects["category"] == category]
            objects = np.bincount(mine["frame"], mine["count"], num_frames).astype(np.int64)
            self._categories.append(
                (found["frame"], matched & ~ignored, ~matched & ~ignored, objects)
            )

    def __call__(self, weights: Weights) -> NDArray[np.float64]:
        """AP 0..1 at each IoU threshold, float64[10], where each frame counts ``weights`` times.

        NaN where no object is left.
        """
        values = []
        for frames, right, wrong, objects in self._categories:
            num_objects = int(weights @ objects)
            if num_objects:
                values.append(_ap(weights[frames], right, wrong, num_objects))
        if not values:
            return np.full(NUM_THRESHOLDS, np.nan)
        mean: NDArray[np.float64] = np.mean(values, axis=0)
        return mean


def _ap(
    weights: Weights, right: NDArray[np.bool_], wrong: NDArray[np.bool_], num_objects: int
) -> NDArray[np.float64]:
    if not weights.size:
        return np.zeros(right.shape[0])
    sums = np.zeros(right.shape[0])
    # One threshold after the other: of millions of detections the memory is that of one.
    for row, (is_right, is_wrong) in enumerate(zip(right, wrong, strict=True)):
        true_positives = np.cumsum(is_right * weights)
        found = true_positives + np.cumsum(is_wrong * weights)
        precision = true_positives / (found + np.spacing(1))
        precision = np.maximum.accumulate(precision[::-1])[::-1]
        places = np.searchsorted(true_positives / num_objects, RECALLS, side="left")
        sums[row] = precision[places[places < weights.size]].sum()
    return sums / RECALLS.size


def block_weights(num_frames: int, block_frames: int, random: np.random.Generator) -> Weights:
    """How often each frame is drawn, int64[num_frames].

    Neighbouring frames of a drive show the same objects: drawing them one by one would take
    them for independent and make intervals too narrow. Blocks of consecutive frames are drawn
    instead (the circular block bootstrap of Politis and Romano, 1992).
    """
    length = max(1, min(block_frames, num_frames))
    starts = random.integers(0, num_frames, -(-num_frames // length))
    drawn = (starts[:, None] + np.arange(length)).reshape(-1)[:num_frames] % num_frames
    return np.bincount(drawn, minlength=num_frames)


def bag_weights(bags: NDArray[np.int64], random: np.random.Generator) -> Weights:
    """How often each frame is drawn, int64[frames], where the bags that they are of are drawn.

    A drive has one weather and one place, so that its frames fail together: what a model does on
    other drives is only as sure as there are drives (the cluster bootstrap).
    """
    _, numbers = np.unique(bags, return_inverse=True)
    count = int(numbers.max()) + 1
    drawn = np.bincount(random.integers(0, count, count), minlength=count)
    weights: Weights = drawn[numbers].astype(np.int64)
    return weights


def percentile_interval(value: float, drawn: NDArray[np.float64]) -> Interval:
    """A value of all frames, with 95 % of those of the resamples; NaN where one has none."""
    present = drawn[~np.isnan(drawn)]
    if not present.size or np.isnan(value):
        return Interval(value, float("nan"), float("nan"))
    low, high = np.quantile(present, [0.025, 0.975])
    return Interval(value, float(low), float(high))
