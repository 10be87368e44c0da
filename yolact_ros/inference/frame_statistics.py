"""What became of the frames: latencies, misses, drops by cause and time on each rung."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from yolact_ros.inference.cost import quantile
from yolact_ros.inference.ladder import Degradation, Rung

__all__ = ["DropCause", "FrameStatistics", "StatisticsSummary"]

RECENT_FRAMES = 1000


class DropCause(Enum):
    """Why a received frame was not published."""

    REPLACED = "replaced"
    """A newer frame of the camera arrived before work on it began."""
    GAVE_WAY = "gave way"
    """It had waited too long to be in time; the next one, due at once, will be."""
    STALE = "stale"
    """Its stamp was older than the largest image age allowed."""
    LATE = "late"
    """It missed its deadline and the overrun policy is ``drop``."""
    FAILED = "failed"
    """Work on it was abandoned."""


@dataclass(frozen=True)
class StatisticsSummary:
    """A snapshot; latencies from reception to publication over the recent frames.

    Attributes:
        frames_finished: frames worked on to the end, published or dropped late.
        frames_missed: those of them that were over their deadline.
        miss_ratio: ``frames_missed / frames_finished``; 0 before the first frame.
        recent_miss_ratio: the same over the recent frames.
        latency_p50_ms, latency_p95_ms, latency_p99_ms: of the recent frames; 0 before the first.
        drops: dropped frames by cause; every cause is present.
        frames_by_rung: finished frames on each rung used.
        frames_degraded: finished frames that gave something up.
        rung_changes: how often a frame used another rung than the one before.
    """

    frames_finished: int
    frames_missed: int
    miss_ratio: float
    recent_miss_ratio: float
    latency_p50_ms: float
    latency_p95_ms: float
    latency_p99_ms: float
    drops: Mapping[DropCause, int]
    frames_by_rung: Mapping[Rung, int]
    frames_degraded: int
    rung_changes: int


class FrameStatistics:
    """Counters of one budget."""

    def __init__(self) -> None:
        self._recent: deque[tuple[float, bool]] = deque(maxlen=RECENT_FRAMES)
        self._drops: Counter[DropCause] = Counter()
        self._frames_by_rung: Counter[Rung] = Counter()
        self._last_rung: Rung | None = None
        self._finished = 0
        self._missed = 0
        self._degraded = 0
        self._rung_changes = 0

    def count_drop(self, cause: DropCause, frames: int = 1) -> None:
        """Count received frames that will not be published."""
        self._drops[cause] += frames

    def count_frame(
        self, rung: Rung, latency_ms: float, *, missed: bool, given_up: Degradation
    ) -> None:
        """Count a frame worked on to the end."""
        self._recent.append((latency_ms, missed))
        self._finished += 1
        self._missed += missed
        self._degraded += given_up is not Degradation.NONE
        self._frames_by_rung[rung] += 1
        self._rung_changes += self._last_rung is not None and self._last_rung != rung
        self._last_rung = rung

    def summary(self) -> StatisticsSummary:
        """A snapshot of everything counted so far."""
        latencies_ms = [latency_ms for latency_ms, _ in self._recent]
        return StatisticsSummary(
            frames_finished=self._finished,
            frames_missed=self._missed,
            miss_ratio=self._missed / max(self._finished, 1),
            recent_miss_ratio=sum(missed for _, missed in self._recent)
            / max(len(self._recent), 1),
            latency_p50_ms=quantile(latencies_ms, 0.50),
            latency_p95_ms=quantile(latencies_ms, 0.95),
            latency_p99_ms=quantile(latencies_ms, 0.99),
            drops={cause: self._drops[cause] for cause in DropCause},
            frames_by_rung=dict(self._frames_by_rung),
            frames_degraded=self._degraded,
            rung_changes=self._rung_changes,
        )
