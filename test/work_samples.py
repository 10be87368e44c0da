"""Work for executors; other processes import it from here."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path


def kill_or_double(number: int) -> int:
    """The process dies of a 3."""
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return 2 * number


def refuse(number: int, unlucky: int) -> int:
    if number == unlucky:
        raise ValueError("unlucky")
    return number


def kill_once(marker: Path) -> int:
    """The first process to try it dies."""
    if not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return len(marker.name)


def work_long(seconds: float) -> float:
    """Long enough to be killed meanwhile."""
    time.sleep(seconds)
    return seconds


def node_and_gpu(_: int) -> tuple[str, str]:
    """Of Ray: where this runs, and the GPU that it sees."""
    import ray

    time.sleep(0.2)  # so that no worker takes all
    return ray.get_runtime_context().get_node_id(), os.environ.get("CUDA_VISIBLE_DEVICES", "")
