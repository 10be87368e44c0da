"""Converting and compiling a network for ``auto`` in a process of its own.

A node that works on images has it done so. Compiling is a minute or more of Python, which holds up
the node's threads at every operation, and no thread can be stopped in it. An image of the bundled
model on eager took 3.9 times as long while a thread compiled, 1.6 times beside this process (both
on one thread, on a busy machine).
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from yolact_ros.workers import end_with_parent, how_it_ended, last_line, leave_real_time

__all__ = ["main", "prepare_apart"]

POLL_S = 0.1
BUILT = ("openvino", "ncnn", "compiled")


def prepare_apart(
    model: Path,
    *,
    input_size_px: int,
    precision: str,
    cache_folder: Path,
    cancelled: threading.Event,
) -> dict[str, str]:
    """Fill the cache with what ``auto`` will open on the CPU; returns when that is done.

    ``cancelled`` ends the process that does it. Returns why, by the name of each runtime that
    cannot run here.
    """
    # Late, for the sake of the process: it imports torch.
    from yolact_ros.inference.runtimes.engine_cache import building_prefix

    arguments = (str(model), str(input_size_px), precision, str(cache_folder))
    with (
        tempfile.TemporaryFile("w+", errors="replace") as output,
        tempfile.TemporaryFile("w+", errors="replace") as errors,
    ):
        process = subprocess.Popen(
            (sys.executable, "-m", __name__, *arguments),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            # Ctrl-C is for the node; and so the compilers that it starts can be ended with it.
            start_new_session=True,
        )
        while process.poll() is None and not cancelled.wait(POLL_S):
            pass
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        output.seek(0)
        errors.seek(0)
        answer, said = last_line(output.read()), last_line(errors.read())
    for half_built in cache_folder.glob(f"{building_prefix(process.pid)}*"):
        shutil.rmtree(half_built, ignore_errors=True)
    try:
        unavailable: dict[str, str] = json.loads(answer)
    except ValueError:
        reason = f"the process that prepares it {how_it_ended(process.returncode)}"
        return dict.fromkeys(BUILT, f"{reason}: {said}" if said else reason)
    return unavailable


def main() -> None:
    """Prepare what :func:`prepare_apart` names; prints the reasons as JSON."""
    leave_real_time()
    end_with_parent()
    from yolact_ros.openmp import wait_briefly

    wait_briefly()
    import torch

    from yolact_ros.inference.runtimes.selection import prepare_candidates
    from yolact_ros.models.checkpoint import load_network

    model, input_size_px, precision, cache_folder = sys.argv[1:]
    unavailable = prepare_candidates(
        load_network(model, input_size_px=int(input_size_px)).eval(),
        device=torch.device("cpu"),
        precision=precision,
        cache_folder=Path(cache_folder),
    )
    print(json.dumps(unavailable), flush=True)


if __name__ == "__main__":
    main()
