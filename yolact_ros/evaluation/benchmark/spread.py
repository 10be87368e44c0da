"""Repeated times of one thing, summed up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Spread"]


@dataclass(frozen=True)
class Spread:
    """Times in milliseconds; on a busy machine the least one is the most trustworthy."""

    count: int
    min_ms: float
    p5_ms: float
    median_ms: float
    p95_ms: float

    @classmethod
    def of(cls, times_ms: Sequence[float]) -> Spread:
        """Of at least one time."""
        p5_ms, median_ms, p95_ms = np.percentile(times_ms, (5, 50, 95)).tolist()
        return cls(len(times_ms), float(min(times_ms)), p5_ms, median_ms, p95_ms)
