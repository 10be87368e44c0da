"""What the stamps of a camera's images say: age, and stamps that cannot be right.

A bag that is played in a loop starts again with its first stamps. All that depends on stamps is in
here and starts afresh with them: the order of stamps and the age. The frame budget does not: its
costs, deadlines and arrivals are measured on a clock that never runs backwards, and a bag that
loops changes nothing about the machine. Counters and latencies count since configure.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["StampMonitor", "StampReading"]

# The clock of a bag follows its loop with the next message on /clock.
CLOCK_LAG_NS = 1_000_000_000


@dataclass(frozen=True)
class StampReading:
    """One image's stamp.

    Attributes:
        age_ms: reception minus stamp; 0 where it cannot be known.
        problem: "", "zero stamp", "stamp ran backwards" or "no clock".
    """

    age_ms: float
    problem: str = ""


class StampMonitor:
    """Reads one camera's stamps in the order of the images."""

    def __init__(self) -> None:
        self._last_stamp_ns = 0
        self._loop_end_ns: int | None = None

    def read(self, stamp_ns: int, received_ns: int, *, simulated: bool = False) -> StampReading:
        """Judge a stamp; both times are nanoseconds of the node's ROS clock.

        After a stamp that runs backwards, as when a bag starts again, the new time counts. Until
        a simulated clock has gone back too, ages are unknown: they would be those of the whole
        loop, and ``max_image_age_ms`` would drop its first images.

        Args:
            received_ns: when it arrived; 0 is a simulated clock that has not started.
            simulated: the clock is that of /clock.
        """
        if stamp_ns == 0:
            return StampReading(0.0, "zero stamp")
        loop_ns = self._last_stamp_ns - stamp_ns
        problem = "stamp ran backwards" if loop_ns > 0 else ""
        self._last_stamp_ns = stamp_ns
        if received_ns == 0:
            return StampReading(0.0, "no clock")
        age_ns = received_ns - stamp_ns
        if problem:
            lags = simulated and age_ns > loop_ns // 2
            self._loop_end_ns = received_ns if lags else None
        if self._loop_end_ns is not None:
            if 0 <= received_ns - self._loop_end_ns < CLOCK_LAG_NS:
                return StampReading(0.0, problem)
            self._loop_end_ns = None
        return StampReading(age_ns / 1e6, problem)
