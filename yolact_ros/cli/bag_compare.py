"""``yolact bag compare``."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from yolact_ros.cli.bag_limits import add_limits, broken_limits
from yolact_ros.cli.bag_progress import ProgressBars
from yolact_ros.cli.options import listed

if TYPE_CHECKING:
    from yolact_ros.evaluation.bag.compare.compare import Comparison

__all__ = ["DESCRIPTION", "add_arguments", "run"]

DESCRIPTION = """\
Compares finished evaluations with the first one: two models, settings or machines; of three or
more also the trend. Intervals are 95 % by bootstrap: of five bags or more over the bags, else over
blocks of neighbouring frames.

  yolact bag compare results/old results/new --max-map-loss 1 --max-miss 1

exit code: 0 done, 1 a limit is broken (by any but the first), 2 nothing could be done"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument(
        "results", nargs="+", type=Path, metavar="RESULT", help="folders of `yolact bag evaluate`"
    )
    parser.add_argument("--names", metavar="A,B", help="for people (default: the folders')")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("bag_comparison"),
        help="folder for comparison.html and comparison.json (default: %(default)s)",
    )
    parser.add_argument("--resamples", type=int, default=1000, metavar="N", help="default: 1000")
    parser.add_argument(
        "--block",
        type=float,
        default=1.0,
        metavar="S",
        help="frames within so many seconds are drawn together (default: %(default)g)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap")
    add_limits(parser, comparison=True)


def run(args: argparse.Namespace) -> int:
    """Compare, print the table; 0, or 1 when a limit is broken."""
    from yolact_ros.evaluation.bag.compare.compare import compare_runs
    from yolact_ros.evaluation.bag.compare.compare_report import render_comparison
    from yolact_ros.evaluation.bag.summary import comparison_text
    from yolact_ros.evaluation.output_folder import make_output_folder, write_json, write_text
    from yolact_ros.evaluation.template import require_page_packages

    require_page_packages()

    names = listed(args.names)
    with ProgressBars() as bars:
        comparison = compare_runs(
            args.results,
            names,
            resamples=args.resamples,
            block_s=args.block,
            seed=args.seed,
            progress=bars.start("resampling", args.resamples),
        )
    broken = _broken(args, comparison)
    page = render_comparison(comparison, shlex.join(["yolact", *sys.argv[1:]]), broken)
    make_output_folder(args.output)
    write_text(args.output / "comparison.html", page)
    write_json(args.output / "comparison.json", {**comparison.to_dict(), "limits_broken": broken})
    print(comparison_text(comparison))
    print(f"page: {args.output / 'comparison.html'}")
    for text in broken:
        print(f"yolact: limit broken: {text}", file=sys.stderr)
    return 1 if broken else 0


def _broken(args: argparse.Namespace, comparison: Comparison) -> list[str]:
    broken = []
    for run in comparison.runs[1:]:
        difference = run.differences.get("mask_ap", run.differences.get("box_ap"))
        lost = None if difference is None else -difference.value
        broken += [f"{run.name}: {text}" for text in broken_limits(args, run.folder.metrics, lost)]
    return broken
