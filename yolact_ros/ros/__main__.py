"""``python -m yolact_ros.ros PROGRAM ...``: the package's programs that are no commands.

They hear SIGINT and SIGTERM before their imports, which take seconds, and then look at the signal
themselves.
"""

from __future__ import annotations

import importlib
import sys
from typing import NoReturn

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
    program = importlib.import_module(f"yolact_ros.ros.{PROGRAMS[name]}")
    stop.exit(program.main(sys.argv[2:], stop))


if __name__ == "__main__":
    main()
