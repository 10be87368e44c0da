"""Processes that keep the processor busy, as other programs on a robot do."""

from __future__ import annotations

import subprocess
import sys

from yolact_ros.errors import WorkerError
from yolact_ros.workers import how_it_ended

__all__ = ["CompetingLoad"]

# Ends by itself when the process that started it is gone, however that ended.
_PROGRAM = """
import os
parent = os.getppid()
while os.getppid() == parent:
    for _ in range(200000):
        pass
"""


class CompetingLoad:
    """Busy processes for as long as the ``with`` block lasts.

    Args:
        processes: how many; each takes one core.

    Raises:
        WorkerError: at the end of the block: one died before.
    """

    def __init__(self, processes: int) -> None:
        self._count = processes
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> CompetingLoad:
        for _ in range(self._count):
            self._processes.append(subprocess.Popen([sys.executable, "-S", "-c", _PROGRAM]))
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        codes = [code for process in self._processes if (code := process.poll()) is not None]
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait()
        self._processes.clear()
        if codes and kind is None:
            raise WorkerError(
                f"a busy process beside the network {how_it_ended(codes[0])}, so the times were "
                "measured with less load than asked for: run it again"
            )
