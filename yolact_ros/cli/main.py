"""Entry of ``yolact``: reads the subcommand, imports its module alone, maps errors to exit codes.

Exit codes: 0 done, 1 done with a negative answer (a subcommand's own), 2 an error that the user
can cure (one line on stderr), 3 done but for a part that could not be used (`bag evaluate`), 130
interrupted with Ctrl-C.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from typing import TextIO

import yolact_ros
from yolact_ros.dependencies import required_packages
from yolact_ros.errors import YolactError

__all__ = ["SUBCOMMANDS", "main"]

SUBCOMMANDS = {
    "bag": "evaluate and compare models on recorded rosbags",
    "benchmark": "time stages, runtimes, scaling and the way through ROS",
    "convert": "turn Pascal SBD into COCO, or weights into one complete file",
    "demo": "play a clip through the ROS 2 node and keep the overlays",
    "doctor": "check environment, ROS, GPU, model and image topics",
    "evaluate": "box and mask AP, per class, and speed",
    "export": "write an ONNX file, checked against torch",
    "predict": "find instances in images, folders, videos or a camera",
    "models": "list, show, fetch and verify trained models",
    "quantize": "make the int8 network of a model and measure what int8 costs",
    "train": "train or fine-tune a network on COCO-format data",
}
"""Name and summary of each; ``yolact_ros/cli/<name>.py`` has ``add_parser`` and ``run``.

``run`` returns the exit code, and raises a YolactError for what the user can cure.
"""

_EPILOG = """\
examples:
  yolact demo                                a clip through camera topic, node and viewer
  yolact predict photo.jpg --output found    overlay, results and masks of one photograph
  yolact models fetch yolact_resnet50        download a published model
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``yolact`` with ``argv`` (default: the process's arguments) and return the exit code.

    Raises:
        SystemExit: ``--help``, ``--version`` or wrong arguments, as argparse does.
    """
    _open_streams()
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        try:
            with required_packages():
                parsed = _parser(arguments).parse_args(arguments)
                return int(parsed.run(parsed))
        finally:
            # Here and not at the end of the process, where nobody could answer to an error.
            sys.stdout.flush()
    except YolactError as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        print("yolact: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output (`| head`) has left: nothing more can be said to it.
        _discard(sys.stdout)
        return 0
    except OSError as error:
        # A folder that is read-only, a disk that is full, a file that is somebody else's.
        if error.strerror is None:
            raise
        if error.filename is None:
            _discard(sys.stdout)
        place = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
        return _fail(f"{place}{error.strerror}")


def _open_streams() -> None:
    """Make all three usable: closed ones lead to /dev/null, and any text can be printed.

    While one is closed, the next file that is opened takes its place and would be written to by
    whoever prints. A path may hold bytes or letters that the locale does not have.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number, which is this one.
            os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(number, True)
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "w" if number else "r", closefd=False))
    for stream in (sys.stdout, sys.stderr):
        # Whoever calls main() from Python may have put something else in their place.
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="backslashreplace")


def _fail(message: str) -> int:
    print(f"yolact: error: {message}", file=sys.stderr)
    return 2


def _discard(stream: TextIO) -> None:
    """Lead what is still to be written to a file descriptor nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    """The parser with the arguments of the named subcommand only.

    Importing all of them would make every command wait for, and depend on, the heaviest one.
    """
    parser = argparse.ArgumentParser(
        prog="yolact",
        description="YOLACT instance segmentation for ROS 2 under a fixed frame budget.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--version", action="version", version=f"yolact_ros {yolact_ros.__version__}"
    )
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    named = next((word for word in arguments if not word.startswith("-")), None)
    for name, summary in SUBCOMMANDS.items():
        if name == named:
            module = importlib.import_module(f"yolact_ros.cli.{name}")
            module.add_parser(subparsers)
            subparsers.choices[name].set_defaults(run=module.run)
        else:
            subparsers.add_parser(name, help=summary)
    return parser
