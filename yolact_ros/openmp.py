"""How the threads of torch's operations wait for each other."""

from __future__ import annotations

import contextlib
import ctypes
import os
from pathlib import Path

__all__ = ["release_threads", "wait_briefly"]

# Turns of libgomp's loop, about 50 us, which is longer than most waits at the end of a layer where
# nothing else wants the cores. Sleeping at once instead makes a frame of the light network at
# 320 px 1.3 to 1.5 times as slow in eager there, 2 times in ncnn, and no faster beside two busy
# programs; with 3000 turns it is 1.35 times as slow beside ten.
SPIN_COUNT = "2000"

# omp_pause_soft: settings such as the number of threads stay.
_PAUSE_SOFT = 1


def wait_briefly() -> None:
    """Let waiting threads spin for a moment, then sleep; what a user has set himself stays.

    For programs, to be called before torch is imported: libgomp reads the variables
    ``OMP_WAIT_POLICY`` and ``GOMP_SPINCOUNT`` when it is loaded. By default its threads spin for
    milliseconds at the end of every layer, so where other programs want the cores too, each waits
    for one that has none: a frame of the light network at 320 px took 2.0 to 3.6 s on two cores
    with ten other busy processes.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
        os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)


def release_threads() -> None:
    """End the threads that libgomp keeps for the calling one, which does no more heavy work.

    Each thread that ran an operation of torch has a team of its own, and once all teams together
    have more threads than there are cores, none of them spins. A network warmed up in one thread
    and run in another took 1.3 times as long in eager and 1.8 times in ncnn (light network, 320
    px). A later operation makes a new team. Nothing happens where there is no libgomp.
    """
    try:
        maps = Path("/proc/self/maps").read_text()
    except OSError:
        return
    for path in {line.split(maxsplit=5)[5] for line in maps.splitlines() if "libgomp" in line}:
        # A library whose file was replaced meanwhile cannot be found again, which harms nothing.
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(path).omp_pause_resource_all(_PAUSE_SOFT)
