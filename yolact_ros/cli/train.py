"""``yolact train``: train or fine-tune a network on COCO-format data."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from yolact_ros.errors import ConfigError

__all__ = ["add_parser", "run"]

_EPILOG = """\
examples:
  yolact train config.yaml                               everything from a file
  yolact train --images photos --annotations labels.json --output runs/parts
                                                         classes are those of the file
  yolact train config.yaml --resume                      go on after a stop or a kill
  yolact train config.yaml --check                       only check the data
  torchrun --nproc-per-node 2 -m yolact_ros.cli train config.yaml
                                                         two processes, one result

Watch it: <output>/training.csv and validation.csv, or tensorboard --logdir <output>.
Use it:   ros2 run yolact_ros yolact_node --ros-args -p model:=<output>/best.safetensors
"""


def add_parser(subparsers: Any) -> None:
    """Add the arguments of ``yolact train``."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "train",
        help="train or fine-tune a network on COCO-format data",
        description="Train or fine-tune a network on COCO-format data.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("config", nargs="?", type=Path, help="YAML file, see docs/training.md")
    parser.add_argument("--images", help="folder of the training images")
    parser.add_argument("--annotations", help="COCO instances JSON of the training images")
    parser.add_argument("--val-images", help="folder of the validation images")
    parser.add_argument("--val-annotations", help="COCO instances JSON of the validation images")
    parser.add_argument(
        "--holdout", type=float, help="share of the training images kept for validation, 0..1"
    )
    parser.add_argument("--classes", nargs="+", help="class names; default: all of the file")
    parser.add_argument("--network", help="variant, such as yolact_light or yolact_resnet50")
    parser.add_argument("--start-from", help="imagenet, nothing, bundled, a model or a path")
    parser.add_argument("--output", help="folder of the run")
    parser.add_argument("--input-size", type=int, help="network input, pixels")
    parser.add_argument("--steps", type=int, help="optimiser steps")
    parser.add_argument("--batch-size", type=int, help="images of a step, over all processes")
    parser.add_argument("--accumulate", type=int, help="parts that a step is computed in")
    parser.add_argument("--learning-rate", type=float, help="at full height, for 8 images (SGD)")
    parser.add_argument("--precision", choices=("fp32", "bf16", "fp16"))
    parser.add_argument("--device", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--workers", type=int, help="processes that prepare images")
    parser.add_argument("--strict", action="store_true", help="stop when the data have defects")
    parser.add_argument("--check", action="store_true", help="check the data and stop")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")


def run(args: argparse.Namespace) -> int:
    """Train as the arguments say."""
    # Imported here so that `yolact --help` does not wait for torch.
    from yolact_ros.training.run import check_data, train
    from yolact_ros.training.settings import settings_from_dict

    settings = settings_from_dict(_values(args), base=Path(args.config or ".").parent)
    if args.check:
        return 1 if check_data(settings, print).defects else 0
    train(settings, resume=args.resume)
    return 0


def _values(args: argparse.Namespace) -> dict[str, Any]:
    """Settings of the file with the flags over them; paths of flags are made absolute."""
    from yolact_ros.training.settings import read_yaml

    values: dict[str, Any] = read_yaml(args.config) if args.config else {}
    plain = ("start_from", "steps", "batch_size", "accumulate", "learning_rate", "precision")
    for name in (*plain, "device", "seed", "workers"):
        if getattr(args, name) is not None:
            values[name] = getattr(args, name)
    if args.strict:
        values["strict"] = True
    if args.output:
        values["output"] = str(Path(args.output).absolute())
    _replace_data(values, "data", args.images, args.annotations)
    _replace_data(values, "validation", args.val_images, args.val_annotations)
    if not values.get("data"):
        raise ConfigError("no training data: give a YAML file, or --images and --annotations")
    if args.holdout is not None:
        values["data"] = [{**source, "holdout": args.holdout} for source in values["data"]]
    network = values.get("network", {})
    network = {"variant": network} if isinstance(network, str) else dict(network)
    if args.network:
        network["variant"] = args.network
    if args.input_size:
        network["input_size_px"] = args.input_size
    if args.classes:
        network["class_names"] = args.classes
    if network:
        values["network"] = network
    return values


def _replace_data(
    values: dict[str, Any], key: str, images: str | None, annotations: str | None
) -> None:
    if images is None and annotations is None:
        return
    if images is None or annotations is None:
        raise ConfigError(f"{key}: a data set needs its images folder and its annotations file")
    paths = {
        "images": str(Path(images).absolute()),
        "annotations": str(Path(annotations).absolute()),
    }
    values[key] = [paths]
