"""``yolact doctor``: what is wrong with this computer, this ROS, this model or this topic."""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Iterator
from typing import Any

from yolact_ros.cli.doctor_checks import (
    Finding,
    Verdict,
    check_device,
    check_model,
    check_packages,
    check_shm,
)
from yolact_ros.models.zoo import BUNDLED

__all__ = ["add_parser", "run"]

DEFAULT_LISTEN_S = 3.0


def add_parser(subparsers: Any) -> None:
    """Add ``doctor`` to the subparsers of ``yolact``."""
    parser = subparsers.add_parser(
        "doctor",
        help="check environment, ROS, GPU, model and image topics",
        description="Checks what the node needs and prints a line for each, with the cure where "
        "something is wrong. Exit code 1 if anything is.",
    )
    parser.add_argument(
        "topics", nargs="*", metavar="TOPIC", help="image topics to listen to, raw or compressed"
    )
    parser.add_argument("--model", default=BUNDLED, help="name or path (default: %(default)s)")
    parser.add_argument(
        "--listen",
        type=float,
        default=DEFAULT_LISTEN_S,
        metavar="S",
        help="seconds to listen to each topic (default: %(default)g)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print a line a finding; 1 if anything is wrong, else 0."""
    wrong = 0
    for finding in _findings(args):
        print(f"{finding.verdict.value:>5}  {finding.subject}: {finding.detail}", flush=True)
        if finding.cure:
            print(f"       -> {finding.cure}", flush=True)
        wrong += finding.verdict is Verdict.WRONG
    print("nothing is wrong" if wrong == 0 else f"{wrong} thing(s) to cure")
    return int(wrong > 0)


def _findings(args: argparse.Namespace) -> Iterator[Finding]:
    yield from check_packages()
    yield check_device()
    yield check_model(args.model)
    if importlib.util.find_spec("rclpy") is None:
        yield Finding(
            Verdict.WRONG if args.topics else Verdict.NOTICE,
            "ROS 2",
            "rclpy is not importable",
            "source /opt/ros/<distribution>/setup.bash, or work through ./dev shell",
        )
        return
    yield check_shm()
    from yolact_ros.ros.doctor import check_ros, check_topics

    yield from check_ros()
    if args.topics:
        yield from check_topics(args.topics, args.listen)
