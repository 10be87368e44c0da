"""Faults of the running node: counted by cause, reported without flooding the log."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping

__all__ = ["FaultLog"]

DEFAULT_PERIOD_S = 5.0


class FaultLog:
    """Counts faults by cause and writes one line per cause, subject and period. Thread-safe.

    Args:
        write: receives each line, for example a logger's ``error``.
        period_s: least time between two lines of one cause and subject, in seconds.
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
        self._silenced: Counter[tuple[str, str]] = Counter()
        self._last_written_s: dict[tuple[str, str], float] = {}

    def report(self, cause: str, message: str, *, count: int = 1, subject: str = "") -> None:
        """Count faults of one cause, and write ``message`` unless one was just written.

        Args:
            subject: what it is about; lines about other things silence none about this.
        """
        now_s, key = self._clock(), (cause, subject)
        with self._lock:
            self._counts[cause] += count
            last_s = self._last_written_s.get(key)
            if last_s is not None and now_s - last_s < self._period_s:
                self._silenced[key] += count
                return
            self._last_written_s[key] = now_s
            silenced = self._silenced.pop(key, 0)
        more = f" (and {silenced} more since the last such line)" if silenced else ""
        self._write(message + more)

    def counts(self) -> Mapping[str, int]:
        """Number of faults of every cause seen so far."""
        with self._lock:
            return dict(self._counts)
