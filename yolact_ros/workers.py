"""Processes that do a part of the work: quiet at Ctrl-C, ended with this one.

``subprocess``, torch's loader and ``concurrent.futures`` start them and notice when they die; here
is what all have in common.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self  # of typing from Python 3.11 on

from yolact_ros.errors import WorkerError
from yolact_ros.signals import interrupts_held

__all__ = ["Workers", "end_with_parent", "how_it_ended", "last_line", "leave_real_time"]

PR_SET_PDEATHSIG = 1
_USUAL_CAUSES = {"SIGKILL": " (out of memory?)", "SIGBUS": " (no space left in /dev/shm?)"}


def end_with_parent() -> None:
    """Let the kernel end this process when the thread that started it ends, however that ends.

    Does nothing where there is no Linux.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    parent = multiprocessing.parent_process()
    if parent is not None and os.getppid() != parent.pid:
        os._exit(1)  # it died before the call


def leave_real_time(pid: int = 0) -> None:
    """Put a process, 0 is this one, into the ordinary class if it inherited a real-time one.

    Real-time programs keep all others out; a conversion or compilation takes seconds to minutes.
    """
    if os.sched_getscheduler(pid) in (os.SCHED_FIFO, os.SCHED_RR):
        os.sched_setscheduler(pid, os.SCHED_OTHER, os.sched_param(0))


def how_it_ended(exit_code: int) -> str:
    """Words for an exit status as ``subprocess`` and ``multiprocessing`` give it."""
    if exit_code >= 0:
        return f"ended with exit status {exit_code}"
    try:
        name = signal.Signals(-exit_code).name
    except ValueError:
        name = f"signal {-exit_code}"
    return f"was killed by {name}{_USUAL_CAUSES.get(name, '')}"


def last_line(output: str) -> str:
    """The last line of a program's output that says anything, which names its error; or ""."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1] if lines else ""


class Workers:
    """Worker processes for as long as the ``with`` block lasts.

    Whoever starts them does it inside :meth:`starting`. If one dies and torch's loader or
    ``concurrent.futures`` says so inside the block, the block ends with an error that tells how it
    died and what it said last. No worker is alive after the block.

    Args:
        work: what one does, such as "prepares images".
        cure: what the user can do about one that died.

    Raises:
        WorkerError: at the end of the block: one died.
    """

    def __init__(self, work: str, cure: str) -> None:
        self._work = work
        self._cure = cure
        self._processes: list[BaseProcess] = []
        # Closed at the end of the block.
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115

    @contextmanager
    def starting(self) -> Iterator[None]:
        """What is started in here is one of the workers.

        Their errors, those of their imports too, go to a file, and Ctrl-C does not reach them: it
        is for this process, which ends them.
        """
        with interrupts_held():
            before = set(multiprocessing.active_children())
            sys.stderr.flush()
            own = os.dup(2)
            os.dup2(self._errors.fileno(), 2)
            # Where it has to start, multiprocessing unblocks SIGINT afterwards.
            resource_tracker.ensure_running()
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            try:
                yield
            finally:
                os.dup2(own, 2)
                os.close(own)
                self._processes += set(multiprocessing.active_children()) - before

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        with interrupts_held():
            for process in self._processes:
                process.terminate()
            for process in self._processes:
                process.join()
            with self._errors:
                self._errors.seek(0)
                output = self._errors.read().decode(errors="replace")
        if _tells_of_a_death(error):
            said = last_line(output)
            raise WorkerError(
                f"a process that {self._work} {self._how_one_ended()}"
                f"{': ' + said if said else ''}; {self._cure}"
            ) from None
        if error is None:
            sys.stderr.write(output)

    def _how_one_ended(self) -> str:
        for process in self._processes:
            # The others were ended, by this block or by concurrent.futures.
            if process.exitcode not in (None, 0, -signal.SIGTERM):
                return how_it_ended(process.exitcode)
        return "died"


def _tells_of_a_death(error: BaseException | None) -> bool:
    """Whether the error is how ``concurrent.futures`` or torch's loader reports a dead worker."""
    return isinstance(error, BrokenExecutor) or (
        isinstance(error, RuntimeError) and str(error).startswith("DataLoader worker")
    )
