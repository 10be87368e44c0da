"""``yolact convert``: data sets in other formats into COCO's."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from tqdm import tqdm

from yolact_ros.errors import DataError
from yolact_ros.evaluation.sbd import convert_sbd, find_sbd_root

__all__ = ["add_parser", "run"]


def add_parser(subparsers: Any) -> None:
    """Add ``convert`` to the subparsers of ``yolact``."""
    parser = subparsers.add_parser(
        "convert",
        help="turn Pascal SBD into a COCO annotation file",
        description="Writes a COCO annotation file for a data set in another format; the images "
        "stay where they are. Needs the package scipy.",
    )
    parser.add_argument("format", choices=["sbd"], help="Pascal SBD (benchmark_RELEASE)")
    parser.add_argument("folder", type=Path, help="of the unpacked data set")
    parser.add_argument("--split", default="train", help="train or val (default: %(default)s)")
    parser.add_argument("--output", type=Path, metavar="FILE", help="default: sbd_<split>.json")


def run(args: argparse.Namespace) -> int:
    """Convert and say where the images are; 0.

    Raises:
        DataError: the folder is not the data set, or the output cannot be written.
        DependencyError: scipy is not installed.
    """
    with tqdm(desc=f"sbd {args.split}", unit="image", leave=False, disable=None) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        dataset = convert_sbd(args.folder, args.split, progress=progress)
    output = args.output or Path(f"sbd_{args.split}.json")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps(dataset), encoding="utf-8")
    except OSError as error:
        raise DataError(f"{output}: cannot be written: {error.strerror}") from error
    print(
        f"{output}: {len(dataset['images'])} images, {len(dataset['annotations'])} instances; "
        f"the images are in {find_sbd_root(args.folder) / 'img'}"
    )
    return 0
