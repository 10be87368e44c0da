"""Command line of `./dev`."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TextIO

from devtool import commands
from devtool.layout import Layout
from devtool.problem import SetupProblem
from devtool.ros import RosSource, find_ros
from devtool.setup import bring_up_to_date
from devtool.steps import Steps

__all__ = ["main"]

HELP = """\
usage: ./dev [--ros DISTRO] COMMAND [arguments]

  demo [...]   segment a clip over real ROS 2 topics; `./dev demo --help` lists its options
  test [...]   lint, type check and tests; arguments go to pytest
  test --cpu   the numeric tests under lesser instruction sets than this CPU's (bf16 off, AVX2,
               SSE4), so that one machine shows what another will do
  lint         lint and type check only
  run CMD ...  one command in the environment, for example `./dev run yolact models list`
  shell        your shell in the environment
  build        set up everything, tools of the tests, Ray and S3 too, and build messages and
               package again
  clean        remove everything that ./dev made here
  help         this text

Each command first sets up what is missing: a virtual environment with locked versions,
torch, ROS 2 (the sourced one, else Jazzy from PyPI) and a colcon build of the package.
`--ros kilted` takes Kilted from PyPI, in an environment of its own.

  PYTHON=...             the Python to make the environment from (3.11 or 3.12)
  YOLACT_ROS_TORCH=...   cpu or cuda, where ./dev should not look for a GPU
"""

# They take Ray, which the demo need not wait for.
_WITH_TESTS = ("build", "lint", "test")

Command = Callable[[Layout, RosSource, Sequence[str]], int]


def _build(layout: Layout, ros: RosSource, arguments: Sequence[str]) -> int:
    print(f"The package is built in {layout.install}", file=sys.stderr)
    return 0


_DISK_ERRORS = {
    errno.ENOSPC: "free some space there and in the folder for temporary files",
    errno.EDQUOT: "free some of your quota",
    errno.EROFS: "clone to a disk that is not read-only",
    errno.EACCES: "make that folder yours, or clone to one that is",
}

_COMMANDS: dict[str, Command] = {
    "build": _build,
    "clean": commands.clean,
    "demo": commands.demo,
    "lint": commands.lint,
    "run": commands.run,
    "shell": commands.shell,
    "test": commands.test,
}


def _open_streams() -> None:
    """Lead standard streams that the caller closed (`>&-`) to /dev/null, for programs too."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number, which is this one.
            os.open(os.devnull, os.O_RDWR)
        os.set_inheritable(number, True)
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "w" if number else "r", closefd=False))


def main(arguments: list[str]) -> int:
    """Run one command; returns the exit status: 2 for a set-up that cannot go on."""
    _open_streams()
    try:
        try:
            return _main(arguments)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # The reader (`| head`) has left.
        _discard(sys.stdout, sys.stderr)
        return 128 + signal.SIGPIPE
    except OSError as error:
        if error.filename is not None or error.errno not in _DISK_ERRORS:
            raise
        _discard(sys.stdout)
        print(f"dev: the output cannot be written: {error.strerror}.", file=sys.stderr)
        return 2


def _discard(*streams: TextIO) -> None:
    """Lead what is still to be written nowhere."""
    null = os.open(os.devnull, os.O_WRONLY)
    for stream in streams:
        os.dup2(null, stream.fileno())


def _main(arguments: list[str]) -> int:
    asked = ""
    if arguments[:1] == ["--ros"]:
        asked, arguments = "".join(arguments[1:2]) or "nothing", arguments[2:]
    name = arguments[0] if arguments else "help"
    if name in ("help", "-h", "--help"):
        print(HELP, end="")
        return 0
    root = Path(__file__).resolve().parents[2]
    try:
        if name not in _COMMANDS:
            raise SetupProblem(f"./dev has no command {name!r}.", "./dev help lists them.")
        ros = find_ros(os.environ, asked)
        layout = Layout(root, ros.flavour)
        if name != "clean":
            executable = getattr(sys, "_base_executable", sys.executable)
            steps = Steps(layout, ros, os.environ, executable, name in _WITH_TESTS)
            bring_up_to_date(steps, force=frozenset(["build"] if name == "build" else []))
        return _COMMANDS[name](layout, ros, arguments[1:])
    except SetupProblem as problem:
        print(f"dev: {problem}", file=sys.stderr)
        return 2
    except OSError as error:
        if error.errno not in _DISK_ERRORS:
            raise
        print(
            f"dev: the disk cannot be written to: {error.strerror} ({error.filename or root}).\n"
            f"Cure: {_DISK_ERRORS[error.errno]}, then run the same command again: it goes on "
            "where it stopped.",
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt:
        print("\ndev: stopped; the same command goes on where it stopped.", file=sys.stderr)
        return 130
