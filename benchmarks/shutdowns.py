"""Whether the node ends cleanly at SIGINT and SIGTERM, whatever it is at.

python benchmarks/shutdowns.py --rounds 200

Starts ``yolact_node`` in a process group of its own, lets it come to a state - importing,
configuring, choosing a runtime, active at 30 Hz -, sends the signal to the whole group, as Ctrl-C
does, and waits for its end. Each must have exit code 0 within 2 s and leave no traceback.
Exit code 1 if one did not. States and signals take turns.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from yolact_ros.cli.demo_plan import default_clip
from yolact_ros.cli.demo_processes import free_domain_id

STATES = ("importing", "configuring", "choosing a runtime", "active")
SIGNALS = (signal.SIGINT, signal.SIGTERM)
LIMIT_S = 2.0
START_TIMEOUT_S = 120.0
SIGNS_OF_TROUBLE = ("Traceback", "terminate called", "FATAL", "[ERROR]", "pybind11")
NODE = Path(__file__).parents[1] / "scripts" / "yolact_node"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--states", nargs="+", choices=STATES, default=STATES)
    parser.add_argument("--seed", type=int, default=0, help="of the moments in a state")
    args = parser.parse_args()
    chance = random.Random(args.seed)
    environment = os.environ | {
        "ROS_DOMAIN_ID": str(free_domain_id()),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
    }
    took_s: dict[tuple[str, str], list[float]] = defaultdict(list)
    failures = 0
    turns = itertools.cycle(itertools.product(args.states, SIGNALS))
    with tempfile.TemporaryDirectory() as folder, camera(environment):
        for number, (state, signum) in zip(range(args.rounds), turns, strict=False):
            log = Path(folder) / f"{number}.log"
            # Of its own, and empty: a remembered choice would leave nothing to choose.
            cache = Path(folder) / "cache" if state == "active" else Path(folder) / f"{number}"
            code, seconds = end_node(
                state, signum, chance, log, environment | {"XDG_CACHE_HOME": str(cache)}
            )
            took_s[state, signum.name].append(seconds)
            output = log.read_text(errors="replace")
            trouble = [sign for sign in SIGNS_OF_TROUBLE if sign in output]
            if code != 0 or seconds > LIMIT_S or trouble:
                failures += 1
                print(f"{state}, {signum.name}: code {code}, {seconds:.2f} s\n{output}")
    print(f"{'state':20} {'signal':8} {'rounds':>6} {'median s':>9} {'longest s':>9}")
    for (state, name), values in sorted(took_s.items()):
        median_s = sorted(values)[len(values) // 2]
        print(f"{state:20} {name:8} {len(values):6} {median_s:9.2f} {max(values):9.2f}")
    print(f"{failures} of {args.rounds} did not end with code 0 within {LIMIT_S:g} s")
    return int(failures > 0)


def end_node(
    state: str,
    signum: signal.Signals,
    chance: random.Random,
    log: Path,
    environment: dict[str, str],
) -> tuple[int, float]:
    """Exit code and seconds from the signal to the end of a node in a state."""
    runtime = "auto" if state == "choosing a runtime" else "eager"
    command = [sys.executable, str(NODE), "--ros-args", "-r", "image:=/shutdowns"]
    command += ["-p", f"runtime:={runtime}"]
    with log.open("w") as output:
        process = subprocess.Popen(
            command,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_for(state, process, log, chance)
        begun_s = time.monotonic()
        os.killpg(process.pid, signum)
        code = process.wait(30)
        return code, time.monotonic() - begun_s
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def wait_for(
    state: str, process: subprocess.Popen[bytes], log: Path, chance: random.Random
) -> None:
    """Return at some moment of the state."""
    deadline_s = time.monotonic() + START_TIMEOUT_S
    maps = Path(f"/proc/{process.pid}/maps")

    def reached() -> bool:
        if state == "importing":
            return "python" in maps.read_text()
        if state == "configuring":
            # The middleware is loaded when the node is made, and then it configures.
            return "librmw_fastrtps" in maps.read_text()
        return "active on" in log.read_text(errors="replace")

    while not reached():
        if process.poll() is not None or time.monotonic() > deadline_s:
            sys.exit(f"the node did not come to {state}:\n{log.read_text()}")
        time.sleep(0.01)
    # Before the program's first line nobody can hear a signal: Python itself starts.
    least_s = 0.3 if state == "importing" else 0.0
    time.sleep(least_s + chance.uniform(0.0, {"importing": 1.5, "configuring": 1.0}.get(state, 3)))


@contextmanager
def camera(environment: dict[str, str]) -> Iterator[None]:
    """A camera at 30 Hz on /shutdowns, which waits for the node of each round."""
    command = [sys.executable, "-m", "yolact_ros.ros", "demo_camera", "--topic", "/shutdowns"]
    command += ["--source", str(default_clip()), "--rate", "30", "--duration", "86400"]
    command += ["--preload", "60", "--size", "640", "480", "--wait-s", "600"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(10)


if __name__ == "__main__":
    sys.exit(main())
