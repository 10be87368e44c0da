"""A lock that threads get in the order in which they asked."""

from __future__ import annotations

import threading

__all__ = ["FairLock"]


class FairLock:
    """A lock that threads get in the order in which they asked; use it as ``with lock:``.

    ``threading.Lock`` promises no order: a thread that lets go and asks again at once, as one
    that works on image after image, can keep another out for as long as it likes.
    """

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._asked = 0
        self._served = 0

    def __enter__(self) -> None:
        with self._condition:
            number = self._asked
            self._asked += 1
            self._condition.wait_for(lambda: self._served == number)

    def __exit__(self, *_: object) -> None:
        with self._condition:
            self._served += 1
            self._condition.notify_all()
