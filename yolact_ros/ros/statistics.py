"""What became of a camera's frames: counters, rates and latencies."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

__all__ = ["DROP_CAUSES", "CameraStatistics", "StatisticsSnapshot"]

RECENT_FRAMES = 300
DROP_CAUSES = ("replaced", "skipped", "stale", "late", "failed", "discarded")


@dataclass(frozen=True)
class StatisticsSnapshot:
    """Counters since the node was configured, and rates since the previous snapshot.

    Attributes:
        dropped: images that did not become a message, by :data:`DROP_CAUSES`: "replaced" by a
            newer one while waiting, "skipped" to the next because it had waited too long to be in
            time, "stale" on arrival, "late" under the policy ``drop``,
            "failed", "discarded" because the node was deactivated.
        lost: images that the transport says it lost before they reached the node.
        deadline_misses: messages, and late drops, over the frame budget.
        degraded: messages that gave up quality for their deadline.
        batched: messages, and late drops, worked on together with other cameras' images.
        latency_p50_ms, latency_p95_ms, latency_p99_ms: from reception to publication over the
            last frames; 0 before the first.
        quiet_s: seconds since the last image arrived, or since the camera was subscribed to.
        unanswered: as ``dropped``, since the last message.
        unanswered_s: seconds since the first image after the last message; 0 without one.
    """

    received: int
    published: int
    dropped: Mapping[str, int]
    lost: int
    deadline_misses: int
    degraded: int
    batched: int
    received_hz: float
    published_hz: float
    latency_p50_ms: float
    latency_p95_ms: float
    latency_p99_ms: float
    quiet_s: float
    unanswered: Mapping[str, int]
    unanswered_s: float


class CameraStatistics:
    """Counts one camera's frames. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._received = 0
        self._published = 0
        self._dropped: Counter[str] = Counter()
        self._lost = 0
        self._deadline_misses = self._degraded = self._batched = 0
        self._latencies_ms: deque[float] = deque(maxlen=RECENT_FRAMES)
        self._last_received_s = self._last_snapshot_s = clock()
        self._received_before = self._published_before = 0
        self._unanswered: Counter[str] = Counter()
        self._unanswered_since_s: float | None = None

    def count_received(self) -> None:
        """An image arrived."""
        now_s = self._clock()
        with self._lock:
            self._received += 1
            self._last_received_s = now_s
            if self._unanswered_since_s is None:
                self._unanswered_since_s = now_s

    def count_lost(self, frames: int) -> None:
        """The transport lost images."""
        with self._lock:
            self._lost += frames

    def await_images(self) -> None:
        """Images can arrive from now on; that none did before is no silence."""
        with self._lock:
            self._last_received_s = self._clock()
            self._answered()

    def count_dropped(self, cause: str, frames: int = 1) -> None:
        """Received images will not become messages; ``cause`` is one of :data:`DROP_CAUSES`."""
        if cause not in DROP_CAUSES:
            raise ValueError(f"drop cause {cause!r} is none of {DROP_CAUSES}")
        with self._lock:
            self._dropped[cause] += frames
            self._unanswered[cause] += frames

    def count_finished(
        self,
        latency_ms: float,
        *,
        deadline_met: bool,
        published: bool,
        degraded: bool = False,
        batched: bool = False,
    ) -> None:
        """Work on a frame reached its end; one that is not published is a late drop."""
        with self._lock:
            self._latencies_ms.append(latency_ms)
            self._deadline_misses += not deadline_met
            self._batched += batched
            if published:
                self._published += 1
                self._degraded += degraded
                self._answered()
            else:
                self._dropped["late"] += 1
                self._unanswered["late"] += 1

    def _answered(self) -> None:
        self._unanswered.clear()
        self._unanswered_since_s = None

    def snapshot(self) -> StatisticsSnapshot:
        """Everything counted so far; starts a new interval for the rates."""
        now_s = self._clock()
        with self._lock:
            elapsed_s = max(now_s - self._last_snapshot_s, 1e-9)
            latencies_ms = list(self._latencies_ms)
            percentiles = np.percentile(latencies_ms, (50, 95, 99)) if latencies_ms else (0, 0, 0)
            snapshot = StatisticsSnapshot(
                received=self._received,
                published=self._published,
                dropped={cause: self._dropped[cause] for cause in DROP_CAUSES},
                lost=self._lost,
                deadline_misses=self._deadline_misses,
                degraded=self._degraded,
                batched=self._batched,
                received_hz=(self._received - self._received_before) / elapsed_s,
                published_hz=(self._published - self._published_before) / elapsed_s,
                latency_p50_ms=float(percentiles[0]),
                latency_p95_ms=float(percentiles[1]),
                latency_p99_ms=float(percentiles[2]),
                quiet_s=now_s - self._last_received_s,
                unanswered=dict(self._unanswered),
                unanswered_s=now_s - (self._unanswered_since_s or now_s),
            )
            self._last_snapshot_s = now_s
            self._received_before = self._received
            self._published_before = self._published
        return snapshot
