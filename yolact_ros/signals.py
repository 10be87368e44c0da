"""SIGINT and SIGTERM at a moment that the program chooses.

A ``KeyboardInterrupt`` comes wherever the program is: in an import, in the middle of starting a
process, or in a callback of rclpy's executor, which then aborts. Nothing is imported here but the
standard library, so that a program can hear its signals before its own imports, which take
seconds.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

__all__ = ["StopSignal", "interrupts_held"]

END_WITHIN_S = 1.5


class StopSignal:
    """Set once SIGINT or SIGTERM has come; make one for a process, in its main thread.

    Until :meth:`ends_itself` is called, a signal ends the process at once with exit code 0:
    nothing is there yet that must be put away. A thread does it, because Python's own handler
    waits while the main thread is in a library.
    """

    def __init__(self) -> None:
        self._event = threading.Event()
        self._end_within_s: float | None = 0.0
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _pass)
        # A daemon: it is there until the end of the process.
        threading.Thread(target=self._watch, args=(reader,), name="signals", daemon=True).start()

    def is_set(self) -> bool:
        """Whether a signal has come."""
        return self._event.is_set()

    def wait(self, timeout_s: float) -> bool:
        """Sleep until a signal comes; whether it did."""
        return self._event.wait(timeout_s)

    def ends_itself(self, within_s: float | None = END_WITHIN_S) -> None:
        """The program looks at :meth:`is_set` from now on and puts away what it holds.

        Args:
            within_s: seconds after the signal until the process ends with exit code 0 all the
                same, as where a network is being compiled; None leaves it the time it takes.
        """
        self._end_within_s = within_s

    def exit(self, code: int) -> NoReturn:
        """End the process; instead of ``sys.exit``, once everything is put away.

        Taking interpreter and libraries apart takes a second or more, in which the signal's time
        would not be kept, and there is nothing left for it to do.
        """
        atexit._run_exitfuncs()
        _leave(code)

    def _watch(self, reader: int) -> None:
        os.read(reader, 1)
        self._event.set()
        within_s = self._end_within_s
        if within_s is None:
            return
        time.sleep(within_s)
        _leave(0)


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Let Ctrl-C wait for the end of the ``with`` block, which then raises what it raises.

    The processes that are started in the block do not hear it: it is for this one, which ends
    them.
    """
    came = False

    def note(*_: object) -> None:
        nonlocal came
        came = True

    # Blocking it here is for those processes, which inherit that. It does not keep Ctrl-C away:
    # the kernel gives it to another thread, such as one of torch's, and Python answers in the
    # main thread.
    in_main = threading.current_thread() is threading.main_thread()
    previous = signal.signal(signal.SIGINT, note) if in_main else None
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if in_main:
            signal.signal(signal.SIGINT, previous)
        if came:
            signal.raise_signal(signal.SIGINT)


def _leave(code: int) -> NoReturn:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):  # as a pipe that nobody reads any more
            stream.flush()
    os._exit(code)


def _pass(*_: object) -> None:
    """A handler of our own keeps Python from raising KeyboardInterrupt."""
