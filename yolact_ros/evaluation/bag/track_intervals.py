"""Intervals of tracking measures and of their differences, by the jackknife over seconds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from yolact_ros.evaluation.bag.bootstrap import Interval
from yolact_ros.evaluation.bag.run_statistics import TRACK_STATISTICS

__all__ = ["track_differences", "track_values"]

# Standard errors to each side of a value for 95 %.
SIDES = 1.96


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
