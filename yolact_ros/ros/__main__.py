"""``python -m yolact_ros.ros PROGRAM ...``: the package's programs that are no commands.

They hear SIGINT and SIGTERM before their imports, which take seconds, and then look at the signal
themselves.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import NoReturn

from yolact_ros.dependencies import required_packages
from yolact_ros.errors import DependencyError
from yolact_ros.signals import StopSignal

PROGRAMS = {
    "benchmark_probe": "benchmark_probe",
    "demo_camera": "demo.camera",
    "demo_viewer": "demo.viewer",
    "node": "node",
    "replay_steps": "launching.replay_steps",
}


def main() -> NoReturn:
    """Run the program that the command line names."""
    stop = StopSignal()
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in PROGRAMS:
        print(f"expected one of {', '.join(PROGRAMS)}, not {name!r}", file=sys.stderr)
        sys.exit(2)
    run(name, sys.argv[2:], stop)


def run(name: str, arguments: Sequence[str], stop: StopSignal) -> NoReturn:
    """Run one of :data:`PROGRAMS` to the end of the process."""
    try:
        with required_packages():
            program = importlib.import_module(f"yolact_ros.ros.{PROGRAMS[name]}")
    except DependencyError as error:
        print(f"{name}: error: {error}", file=sys.stderr)
        stop.exit(2)
    stop.exit(program.main(arguments, stop))


if __name__ == "__main__":
    main()
