"""Statistics of results while they arrive: rate, latency, deadlines, drops, classes."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["LiveStatistics", "Result"]

WINDOW_S = 5.0


@dataclass(frozen=True)
class Result:
    """What one result message says.

    Attributes:
        received_s: when it arrived, seconds of any steady clock.
        latency_ms: from the image's stamp to that arrival.
        total_ms: from the image's reception in the node to the publication of the result.
        deadline_met: the node was in time.
        frames_dropped: newer frames took the place of so many since the result before.
        class_names: one a found instance.
    """

    received_s: float
    latency_ms: float
    total_ms: float
    deadline_met: bool
    frames_dropped: int
    class_names: tuple[str, ...]


class LiveStatistics:
    """Takes results in the order of arrival; the line looks at the last five seconds."""

    def __init__(self) -> None:
        self.count = 0
        self.dropped = 0
        self.longest_gap_s = 0.0
        self._window: deque[Result] = deque()
        self._latencies_ms: list[float] = []
        self._totals_ms: list[float] = []
        self._in_time = 0
        self._frames_with_class: Counter[str] = Counter()
        self._first_s = math.nan
        self._last_s = math.nan

    def add(self, result: Result) -> None:
        """Count one result."""
        if self.count == 0:
            self._first_s = result.received_s
        else:
            self.longest_gap_s = max(self.longest_gap_s, result.received_s - self._last_s)
        self._last_s = result.received_s
        self.count += 1
        self.dropped += result.frames_dropped
        self._in_time += result.deadline_met
        self._latencies_ms.append(result.latency_ms)
        self._totals_ms.append(result.total_ms)
        self._frames_with_class.update(set(result.class_names))
        self._window.append(result)
        while self._window[0].received_s < result.received_s - WINDOW_S:
            self._window.popleft()

    @property
    def last_s(self) -> float:
        """Arrival of the last result; NaN before the first."""
        return self._last_s

    def line(self, now_s: float) -> str:
        """One line about the last five seconds, for a terminal: rate, latency, drops, classes."""
        if not self._window:
            return "waiting for results"
        window = [result for result in self._window if result.received_s > now_s - WINDOW_S]
        latest = self._window[-1]
        span_s = now_s - max(self._first_s, now_s - WINDOW_S)
        rate_hz = len(window) / span_s if span_s > 0.5 else math.nan
        latencies_ms = [result.latency_ms for result in window or [latest]]
        in_time = 100 * sum(r.deadline_met for r in window) / len(window) if window else 0.0
        seen = Counter(latest.class_names)
        names = ", ".join(f"{count} {name}" for name, count in seen.most_common(4)) or "nothing"
        rate = "  -  " if math.isnan(rate_hz) else f"{rate_hz:5.1f}"
        p50_ms, p95_ms = _percentile(latencies_ms, 50), _percentile(latencies_ms, 95)
        return (
            f"{now_s - self._first_s:5.1f} s | {rate} Hz | {p50_ms:.0f} ms, p95 {p95_ms:.0f} ms | "
            f"in time {in_time:.0f} % | dropped {self.dropped} | {names}"
        )

    def summary(self) -> dict[str, Any]:
        """Numbers over all results, as plain JSON types; None where nothing was measured."""
        span_s = self._last_s - self._first_s
        return {
            "results": self.count,
            "seconds": _finite(span_s),
            "rate_hz": _finite((self.count - 1) / span_s) if self.count > 1 and span_s else None,
            "latency_p50_ms": _finite(_percentile(self._latencies_ms, 50)),
            "latency_p95_ms": _finite(_percentile(self._latencies_ms, 95)),
            "node_total_p50_ms": _finite(_percentile(self._totals_ms, 50)),
            "node_total_p95_ms": _finite(_percentile(self._totals_ms, 95)),
            "deadline_met_percent": _finite(100 * self._in_time / self.count)
            if self.count
            else None,
            "frames_dropped": self.dropped,
            "frames_with_class": dict(self._frames_with_class.most_common()),
        }


def _percentile(values: Sequence[float], percent: float) -> float:
    return float(np.percentile(values, percent)) if values else math.nan


def _finite(value: float) -> float | None:
    return round(value, 2) if math.isfinite(value) else None
