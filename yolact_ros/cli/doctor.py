"""``yolact doctor``: what is wrong with this computer, this ROS, this model or this topic."""

from __future__ import annotations

import argparse
import importlib.util
import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from yolact_ros.cli import doctor_checks as computer
from yolact_ros.cli.doctor_checks import Finding, Verdict
from yolact_ros.cli.options import add_options, require_positive
from yolact_ros.errors import ConfigError

__all__ = ["add_parser", "run"]

DEFAULT_LISTEN_S = 3.0


def add_parser(subparsers: Any) -> None:
    """Add ``doctor`` to the subparsers of ``yolact``."""
    parser = subparsers.add_parser(
        "doctor",
        help="check environment, ROS, GPU, model and image topics",
        description="Checks what the node needs and prints a line for each, with the cure where "
        "something is wrong. Nodes that run are examined, and the image topics of their cameras. "
        "Exit code: 0 nothing is wrong (notes do not count), 1 something is, 2 the command line.",
    )
    parser.add_argument(
        "topics", nargs="*", metavar="TOPIC", help="image topics to listen to, raw or compressed"
    )
    parser.add_argument(
        "--node",
        action="append",
        default=[],
        metavar="NAME",
        help="a running node, such as /yolact (default: every one that is found)",
    )
    parser.add_argument(
        "--depth",
        default="",
        metavar="TOPIC",
        help="depth images that belong to the first TOPIC: are they registered, of its stamps, "
        "calibrated? (default: those of running nodes)",
    )
    add_options(parser, "model")
    parser.add_argument(
        "--listen",
        type=float,
        default=DEFAULT_LISTEN_S,
        metavar="S",
        help="seconds to listen to each topic (default: %(default)g)",
    )
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object: wrong (a number), findings"
    )


def run(args: argparse.Namespace) -> int:
    """Print a line a finding; 1 if anything is wrong, else 0."""
    require_positive(args, "listen")
    if args.depth and not args.topics:
        raise ConfigError("--depth needs the colour topic that it belongs to: TOPIC --depth TOPIC")
    findings = []
    for finding in _findings(args):
        findings.append(finding)
        if not args.json:
            print(f"{finding.verdict.value:>5}  {finding.subject}: {finding.detail}", flush=True)
            if finding.cure:
                print(f"       -> {finding.cure}", flush=True)
    wrong = sum(finding.verdict is Verdict.WRONG for finding in findings)
    if args.json:
        rows = [asdict(finding) | {"verdict": finding.verdict.value} for finding in findings]
        print(json.dumps({"wrong": wrong, "findings": rows}, indent=2))
    else:
        print("nothing is wrong" if wrong == 0 else f"{wrong} thing(s) to cure")
    return int(wrong > 0)


def _findings(args: argparse.Namespace) -> Iterator[Finding]:
    yield from computer.check_packages()
    yield computer.check_device()
    yield from computer.check_cpu()
    yield computer.check_runtimes()
    yield computer.check_trackers()
    yield computer.check_model(args.model)
    asked = bool(args.topics or args.node)
    if importlib.util.find_spec("rclpy") is None:
        yield Finding(
            Verdict.WRONG if asked else Verdict.NOTICE,
            "ROS 2",
            "rclpy is not importable",
            "source /opt/ros/<distribution>/setup.bash, or work through ./dev shell",
        )
        return
    yield computer.check_shm()
    discovery = computer.check_discovery()
    yield discovery
    if discovery.verdict is Verdict.WRONG:
        return
    try:
        from yolact_ros.ros.doctor.checks import check_graph, check_ros
    except (ImportError, RuntimeError) as error:
        # A middleware that is named and not installed shows here.
        yield computer.wrong(
            "ROS 2",
            f"rclpy cannot be loaded: {error}",
            "install the package of RMW_IMPLEMENTATION, or unset it",
        )
        return
    yield from check_ros()
    yield from check_graph(args.topics, args.node, args.listen, args.depth)
