"""Which result a consumer had when a frame's result was due."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import pairwise

from yolact_ros.evaluation.bag.frame import PROCESSED, FrameRecord

__all__ = ["FrameResult", "available_results", "frame_period_ms", "own_results"]

FrameResult = tuple[FrameRecord, FrameRecord | None]
"""A frame of the topic, and the one whose instances are scored against its truth, if any."""


def own_results(records: Iterable[FrameRecord]) -> Iterator[FrameResult]:
    """Every frame counts by its own result, however long it took."""
    return ((record, record if record.status == PROCESSED else None) for record in records)


def available_results(records: Iterable[FrameRecord], period_ms: float) -> Iterator[FrameResult]:
    """Every frame counts by what the consumer had when its result was due.

    That is the newest result, of this frame or one before, published no later than the frame's
    reception plus the budget; without a budget, no later than one frame period after it. A late
    or dropped frame is so scored by an older result, as streaming perception is (Li, Wang and
    Ramanan, "Towards Streaming Perception", 2020).

    Args:
        records: with ``timing`` where processed; a dropped frame has its reception there.
        period_ms: of the camera.
    """
    waiting: deque[tuple[float, FrameRecord]] = deque()
    available: FrameRecord | None = None
    for record in records:
        if timing := record.timing:
            if record.status == PROCESSED:
                waiting.append((timing.published_ms, record))
            due_ms = timing.received_ms + (timing.budget_ms or period_ms)
            while waiting and waiting[0][0] <= due_ms:
                available = waiting.popleft()[1]
        yield record, available


def frame_period_ms(log_times_ns: Iterable[int]) -> float:
    """Median time between two frames in milliseconds; 0 for fewer than two."""
    gaps = sorted(later - earlier for earlier, later in pairwise(log_times_ns))
    return gaps[len(gaps) // 2] / 1e6 if gaps else 0.0
