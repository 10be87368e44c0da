"""``yolact export``: an ONNX file of a network, checked against torch."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yolact_ros.cli.model_file import open_model
from yolact_ros.cli.options import add_options
from yolact_ros.errors import DataError, YolactError
from yolact_ros.inference.settings import PredictionSettings

if TYPE_CHECKING:
    from torch import Tensor

    from yolact_ros.models.network import Network

__all__ = ["add_parser", "run"]

MAX_CHECK_IMAGES = 8
# Boxes are relative, scores and coefficients within 1: three decimals are far below what a
# threshold sees. ONNX Runtime orders sums differently, which moves raw outputs by about 1e-5.
TOLERANCE = 1e-3


def add_parser(subparsers: Any) -> None:
    """Add ``export`` to the subparsers of ``yolact``."""
    parser = subparsers.add_parser(
        "export",
        help="write an ONNX file, checked against torch",
        description="Writes the network, or the network with Fast NMS, as ONNX and compares the "
        "file's outputs in ONNX Runtime with torch's. Masks are sigmoid(prototypes x "
        "coefficients), cropped to the boxes.",
    )
    add_options(parser, "model", "input-size")
    parser.add_argument("--output", type=Path, default=Path("network.onnx"), metavar="FILE")
    parser.add_argument("--nms", action="store_true", help="with box decoding and Fast NMS")
    fixed = parser.add_argument_group("with --nms, fixed in the file")
    add_options(fixed, "score-threshold", default=0.05)
    add_options(fixed, "nms-threshold")
    add_options(fixed, "top-k", default=100)
    parser.add_argument(
        "--images", metavar="PATH", help="a photograph or a folder of them to check with; "
        "without it the check uses noise",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Export, compare and print the differences; 1 if they are too large."""
    from yolact_ros.inference.runtimes.onnx_export import (
        ExportedNms,
        export_detector,
        export_network,
        largest_differences,
    )

    settings = PredictionSettings(
        score_threshold=args.score_threshold, top_k=args.top_k, nms_threshold=args.nms_threshold
    )
    if not args.output.absolute().parent.is_dir():
        raise YolactError(f"{args.output}: its folder does not exist; make it first")
    checkpoint = open_model(args.model, input_size_px=args.input_size)
    model = checkpoint.build(input_size_px=args.input_size)
    images = _check_images(args.images, model)
    print(f"exporting {model.config.name} at {model.config.input_size_px} px", flush=True)
    if args.nms:
        fixed = ExportedNms(settings.score_threshold, settings.nms_threshold, settings.top_k)
        module = export_detector(model, args.output, fixed)
    else:
        module = export_network(model, args.output)
    differences = largest_differences(args.output, module, images)
    print(f"{args.output}: {args.output.stat().st_size / 1e6:.1f} MB; largest difference to torch")
    for name, difference in differences.items():
        print(f"  {name}: {difference:.1e}")
    if max(differences.values()) > TOLERANCE:
        print(f"the file differs from torch by more than {TOLERANCE:g}: do not use it")
        return 1
    return 0


def _check_images(source: str | None, model: Network) -> Tensor:
    """Network inputs ``[n, 3, S, S]`` of up to 8 images."""
    import numpy as np
    import torch

    from yolact_ros.inference.preprocess import Preprocessor
    from yolact_ros.inference.sources import open_source

    preprocess = Preprocessor(model.config)
    if source is None:
        noise = np.random.default_rng(0).integers(0, 256, (2, 480, 640, 3), np.uint8)
        return torch.cat([preprocess(image).clone() for image in noise])
    inputs = []
    with open_source(source) as frames:
        for frame in frames:
            inputs.append(preprocess(frame.image_bgr).clone())
            if len(inputs) == MAX_CHECK_IMAGES:
                break
    if not inputs:
        raise DataError(f"{source}: no image in it can be read")
    return torch.cat(inputs)
