"""Processes that keep the processor busy, as other programs on a robot do."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from yolact_ros.errors import WorkerError
from yolact_ros.signals import interrupts_held
from yolact_ros.workers import how_it_ended

__all__ = ["competing_load"]

# Ends by itself when the process that started it is gone, however that ended.
_PROGRAM = """
import os
parent = os.getppid()
while os.getppid() == parent:
    for _ in range(200000):
        pass
"""


@contextmanager
def competing_load(count: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """So many busy processes, one core each, for as long as the ``with`` block lasts.

    Raises:
        WorkerError: at the end of the block: one died before.
    """
    command = [sys.executable, "-S", "-c", _PROGRAM]
    processes: list[subprocess.Popen[bytes]] = []
    try:
        with interrupts_held():
            processes += [subprocess.Popen(command) for _ in range(count)]
        yield processes
        codes = [code for process in processes if (code := process.poll()) is not None]
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.wait()
    if codes:
        raise WorkerError(
            f"a busy process beside the network {how_it_ended(codes[0])}, so the times were "
            "measured with less load than asked for: run it again"
        )
