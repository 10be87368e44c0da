"""What the stamps of a camera's images say: age, and stamps that cannot be right."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["StampMonitor", "StampReading"]


@dataclass(frozen=True)
class StampReading:
    """One image's stamp.

    Attributes:
        age_ms: reception minus stamp; 0 where the stamp is zero.
        problem: "", "zero stamp" or "stamp ran backwards".
    """

    age_ms: float
    problem: str = ""


class StampMonitor:
    """Reads one camera's stamps in the order of the images."""

    def __init__(self) -> None:
        self._last_stamp_ns = 0

    def read(self, stamp_ns: int, received_ns: int) -> StampReading:
        """Judge a stamp; both times are nanoseconds of the node's ROS clock.

        After a stamp that runs backwards, as when a bag starts again, the new time counts.
        """
        if stamp_ns == 0:
            return StampReading(0.0, "zero stamp")
        backwards = stamp_ns < self._last_stamp_ns
        self._last_stamp_ns = stamp_ns
        age_ms = (received_ns - stamp_ns) / 1e6
        return StampReading(age_ms, "stamp ran backwards" if backwards else "")
