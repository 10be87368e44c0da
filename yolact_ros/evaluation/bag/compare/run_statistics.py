"""The numbers that a comparison holds against each other, with their intervals.

Those of frames are functions of how often every frame counts, which is resampled; those of tracks
have intervals by the jackknife over seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from yolact_ros.evaluation.bag.compare.bootstrap import Interval, WeightedAp, Weights
from yolact_ros.evaluation.bag.scoring.matches import MatchTable
from yolact_ros.evaluation.bag.scoring.tables import FrameTable
from yolact_ros.evaluation.coco import IouType
from yolact_ros.evaluation.text import number

__all__ = [
    "STATISTICS",
    "TRACK_STATISTICS",
    "RunStatistics",
    "Statistic",
    "track_differences",
    "track_values",
]

# Standard errors to each side of a value for 95 %.
SIDES = 1.96

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Statistic:
    """One number of a run.

    Attributes:
        name: key in JSON.
        label: for people.
        higher_is_better: None where neither is.
        scale: multiplied for display, 100 for per cent.
        digits: shown after the point.
    """

    name: str
    label: str
    higher_is_better: bool | None
    scale: float = 1.0
    digits: int = 2

    def shown(self, value: float, *, signed: bool = False) -> str:
        """A value of the statistic as text."""
        return f"{value * self.scale:{'+' if signed else ''}.{self.digits}f}"

    def shown_interval(self, value: Interval | None, *, signed: bool = False) -> str:
        """``value [low, high]``; the value alone where it has no interval, a dash for None."""
        if value is None:
            return number(None)
        low, middle, high = (
            self.shown(end, signed=signed) for end in (value.low, value.value, value.high)
        )
        return middle if np.isnan(value.low) else f"{middle} [{low}, {high}]"


STATISTICS = (
    Statistic("mask_ap", "mask AP, %", True, 100, 2),
    Statistic("mask_ap50", "mask AP at IoU 0.5, %", True, 100, 2),
    Statistic("box_ap", "box AP, %", True, 100, 2),
    Statistic("precision", "precision at the operating score, %", True, 100, 1),
    Statistic("recall", "recall at the operating score, %", True, 100, 1),
    Statistic("mean_iou", "mean mask IoU of hits", True, 1, 3),
    Statistic("count", "instances a frame", None, 1, 2),
    Statistic("steadiness", "steadiness", True, 1, 3),
    Statistic("score_flicker", "score flicker", False, 1, 4),
    Statistic("blink_rate", "blink rate, %", False, 100, 2),
    Statistic("latency_p50_ms", "latency p50, ms", False, 1, 2),
    Statistic("latency_p95_ms", "latency p95, ms", False, 1, 2),
    Statistic("miss_rate", "deadlines missed, %", False, 100, 2),
    Statistic("drop_rate", "frames without a result, %", False, 100, 2),
    Statistic("image_age_p95_ms", "image age p95, ms", False, 1, 2),
)

# Of tracks, which go through many frames: not resampled by frames.
TRACK_STATISTICS = (
    Statistic("hota", "HOTA, %", True, 100, 1),
    Statistic("assa", "AssA (association), %", True, 100, 1),
    Statistic("idf1", "IDF1, %", True, 100, 1),
    Statistic("mota", "MOTA, %", True, 100, 1),
    Statistic("id_switches", "id switches", False, 1, 0),
)


class RunStatistics:
    """All statistics of one run over chosen frames.

    Args:
        frames: of the run.
        matches: verdicts by IoU type, with rows of ``frames``.
        rows: the frames that take part, as rows of ``frames``; weights (int64[len(rows)], how
            often each counts) are in this order.
    """

    def __init__(
        self, frames: FrameTable, matches: Mapping[IouType, MatchTable], rows: Rows
    ) -> None:
        self._frames = frames[rows]
        place = np.full(len(frames), -1, np.int64)
        place[rows] = np.arange(len(rows))
        self._ap = {
            iou_type: WeightedAp(table.renumbered(place), len(rows))
            for iou_type, table in matches.items()
        }

    def __call__(self, weights: Weights) -> NDArray[np.float64]:
        """Every statistic of :data:`STATISTICS`, float64[15]; NaN where the run has none."""
        values = dict.fromkeys((statistic.name for statistic in STATISTICS), np.nan)
        if "segm" in self._ap:
            by_threshold = self._ap["segm"](weights)
            values["mask_ap"] = float(by_threshold.mean())
            values["mask_ap50"] = float(by_threshold[0])
        if "bbox" in self._ap:
            values["box_ap"] = float(self._ap["bbox"](weights).mean())

        def ratio(upper: str, *lower: str) -> float:
            below = sum(self._sum(name, weights) for name in lower)
            return self._sum(upper, weights) / below if below else float("nan")

        values["precision"] = ratio("true_positives", "true_positives", "false_positives")
        values["recall"] = ratio("true_positives", "true_positives", "false_negatives")
        values["mean_iou"] = ratio("iou_sum", "true_positives")
        values["score_flicker"] = ratio("score_change_sum", "matched_pairs")
        values["blink_rate"] = ratio("blinks", "num_before_last")
        values["count"] = self._mean("num_instances", weights)
        values["steadiness"] = self._mean("steadiness", weights)
        values["miss_rate"] = 1.0 - self._mean("deadline_met", weights)
        values["drop_rate"] = 1.0 - self._mean("processed", weights)
        values["latency_p50_ms"] = self._percentile("total_ms", weights, 50)
        values["latency_p95_ms"] = self._percentile("total_ms", weights, 95)
        values["image_age_p95_ms"] = self._percentile("image_age_ms", weights, 95)
        return np.array([values[statistic.name] for statistic in STATISTICS])

    def _sum(self, column: str, weights: Weights) -> float:
        return float(np.nansum(self._frames[column] * weights))

    def _mean(self, column: str, weights: Weights) -> float:
        values = self._frames[column]
        there = ~np.isnan(values)
        total = weights[there].sum()
        return float(values[there] @ weights[there] / total) if total else float("nan")

    def _percentile(self, column: str, weights: Weights, percent: float) -> float:
        drawn = np.repeat(self._frames[column], weights)
        drawn = drawn[~np.isnan(drawn)]
        return float(np.percentile(drawn, percent)) if drawn.size else float("nan")


def track_values(metrics: Mapping[str, Any]) -> dict[str, Interval]:
    """The measures of one run by name, of masks or, without them, of boxes; empty without any."""
    values, left_out = _parts(metrics)
    return {name: _interval(values[name], left_out[name]) for name in values}


def track_differences(first: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Interval]:
    """What the second run has more than the first.

    The same second is left out of both, where both have as many; else there is no interval.
    """
    ours, ours_left_out = _parts(first)
    theirs, theirs_left_out = _parts(other)
    differences = {}
    for name in ours.keys() & theirs.keys():
        before, after = ours_left_out[name], theirs_left_out[name]
        paired = after - before if len(before) == len(after) else np.zeros(0)
        differences[name] = _interval(theirs[name] - ours[name], paired)
    return differences


def _parts(metrics: Mapping[str, Any]) -> tuple[dict[str, float], dict[str, NDArray[np.float64]]]:
    tracking = metrics.get("tracking", {})
    kind = next((name for name in ("segm", "bbox") if name in tracking), None)
    if kind is None:
        return {}, {}
    names = [s.name for s in TRACK_STATISTICS if tracking[kind][s.name] is not None]
    left_out = tracking["without_block"][kind]
    return (
        {name: float(tracking[kind][name]) for name in names},
        {name: np.array(left_out[name], np.float64) for name in names},
    )


def _interval(value: float, left_out: NDArray[np.float64]) -> Interval:
    """Of a value and what it is without each block (Efron and Stein 1981)."""
    count = len(left_out)
    if count < 2 or np.isnan(left_out).any():
        return Interval(value, float("nan"), float("nan"))
    error = float(np.sqrt((count - 1) / count * ((left_out - left_out.mean()) ** 2).sum()))
    return Interval(value, value - SIDES * error, value + SIDES * error)
