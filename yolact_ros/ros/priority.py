"""The order in which the kernel runs this process and others."""

from __future__ import annotations

import os
import resource
from contextlib import suppress
from pathlib import Path

__all__ = ["describe_scheduling", "run_in_real_time"]

_NAMES = {
    os.SCHED_OTHER: "normal",
    os.SCHED_RR: "round robin",
    os.SCHED_FIFO: "first in, first out",
}


def run_in_real_time(priority: int) -> str:
    """Run the threads of this process before all ordinary ones; new threads inherit it.

    All of them, since each holds Python's interpreter now and then: one that waited for a CPU
    meanwhile would stop those that may run.

    Args:
        priority: of SCHED_RR, 1..99; 0 leaves the process as it was started.

    Returns:
        why the system refuses it, with the cure; empty where it does not.
    """
    if not priority:
        return ""
    done: set[int] = set()
    try:
        # Again for those that others started meanwhile.
        while threads := _threads() - done:
            for thread in threads:
                _set(thread, priority)
            done |= threads
    except OSError as error:
        most = resource.getrlimit(resource.RLIMIT_RTPRIO)[0]
        return (
            f"realtime_priority is {priority}, and the system refuses it ({error.strerror}; the "
            f"limit of this user is {most}): put the line `@robot - rtprio {priority}` for the "
            "user's group into /etc/security/limits.d/yolact.conf and log in again, or give the "
            "process CAP_SYS_NICE (systemd: LimitRTPRIO, Docker: --cap-add sys_nice); it goes on "
            "at normal priority"
        )
    return ""


def describe_scheduling() -> str:
    """Policy and priority of the calling thread, for people."""
    policy = os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK
    priority = os.sched_getparam(0).sched_priority
    text = _NAMES.get(policy, f"policy {policy}")
    return f"{text}, priority {priority}" if priority else text


def _threads() -> set[int]:
    return {int(path.name) for path in Path("/proc/self/task").iterdir()}


def _set(thread: int, priority: int) -> None:
    with suppress(ProcessLookupError):  # it has ended
        os.sched_setscheduler(thread, os.SCHED_RR, os.sched_param(priority))
