"""``yolact bag from-video``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from yolact_ros.cli.bag_progress import ProgressBars
from yolact_ros.errors import YolactError

__all__ = ["DESCRIPTION", "add_arguments", "run"]

DESCRIPTION = """\
Makes an mcap bag of a video, a folder of images or a camera; with --annotations of annotated
photographs, as a slide show with a truth topic.

  yolact bag from-video clip.mp4 --output drive
  yolact bag from-video photos/ --annotations instances.json --output slides"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("source", help="video, folder of images, camera index or stream address")
    parser.add_argument("--output", type=Path, required=True, metavar="BAG", help="new folder")
    parser.add_argument(
        "--annotations",
        type=Path,
        metavar="JSON",
        help="COCO annotations of the images in the folder SOURCE",
    )
    parser.add_argument("--topic", default="/camera/image_raw", help="default: %(default)s")
    parser.add_argument("--truth-topic", default="/truth", help="default: %(default)s")
    parser.add_argument(
        "--encoding", choices=["raw", "jpeg"], default="raw", help="default: %(default)s"
    )
    parser.add_argument(
        "--rate", type=float, default=0.0, metavar="HZ", help="default: the times of the source"
    )
    parser.add_argument("--max-frames", type=int, default=0, metavar="N")
    parser.add_argument("--frame-id", default="camera", help="default: %(default)s")
    parser.add_argument("--overwrite", action="store_true", help="replace the bag that is there")


def run(args: argparse.Namespace) -> int:
    """Write the bag; 0, or 1 when images were passed over."""
    from yolact_ros.cli.defect_lines import print_defects
    from yolact_ros.evaluation.bag.writing.from_video import (
        VideoBagOptions,
        write_photo_bag,
        write_video_bag,
    )

    options = VideoBagOptions(
        path=args.output,
        topic=args.topic,
        encoding=args.encoding,
        rate_hz=args.rate,
        limit=args.max_frames,
        frame_id=args.frame_id,
        truth_topic=args.truth_topic,
        overwrite=args.overwrite,
    )
    unreadable: Sequence[YolactError] = ()
    with ProgressBars() as bars:
        told = bars.start(args.output.name, args.max_frames or None)
        if args.annotations is not None:
            count, defects = write_photo_bag(args.annotations, Path(args.source), options, told)
        else:
            count, unreadable = write_video_bag(args.source, options, told)
    for error in unreadable:
        print(f"yolact: passed over: {error}", file=sys.stderr)
    if args.annotations is not None:
        print_defects(args.annotations, defects)
    print(f"{args.output}: {count} frames on {options.topic}")
    return int(bool(unreadable))
