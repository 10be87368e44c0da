"""``yolact bag annotate``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from yolact_ros.cli.bag_progress import ProgressBars

__all__ = ["DESCRIPTION", "add_arguments", "run"]

DESCRIPTION = """\
Makes a bag with the images of another and a truth topic (InstanceArray) from COCO annotations,
COCO results (`yolact predict` writes results.json), or the folder of an evaluation.

  yolact bag annotate drive/ --results predictions/results.json --output drive_truth
  yolact bag annotate drive/ --results evaluation_of_large_model/ --output drive_truth"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("bag", metavar="BAG", help="folder, .mcap or .db3; path or address")
    parser.add_argument(
        "--results",
        type=Path,
        required=True,
        metavar="WHAT",
        help="COCO annotations or results (JSON), or the folder of an evaluation",
    )
    parser.add_argument(
        "--images",
        type=Path,
        metavar="JSON",
        help="images and categories of a results file (default: images.json beside it)",
    )
    parser.add_argument("--output", type=Path, required=True, metavar="BAG", help="new folder")
    parser.add_argument("--topic", default="", help="of images; the only one needs no naming")
    parser.add_argument("--truth-topic", default="/truth", help="default: %(default)s")
    parser.add_argument(
        "--truth-key",
        choices=["auto", "stamp", "index", "order"],
        default="auto",
        help="what ties an image of the JSON to a frame",
    )
    parser.add_argument(
        "--score-threshold",
        type=float,
        default=0.5,
        metavar="S",
        help="results of a lower score are left out (default: %(default)g)",
    )
    parser.add_argument("--truth-only", action="store_true", help="do not copy the images")
    parser.add_argument("--overwrite", action="store_true", help="replace the bag that is there")


def run(args: argparse.Namespace) -> int:
    """Write the bag; 0."""
    from yolact_ros.evaluation.bag.problems import problem_lines
    from yolact_ros.evaluation.bag.reading.image_topic import choose_image_topic
    from yolact_ros.evaluation.bag.reading.location import location
    from yolact_ros.evaluation.bag.reading.storage import Bag
    from yolact_ros.evaluation.bag.writing.annotate import annotate_bag, read_annotations

    with Bag(location(args.bag)) as bag, ProgressBars() as bars:
        topic = choose_image_topic(bag, args.topic)
        truth = read_annotations(
            args.results,
            images=args.images,
            key=args.truth_key,
            score_threshold=args.score_threshold,
        )
        count, problems = annotate_bag(
            bag,
            topic.name,
            truth,
            args.output,
            args.truth_topic,
            copy_images=not args.truth_only,
            overwrite=args.overwrite,
            progress=bars.start(args.output.name, topic.message_count),
        )
    if problems:
        lines = problem_lines(problems.to_dict())
        print("\n".join(["left out or mended:", *lines]), file=sys.stderr)
    print(f"{args.output}: {count} annotated frames on {args.truth_topic}")
    return 0
