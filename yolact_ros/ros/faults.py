"""Faults of the running node: counted by cause, reported without flooding the log."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping

__all__ = ["FaultLog"]

DEFAULT_PERIOD_S = 5.0


class FaultLog:
    """Counts faults by cause and writes one line per cause and period. Thread-safe.

    Args:
        write: receives each line, for example a logger's ``error``.
        period_s: least time between two lines of one cause, in seconds.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        write: Callable[[str], object],
        *,
        period_s: float = DEFAULT_PERIOD_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._write = write
        self._period_s = period_s
        self._clock = clock
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._silenced: Counter[str] = Counter()
        self._last_written_s: dict[str, float] = {}

    def report(self, cause: str, message: str, *, count: int = 1) -> None:
        """Count faults of one cause, and write ``message`` unless one was just written."""
        now_s = self._clock()
        with self._lock:
            self._counts[cause] += count
            last_s = self._last_written_s.get(cause)
            if last_s is not None and now_s - last_s < self._period_s:
                self._silenced[cause] += count
                return
            self._last_written_s[cause] = now_s
            silenced = self._silenced.pop(cause, 0)
        more = f" (and {silenced} more since the last such line)" if silenced else ""
        self._write(message + more)

    def counts(self) -> Mapping[str, int]:
        """Number of faults of every cause seen so far."""
        with self._lock:
            return dict(self._counts)
