"""A stretch of a bag, which can be evaluated by itself."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

__all__ = ["WHOLE", "Segment", "cut"]

# A segment takes a few milliseconds of its own, and what a dead worker had done of it is lost.
LEAST_FRAMES = 50
MOST_SEGMENTS = 100


@dataclass(frozen=True)
class Segment:
    """Messages of a bag by log time; by default all.

    Attributes:
        start_ns: the first is not before; None is the beginning of the bag.
        stop_ns: the last is before; None is the end of the bag.
        limit: most messages; 0 takes all.
    """

    start_ns: int | None = None
    stop_ns: int | None = None
    limit: int = 0

    @property
    def is_part(self) -> bool:
        """Others come before or after."""
        return (self.start_ns, self.stop_ns) != (None, None)


WHOLE = Segment()


def cut(time_range_ns: tuple[int, int] | None, num_frames: int | None) -> tuple[Segment, ...]:
    """Segments of equal duration that are the whole bag together.

    Every image of a bag stands for itself, so any time will do. The result depends on the bag
    alone: whoever goes on with an evaluation finds the same segments.

    Args:
        time_range_ns: of the bag; None where it cannot be cut.
        num_frames: of the topic; None likewise.
    """
    count = min(MOST_SEGMENTS, (num_frames or 0) // LEAST_FRAMES)
    if time_range_ns is None or count < 2:
        return (WHOLE,)
    first_ns, last_ns = time_range_ns
    times = sorted({first_ns + (last_ns - first_ns) * n // count for n in range(1, count)})
    return tuple(Segment(start, stop) for start, stop in pairwise([None, *times, None]))
