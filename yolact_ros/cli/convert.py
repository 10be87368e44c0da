"""``yolact convert``: data sets in other formats into COCO's, weights into one complete file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from tqdm import tqdm

from yolact_ros.cli.model_file import open_model
from yolact_ros.cli.options import add_options
from yolact_ros.errors import CheckpointError
from yolact_ros.evaluation.output_folder import make_output_folder, write_json
from yolact_ros.evaluation.sbd import convert_sbd, find_sbd_root

__all__ = ["add_parser", "run"]


def add_parser(subparsers: Any) -> None:
    """Add ``convert`` and its formats to the subparsers of ``yolact``."""
    parser = subparsers.add_parser(
        "convert",
        help="turn Pascal SBD into COCO, or weights into one complete file",
        description="Turns what other programs wrote into what every command reads.",
    )
    formats = parser.add_subparsers(title="formats", metavar="FORMAT", required=True)

    sbd = formats.add_parser(
        "sbd",
        help="Pascal SBD (benchmark_RELEASE) into a COCO annotation file",
        description="Writes a COCO annotation file; the images stay where they are. Needs the "
        "package scipy.",
    )
    sbd.add_argument("folder", type=Path, help="of the unpacked data set")
    sbd.add_argument("--split", default="train", help="train or val (default: %(default)s)")
    sbd.add_argument("--output", type=Path, metavar="FILE", help="default: sbd_<split>.json")
    sbd.set_defaults(convert=_convert_sbd)

    weights = formats.add_parser(
        "weights",
        help="weights of any program into one file with network and class names",
        description="Writes safetensors that say themselves which network and classes they are "
        "of, whatever the file is called. Optimiser and other entries are left out.",
    )
    weights.add_argument("model", metavar="MODEL", help="path of a .pth, .pt or .safetensors")
    add_options(weights, "class-names")
    add_options(weights, "input-size", help="0: as the file is recognised")
    weights.add_argument(
        "--output", type=Path, metavar="FILE", help="default: MODEL's name with .safetensors, here"
    )
    weights.set_defaults(convert=_convert_weights)


def run(args: argparse.Namespace) -> int:
    """Convert and say what was written; 0."""
    return int(args.convert(args))


def _convert_sbd(args: argparse.Namespace) -> int:
    with tqdm(desc=f"sbd {args.split}", unit="image", leave=False, disable=None) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        dataset = convert_sbd(args.folder, args.split, progress=progress)
    output = args.output or Path(f"sbd_{args.split}.json")
    make_output_folder(output.parent)
    write_json(output, dataset, indent=None)
    print(
        f"{output}: {len(dataset['images'])} images, {len(dataset['annotations'])} instances; "
        f"the images are in {find_sbd_root(args.folder) / 'img'}"
    )
    return 0


def _convert_weights(args: argparse.Namespace) -> int:
    from yolact_ros.models.checkpoint import Checkpoint, save_checkpoint

    checkpoint = open_model(args.model, args.class_names)
    if not isinstance(checkpoint, Checkpoint):
        raise CheckpointError(
            f"{checkpoint.path} is an ONNX file, whose weights belong to its operators; it runs "
            "as it is"
        )
    output = args.output or Path(checkpoint.path.with_suffix(".safetensors").name)
    if output.exists() and output.samefile(checkpoint.path):
        raise CheckpointError(f"{output} is the file that is read: name another with --output")
    network = checkpoint.build(input_size_px=args.input_size)
    save_checkpoint(output, network, checkpoint.metadata)
    config = network.config
    print(
        f"{output}: {config.name}, {config.input_size_px} px, k {config.num_prototypes}, "
        f"{config.num_classes} classes ({', '.join(config.class_names[:5])}"
        f"{', ...' if config.num_classes > 5 else ''})"
    )
    return 0
