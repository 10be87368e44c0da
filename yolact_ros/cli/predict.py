"""``yolact predict``: instances in images, folders, videos or a camera, without ROS."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from yolact_ros.cli.inference_options import add_inference_options, make_predictor, settings_of
from yolact_ros.cli.numbers import require_positive
from yolact_ros.errors import ImageError
from yolact_ros.evaluation.prediction_files import PredictionFiles
from yolact_ros.evaluation.prototype_figure import draw_prototypes
from yolact_ros.inference.sources import FrameSource, open_source

if TYPE_CHECKING:
    from yolact_ros.models.network import Network
    from yolact_ros.prediction import Prediction

__all__ = ["add_parser", "prototypes_of", "run"]

MOST_LISTED = 5


def add_parser(subparsers: Any) -> None:
    """Add ``predict`` to the subparsers of ``yolact``."""
    parser = subparsers.add_parser(
        "predict",
        help="find instances in images, folders, videos or a camera",
        description="Finds instances and writes overlays, COCO results (results.json, and "
        "images.json for what its ids stand for) and masks.",
        epilog="exit code: 0 done, 1 some images could not be read, 2 nothing could be done",
    )
    parser.add_argument(
        "sources",
        nargs="+",
        metavar="SOURCE",
        help="image, folder of images, video, camera index or stream address",
    )
    parser.add_argument(
        "--output", type=Path, default=Path("predictions"), help="folder (default: %(default)s)"
    )
    parser.add_argument("--masks", action="store_true", help="write a PNG for every instance")
    parser.add_argument("--no-overlay", action="store_true", help="write no overlays")
    parser.add_argument(
        "--show",
        choices=["prototypes"],
        help="draw the prototypes of every image as a grid: <image>_prototypes.png",
    )
    parser.add_argument(
        "--max-frames", type=int, metavar="N", help="stop a video or camera after N frames"
    )
    add_inference_options(parser, score_threshold=0.3, top_k=15)


def run(args: argparse.Namespace) -> int:
    """Predict every source; 0 done, 1 with unreadable images, 130 after Ctrl-C.

    Raises:
        YolactError: no source can be used, or an option or the model cannot.
    """
    require_positive(args, "max_frames")
    # Everything is opened before the model is loaded: a misspelt path is told at once.
    sources = [open_source(text) for text in args.sources]
    network, predictor = make_predictor(args, settings_of(args))
    class_names = network.config.class_names
    files = PredictionFiles(
        args.output, class_names, draw=_drawing(args, class_names), masks=args.masks
    )
    show = (lambda image_bgr: prototypes_of(network, image_bgr)) if args.show else None
    tally = _Tally(class_names)
    code = 0
    try:
        for source in sources:
            with source:
                _predict_source(source, predictor.predict, show, files, tally, args.max_frames)
    except KeyboardInterrupt:
        code = 130
    finally:
        predictor.close()
    unreadable = [error for source in sources for error in source.unreadable]
    if tally.frames == 0 and code == 0:
        raise ImageError(f"not one image could be read; the first: {unreadable[0]}")
    files.close()
    tally.show(args.output, len(files.written))
    for error in unreadable[:MOST_LISTED]:
        print(f"yolact: passed over: {error}", file=sys.stderr)
    if len(unreadable) > MOST_LISTED:
        print(f"yolact: and {len(unreadable) - MOST_LISTED} more", file=sys.stderr)
    return code or int(bool(unreadable))


def _predict_source(
    source: FrameSource,
    predict: Callable[[NDArray[np.uint8]], Prediction],
    prototypes: Callable[[NDArray[np.uint8]], NDArray[np.float32]] | None,
    files: PredictionFiles,
    tally: _Tally,
    max_frames: int | None,
) -> None:
    files.open(source)
    limit = max_frames if source.is_video else None
    total = source.num_frames if limit is None else min(source.num_frames or limit, limit)
    frames = islice(iter(source), limit)
    bar = tqdm(frames, total=total, desc=source.name, unit="image", leave=False, disable=None)
    for frame in bar:
        started_s = time.perf_counter()
        prediction = predict(frame.image_bgr)
        tally.add(prediction, time.perf_counter() - started_s)
        name = files.add(frame, prediction)
        if prototypes is not None:
            figure = draw_prototypes(frame.image_bgr, prototypes(frame.image_bgr))
            files.write(f"{name}_prototypes.png", figure)
        if source.num_frames == 1:
            _list_instances(prediction, tally.class_names)
    files.finish_source()


def prototypes_of(network: Network, image_bgr: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The network's prototypes of an image (uint8 [H, W, 3]) as float32 [h, w, k]."""
    import torch

    from yolact_ros.inference.preprocess import Preprocessor
    from yolact_ros.ops.placement import place_image

    config = network.config
    parameter = next(network.parameters(), torch.empty(0))
    with torch.inference_mode():
        images = Preprocessor(config, parameter.device)(image_bgr)
        prototypes = network(images.to(parameter.dtype)).prototypes[0]
    placement = place_image(
        *image_bgr.shape[:2], config.input_shape, keep_aspect_ratio=config.keeps_aspect_ratio
    )
    return placement.crop(prototypes.float().cpu().numpy()).prototypes


def _list_instances(prediction: Prediction, class_names: tuple[str, ...]) -> None:
    for class_id, score, box in zip(
        prediction.class_ids, prediction.scores, prediction.boxes_xyxy, strict=True
    ):
        x_min, y_min, x_max, y_max = (round(float(edge)) for edge in box)
        print(
            f"{class_names[int(class_id)]:<16} {score:.2f}  x {x_min}..{x_max}  y {y_min}..{y_max}"
        )


def _drawing(args: argparse.Namespace, class_names: tuple[str, ...]) -> Any:
    if args.no_overlay:
        return None
    from yolact_ros.visualization import draw_overlay

    return lambda image_bgr, prediction: draw_overlay(image_bgr, prediction, class_names)


class _Tally:
    """What was found, for the last lines."""

    def __init__(self, class_names: tuple[str, ...]) -> None:
        self.class_names = class_names
        self.frames = 0
        self._seconds = 0.0
        self._classes: Counter[str] = Counter()

    def add(self, prediction: Prediction, seconds: float) -> None:
        self.frames += 1
        # The first image pays for what is allocated once.
        self._seconds = seconds if self.frames <= 2 else self._seconds + seconds
        self._classes.update(self.class_names[int(class_id)] for class_id in prediction.class_ids)

    def show(self, folder: Path, files: int) -> None:
        timed = max(self.frames - 1, 1)
        found = ", ".join(f"{count} {name}" for name, count in self._classes.most_common(8))
        print(
            f"{self.frames} image{'s' * (self.frames != 1)}: {found or 'nothing found'}; "
            f"{1e3 * self._seconds / timed:.0f} ms an image; {files} files in {folder}"
        )
