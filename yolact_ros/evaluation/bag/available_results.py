"""Which result a consumer had when a frame's result was due."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from yolact_ros.evaluation.bag.frame import PROCESSED, FrameRecord

__all__ = ["AvailableResult", "available_results", "own_results"]


@dataclass(frozen=True)
class AvailableResult:
    """A frame and the result that counts for it.

    Attributes:
        frame: of the topic.
        available: whose instances are scored against the frame's truth; None for no result.
    """

    frame: FrameRecord
    available: FrameRecord | None


def own_results(records: Iterable[FrameRecord]) -> Iterator[AvailableResult]:
    """Every frame counts by its own result, however long it took."""
    for record in records:
        yield AvailableResult(record, record if record.status == PROCESSED else None)


def available_results(
    records: Iterable[FrameRecord], period_ms: float
) -> Iterator[AvailableResult]:
    """Every frame counts by what the consumer had when its result was due.

    That is the newest result, of this frame or one before, published no later than the frame's
    reception plus the budget; without a budget, no later than one frame period after it. A late
    or dropped frame is so scored by an older result, as streaming perception is (Li, Wang and
    Ramanan, "Towards Streaming Perception", 2020).

    Args:
        records: with ``timing`` where processed; a dropped frame has its reception there.
        period_ms: of the camera.
    """
    waiting: deque[FrameRecord] = deque()
    available: FrameRecord | None = None
    for record in records:
        if record.timing is None:
            yield AvailableResult(record, available)
            continue
        if record.status == PROCESSED:
            waiting.append(record)
        due_ms = record.timing.received_ms + (record.timing.budget_ms or period_ms)
        while waiting and _published_ms(waiting[0]) <= due_ms:
            available = waiting.popleft()
        yield AvailableResult(record, available)


def _published_ms(record: FrameRecord) -> float:
    assert record.timing is not None
    return record.timing.published_ms


def frame_period_ms(log_times_ns: Iterable[int]) -> float:
    """Median time between two frames in milliseconds; 0 for fewer than two."""
    gaps = sorted(later - earlier for earlier, later in pairwise(log_times_ns))
    return gaps[len(gaps) // 2] / 1e6 if gaps else 0.0
