"""Converting and compiling a network for ``auto`` in a process of its own.

A node that works on images has it done so. Compiling is a minute or more of Python, which holds up
the node's threads at every operation, and no thread can be stopped in it. An image of the bundled
model on eager took 3.9 times as long while a thread compiled, 1.6 times beside this process (both
on one thread, on a busy machine).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

from yolact_ros.inference.runtimes.scheduling import leave_real_time
from yolact_ros.workers import end_with_parent, how_it_ended, last_line

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

    command = [
        *(sys.executable, "-m", __name__, str(model), "--cache", str(cache_folder)),
        *("--input-size", str(input_size_px), "--precision", precision),
    ]
    with (
        tempfile.TemporaryFile("w+", errors="replace") as output,
        tempfile.TemporaryFile("w+", errors="replace") as errors,
    ):
        process = subprocess.Popen(
            command,
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Prepare what the command line names; prints the reasons as JSON."""
    leave_real_time()
    end_with_parent()
    from yolact_ros.openmp import wait_briefly

    wait_briefly()
    import torch

    from yolact_ros.inference.runtimes.selection import prepare_candidates
    from yolact_ros.models.checkpoint import load_network

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--input-size", type=int, required=True)
    parser.add_argument("--precision", required=True)
    parser.add_argument("--cache", type=Path, required=True)
    args = parser.parse_args(arguments)
    unavailable = prepare_candidates(
        load_network(args.model, input_size_px=args.input_size).eval(),
        device=torch.device("cpu"),
        precision=args.precision,
        cache_folder=args.cache,
    )
    print(json.dumps(unavailable), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
