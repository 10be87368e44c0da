"""``yolact bag``: evaluation on recorded rosbags, without a ROS install."""

from __future__ import annotations

import argparse
import importlib
from typing import Any

__all__ = ["add_parser", "run"]

COMMANDS = {
    "evaluate": "run a model, or score recorded results, on every frame of a bag or in real time",
    "compare": "differences between evaluations, with what may be chance",
    "from-video": "make a bag of a video, a folder of images, or annotated photographs",
    "annotate": "turn annotations or results into a truth topic",
    "info": "topics, frames and damage of a bag",
}
"""Name and summary of each; ``yolact_ros/cli/bag_<name>.py`` has ``add_arguments`` and ``run``."""


def add_parser(subparsers: Any) -> None:
    """Add ``bag`` and its commands to the subparsers of ``yolact``."""
    parser = subparsers.add_parser(
        "bag",
        help="evaluate models on recorded rosbags",
        description="Evaluation on rosbag2 recordings (sqlite3 and mcap); needs no ROS. "
        "docs/evaluation.md walks through it.",
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, summary in COMMANDS.items():
        module = importlib.import_module(f"yolact_ros.cli.bag_{name.replace('-', '_')}")
        command = commands.add_parser(
            name,
            help=summary,
            description=module.DESCRIPTION,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(command)
        command.set_defaults(run_bag=module.run)


def run(args: argparse.Namespace) -> int:
    """Run the chosen command and return its exit code.

    Raises:
        YolactError: what the command cannot do.
    """
    return int(args.run_bag(args))
