"""The scheduling class of programs that the node starts."""

from __future__ import annotations

import os

__all__ = ["leave_real_time"]


def leave_real_time(pid: int = 0) -> None:
    """Put a process, 0 is this one, into the ordinary class if it inherited a real-time one.

    Real-time programs keep all others out; a conversion or compilation takes seconds to minutes.
    """
    if os.sched_getscheduler(pid) in (os.SCHED_FIFO, os.SCHED_RR):
        os.sched_setscheduler(pid, os.SCHED_OTHER, os.sched_param(0))
