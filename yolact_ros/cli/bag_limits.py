"""Limits that make ``yolact bag`` end with exit code 1."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from yolact_ros.evaluation.bag.limits import Limits

__all__ = ["add_limits", "limits_of"]


def add_limits(parser: argparse.ArgumentParser, *, comparison: bool = False) -> None:
    """Add the options; a comparison has one more."""
    group = parser.add_argument_group("limits; exit code 1 when one is broken")
    group.add_argument("--min-map", type=float, metavar="PERCENT", help="least mask AP")
    group.add_argument("--max-miss", type=float, metavar="PERCENT", help="most deadlines missed")
    group.add_argument("--max-p95", type=float, metavar="MS", help="largest latency p95")
    if comparison:
        group.add_argument(
            "--max-map-loss",
            type=float,
            metavar="PERCENT",
            help="most mask AP lost against the first result",
        )


def limits_of(args: argparse.Namespace) -> Limits:
    """The limits of the options."""
    from yolact_ros.evaluation.bag.limits import Limits

    return Limits(
        min_map_percent=args.min_map,
        max_miss_percent=args.max_miss,
        max_p95_ms=args.max_p95,
        max_map_loss_percent=getattr(args, "max_map_loss", None),
    )
