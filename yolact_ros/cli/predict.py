"""``yolact predict``: instances in images, folders, videos or a camera, without ROS."""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from yolact_ros.class_names import class_ids_of
from yolact_ros.cli.model_file import open_model, open_predictor
from yolact_ros.cli.options import add_options, listed, require_positive
from yolact_ros.errors import ConfigError, ImageError
from yolact_ros.evaluation.prediction_files import PredictionFiles
from yolact_ros.evaluation.prototype_figure import draw_prototypes
from yolact_ros.inference.settings import PredictionSettings
from yolact_ros.inference.sources import Frame, FrameSource, open_source
from yolact_ros.palette import COLORS_BY, ColorBy
from yolact_ros.tracking import TRACKERS, TrackerSettings, Trails
from yolact_ros.tracking.settings import DEFAULT_BUFFER_MS

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
    _add_tracking(parser)
    network = parser.add_argument_group("network")
    add_options(network, "model", "class-names", "device", "runtime", "precision", "input-size")
    add_options(network, "score-threshold", default=0.3)
    add_options(network, "top-k", default=15)
    network.add_argument(
        "--classes", metavar="A,B", help="names of the classes to keep, with commas between"
    )
    add_options(network, "nms", "nms-threshold")


def _add_tracking(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("tracking, in videos")
    group.add_argument(
        "--tracker", choices=TRACKERS, help="objects keep their ids (track_id in results.json)"
    )
    group.add_argument(
        "--track-buffer",
        type=float,
        default=DEFAULT_BUFFER_MS,
        metavar="MS",
        help="how long an object that is not found keeps its id (default: %(default)g)",
    )
    group.add_argument(
        "--color-by", choices=COLORS_BY, help="default: track with --tracker, else class"
    )


def run(args: argparse.Namespace) -> int:
    """Predict every source; 0 done, 1 with unreadable images, 130 after Ctrl-C."""
    require_positive(args, "max_frames")
    # Everything is opened before the model is loaded: a misspelt path is told at once.
    sources = [open_source(text) for text in args.sources]
    tracker = _tracker_settings(args, sources)
    settings = PredictionSettings(
        score_threshold=args.score_threshold,
        top_k=args.top_k,
        nms_threshold=args.nms_threshold,
        nms=args.nms,
    )
    checkpoint = open_model(args.model, args.class_names, input_size_px=args.input_size)
    network = checkpoint.build(input_size_px=args.input_size)
    class_names = network.config.class_names
    if args.classes is not None:
        if not (wanted := listed(args.classes)):
            raise ConfigError(f"--classes {args.classes!r} names none; expected A,B")
        settings = replace(settings, class_ids=class_ids_of(wanted, class_names))
    predictor = open_predictor(network, args, settings)
    files = PredictionFiles(
        args.output, class_names, draw=_drawing(args, class_names), masks=args.masks
    )

    track_ids = itertools.count(1)  # of all videos, whose results are in one file

    def predict_in(source: FrameSource) -> Callable[[Frame], Prediction]:
        if tracker is None or not source.is_video:
            return lambda frame: predictor.predict(frame.image_bgr)
        tracked = tracked_predict(predictor, tracker, track_ids)
        return lambda frame: tracked(frame.image_bgr, frame.time_s)

    from yolact_ros.inference.tracking import tracked_predict

    show = (lambda image_bgr: prototypes_of(network, image_bgr)) if args.show else None
    tally = _Tally(class_names)
    code = 0
    try:
        for source in sources:
            with source:
                _predict_source(source, predict_in(source), show, files, tally, args.max_frames)
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
    predict: Callable[[Frame], Prediction],
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
        prediction = predict(frame)
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


def _tracker_settings(
    args: argparse.Namespace, sources: Sequence[FrameSource]
) -> TrackerSettings | None:
    if args.tracker is None:
        return None
    if not any(source.is_video for source in sources):
        raise ConfigError(
            f"--tracker follows objects through a video, and {args.sources[0]} is none; make one "
            "of its images or leave --tracker out"
        )
    return TrackerSettings(args.tracker, args.track_buffer)


def _drawing(args: argparse.Namespace, class_names: tuple[str, ...]) -> Any:
    if args.no_overlay:
        return None
    from yolact_ros.visualization import draw_overlay

    color_by: ColorBy = args.color_by or ("track" if args.tracker else "class")
    trails = Trails()
    return lambda frame, prediction: draw_overlay(
        frame.image_bgr,
        prediction,
        class_names,
        color_by=color_by,
        trails=trails.add(prediction, frame.time_s),
    )


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
