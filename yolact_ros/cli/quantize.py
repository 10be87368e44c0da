"""``yolact quantize``: an int8 network from a folder of images, and what int8 costs."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from yolact_ros.cli.defect_lines import print_defects
from yolact_ros.cli.model_file import open_model
from yolact_ros.cli.options import add_options, require_positive
from yolact_ros.errors import ImageError
from yolact_ros.evaluation.output_folder import make_output_folder, write_json
from yolact_ros.models.zoo import BUNDLED

if TYPE_CHECKING:
    from yolact_ros.datasets.coco_data import CocoData
    from yolact_ros.evaluation.dataset_images import DatasetImages
    from yolact_ros.evaluation.int8 import Agreement, ApChange
    from yolact_ros.inference.runtimes.base import Runtime
    from yolact_ros.models.network import Network

__all__ = ["add_parser", "run"]

MOST_COMPARED = 100


def add_parser(subparsers: Any) -> None:
    """Add ``quantize`` to the subparsers of ``yolact``."""
    parser = subparsers.add_parser(
        "quantize",
        help="make the int8 network of a model and measure what int8 costs",
        description="Makes the int8 network of a model for this computer and keeps it where the "
        "node looks for it (runtime openvino, precision int8). With annotations it measures "
        "box and mask AP before and after; without, how far the instances agree.",
    )
    parser.add_argument(
        "model",
        nargs="?",
        default=BUNDLED,
        metavar="MODEL",
        help="name from `yolact models list` or path (default: %(default)s)",
    )
    parser.add_argument(
        "--images",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="to calibrate on, like those of the camera; up to 50 are used",
    )
    add_options(parser, "input-size", nargs="+", default=[0])
    parser.add_argument(
        "--annotations",
        type=Path,
        metavar="FILE",
        help="COCO annotation file to measure AP on; best of other images than --images",
    )
    parser.add_argument(
        "--annotated-images",
        type=Path,
        metavar="FOLDER",
        help="images of the annotation file (default: --images)",
    )
    add_options(parser, "class-names")
    parser.add_argument("--limit", type=int, metavar="N", help="the first N annotated images only")
    add_options(parser, "json")


def run(args: argparse.Namespace) -> int:
    """Quantise, measure and print; 0."""
    require_positive(args, "limit")
    if args.json is not None:
        make_output_folder(args.json.parent)
    test = _test_set(args)
    checkpoint = open_model(args.model, args.class_names, input_size_px=max(args.input_size))
    reports = [
        _quantize(args, checkpoint.build(input_size_px=size), test) for size in args.input_size
    ]
    if args.json is not None:
        write_json(args.json, reports)
    return 0


@dataclass(frozen=True)
class _TestSet:
    truth: CocoData
    images: DatasetImages


def _test_set(args: argparse.Namespace) -> _TestSet | None:
    """The annotated images, checked before minutes are spent on quantising."""
    from yolact_ros.datasets.coco_file import read_coco_file
    from yolact_ros.dependencies import require
    from yolact_ros.evaluation.dataset_images import DatasetImages

    if args.annotations is None:
        return None
    require("pycocotools.coco", extra="evaluate")
    folder = args.annotated_images or args.images
    truth = read_coco_file(args.annotations, folder)
    print_defects(args.annotations, truth.defects)
    images = DatasetImages(truth, folder, args.limit)
    return _TestSet(truth, images)


def _quantize(args: argparse.Namespace, model: Network, test: _TestSet | None) -> dict[str, Any]:
    import torch

    from yolact_ros.inference.runtimes.calibration import calibration_images
    from yolact_ros.inference.runtimes.measurement import measure_ms
    from yolact_ros.inference.runtimes.openvino import OpenVinoRuntime
    from yolact_ros.inference.runtimes.selection import default_engine_folder

    device = torch.device("cpu")
    images = calibration_images(args.images)
    print(
        f"{args.model} at {model.config.input_size_px} px: int8 from {len(images)} images",
        flush=True,
    )
    begun_s = time.perf_counter()
    runtime = OpenVinoRuntime(
        model,
        device=device,
        precision="int8",
        cache_folder=default_engine_folder(),
        calibration_folder=args.images,
    )
    assert runtime.quantized is not None
    quantized_s = time.perf_counter() - begun_s
    print(f"  {runtime.quantized.folder}, ready in {quantized_s:.1f} s", flush=True)
    # Equal to eager within 1e-5 and faster; what differs is then the int8 engine alone, with the
    # bf16 that the CPU may run its other layers in.
    exact = OpenVinoRuntime(
        model, device=device, precision="fp32", cache_folder=default_engine_folder()
    )
    fp32_ms, int8_ms = measure_ms([exact, runtime])
    print(f"  OpenVINO fp32 {fp32_ms:.1f} ms, int8 {int8_ms:.1f} ms ({fp32_ms / int8_ms:.2f}x)")
    begun_s = time.perf_counter()
    cost = (
        _agreement(exact, runtime, model, args.images)
        if test is None
        else _ap_change(exact, runtime, model, test)
    )
    print(f"  {cost} (measured in {time.perf_counter() - begun_s:.1f} s)", flush=True)
    if test is None:
        print("  the loss of AP needs annotated images: --annotations FILE")
    runtime.quantized.record_accuracy(str(cost), cost.to_dict())
    exact.close()
    runtime.close()
    return {
        "model": args.model,
        "input_size_px": model.config.input_size_px,
        "runtime": runtime.name,
        "calibration_images": len(images),
        "quantized_s": quantized_s,
        "fp32_ms": fp32_ms,
        "int8_ms": int8_ms,
        "cost": cost.to_dict(),
        **({} if test is None else {"defects": test.truth.defects.to_dict()}),
    }


def _ap_change(fp32: Runtime, int8: Runtime, model: Network, test: _TestSet) -> ApChange:
    from yolact_ros.evaluation.int8 import measure_ap_change
    from yolact_ros.inference.predictor import Predictor
    from yolact_ros.inference.settings import PredictionSettings

    protocol = PredictionSettings(score_threshold=0.0, top_k=100)
    exact, quantized = (
        Predictor(model, device="cpu", runtime=one, settings=protocol) for one in (fp32, int8)
    )
    images = tqdm(test.images, desc="AP", unit="image", leave=False, disable=None)
    return measure_ap_change(
        exact.predict, quantized.predict, test.truth, images, model.config.class_names
    )


def _agreement(fp32: Runtime, int8: Runtime, model: Network, folder: Path) -> Agreement:
    from yolact_ros.evaluation.int8 import measure_agreement
    from yolact_ros.inference.predictor import Predictor

    exact, quantized = (Predictor(model, device="cpu", runtime=one) for one in (fp32, int8))
    return measure_agreement(exact.predict, quantized.predict, _compared_images(folder))


def _compared_images(folder: Path) -> Iterator[NDArray[np.uint8]]:
    """Up to a hundred images, best those that were not calibrated on."""
    from yolact_ros.inference.image_file import read_image
    from yolact_ros.inference.runtimes.calibration import (
        calibration_images,
        folder_images,
        spread,
    )

    used = set(calibration_images(folder))
    others = [path for path in folder_images(folder) if path not in used]
    paths = spread(others, MOST_COMPARED) or sorted(used)
    for path in tqdm(paths, desc="agreement", unit="image", leave=False, disable=None):
        try:
            yield read_image(path)
        except ImageError:
            continue
