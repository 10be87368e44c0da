"""YOLO segmentation models here and in Ultralytics' own predictor: the same results, and how fast.

    python benchmarks/yolo_seg.py parity parts-seg.onnx photographs/
    python benchmarks/yolo_seg.py speed parts-seg.onnx photographs/
    python benchmarks/yolo_seg.py record test/data/yolo_seg.npz

Ultralytics is no requirement of this package. Make an environment for it, and put this package in:

    python -m venv yolo && yolo/bin/pip install ultralytics onnx onnxruntime openvino
    yolo/bin/pip install .

``parity`` compares boxes, scores and masks (``retina_masks``) on every image, ours in standard NMS
at Ultralytics' threshold. ``speed`` gives both the model in OpenVINO, and times from an image in
memory to masks in memory, in turns on the same image, for several numbers of instances. Exit code
1: a difference is larger than promised, or ours is slower. ``record`` writes what Ultralytics
finds with the networks and images of test/yolo_onnx.py.
"""

from __future__ import annotations

import argparse
import ast
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
import onnx
import openvino
import torch
import yaml
from numpy.typing import NDArray
from ultralytics import YOLO
from ultralytics import __version__ as their_version

sys.path.insert(0, str(Path(__file__).parents[1] / "test"))

from yolo_onnx import IMAGES_PX, KINDS, coloured_image, write_yolo_onnx

from yolact_ros.inference.image_file import read_image
from yolact_ros.inference.predictor import Predictor
from yolact_ros.inference.settings import PredictionSettings
from yolact_ros.models.checkpoint import read_config
from yolact_ros.prediction import Prediction

BOX_PX, SCORE, MASK_IOU = 0.5, 1e-3, 0.99
THEIR_NMS_THRESHOLD = 0.7
MOST = 200
RECORDED_SCORE = 0.3
COUNTS = (0, 1, 5, 15, 30, 50)
SCENE_PX = (640, 480)

Image = NDArray[np.uint8]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", choices=("parity", "speed", "record"))
    parser.add_argument("model", type=Path, help="an ONNX file; of record the file to write")
    parser.add_argument("images", type=Path, nargs="?", help="a folder of photographs")
    parser.add_argument("--score-threshold", type=float, default=0.25)
    parser.add_argument("--most-images", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--counts", type=int, nargs="+", default=COUNTS, help="of instances")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(args.threads)
    if args.action == "record":
        return record(args.model)
    if args.images is None:
        parser.error(f"{args.action} needs a folder of photographs")
    paths = sorted(args.images.iterdir())[: args.most_images]
    images = [read_image(path) for path in paths]
    if args.action == "parity":
        return parity(args.model, images, args.score_threshold)
    return speed(args.model, images, args.counts, args.repeats)


class Theirs:
    """Ultralytics' predictor with the settings of ours."""

    def __init__(self, model: Path, size_px: list[int], score_threshold: float) -> None:
        self._model = YOLO(model, task="segment")
        self._size_px = size_px
        self.score_threshold = score_threshold
        self.most = MOST

    def __call__(self, image_bgr: Image) -> Any:
        (result,) = self._model.predict(
            image_bgr,
            conf=self.score_threshold,
            iou=THEIR_NMS_THRESHOLD,
            max_det=self.most,
            retina_masks=True,
            imgsz=self._size_px,
            device="cpu",
            verbose=False,
        )
        return result


def settings_of(score_threshold: float) -> PredictionSettings:
    return PredictionSettings(
        score_threshold=score_threshold,
        top_k=MOST,
        nms_threshold=THEIR_NMS_THRESHOLD,
        nms="standard",
    )


def parity(model: Path, images: list[Image], score_threshold: float) -> int:
    shape = read_config(model).input_shape
    theirs = Theirs(model, [shape.height_px, shape.width_px], score_threshold)
    ours = Predictor.load(
        model, device="cpu", runtime="onnxruntime", precision="fp32",
        settings=settings_of(score_threshold),
    )  # fmt: skip
    boxes_px, scores, ious = [0.0], [0.0], [1.0]
    instances = other_counts = 0
    for index, image_bgr in enumerate(images):
        expected, found = theirs(image_bgr), with_pixels(ours.predict(image_bgr))
        instances += len(expected)
        if len(expected) != len(found):
            other_counts += 1
            print(f"image {index}: {len(expected)} there, {len(found)} here")
        for box_px, score, iou in differences(expected, found):
            boxes_px.append(box_px)
            scores.append(score)
            ious.append(iou)
    print(
        f"{model.name}, {len(images)} images, {instances} instances, Ultralytics {their_version}: "
        f"other counts on {other_counts}, boxes within {max(boxes_px):.3f} px, scores within "
        f"{max(scores):.1e}, mask IoU at least {min(ious):.4f}, mean {np.mean(ious):.5f}"
    )
    holds = max(boxes_px) <= BOX_PX and max(scores) <= SCORE and min(ious) >= MASK_IOU
    return int(other_counts > 0 or not holds)


def with_pixels(found: Prediction) -> Prediction:
    """Without instances whose mask has no pixel, which Ultralytics leaves out."""
    rows = [row for row, crop in enumerate(found.mask_crops) if crop.bits.any()]
    return replace(
        found,
        class_ids=found.class_ids[rows],
        scores=found.scores[rows],
        boxes_xyxy=found.boxes_xyxy[rows],
        mask_crops=tuple(found.mask_crops[row] for row in rows),
    )


def differences(expected: Any, found: Prediction) -> Iterator[tuple[float, float, float]]:
    """Of every instance there to the one here that is nearest: box, score, mask IoU."""
    for row in range(len(expected)):
        box = expected.boxes.xyxy[row].numpy()
        same = np.flatnonzero(found.class_ids == int(expected.boxes.cls[row]))
        if not len(same):
            yield np.inf, np.inf, 0.0
            continue
        far_px = np.abs(found.boxes_xyxy[same] - box).max(axis=1)
        nearest = int(same[far_px.argmin()])
        score = abs(float(expected.boxes.conf[row]) - float(found.scores[nearest]))
        their_mask = expected.masks.data[row].numpy() > 0
        our_mask = found[nearest].mask
        union = (their_mask | our_mask).sum()
        iou = float((their_mask & our_mask).sum() / union) if union else 1.0
        yield float(far_px.min()), score, iou


def record(path: Path) -> int:
    recorded: dict[str, NDArray[Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for kind, options in KINDS.items():
            model = write_yolo_onnx(Path(folder) / f"{kind}.onnx", **options)
            shape = read_config(model).input_shape
            theirs = Theirs(model, [shape.height_px, shape.width_px], RECORDED_SCORE)
            for seed, (height_px, width_px) in enumerate(IMAGES_PX):
                found = theirs(coloured_image(height_px, width_px, seed))
                masks = found.masks.data.numpy() > 0
                key = f"{kind}_{width_px}x{height_px}"
                recorded[f"{key}_boxes"] = found.boxes.xyxy.numpy()
                recorded[f"{key}_scores"] = found.boxes.conf.numpy()
                recorded[f"{key}_classes"] = found.boxes.cls.numpy().astype(np.uint8)
                recorded[f"{key}_masks"] = np.packbits(masks.reshape(len(masks), -1), axis=1)
    np.savez_compressed(path, **recorded)
    return 0


def speed(model: Path, images: list[Image], counts: Sequence[int], repeats: int) -> int:
    shape = read_config(model).input_shape
    with tempfile.TemporaryDirectory() as folder:
        theirs = Theirs(
            openvino_folder(model, Path(folder)), [shape.height_px, shape.width_px], 0.25
        )
        ours = Predictor.load(model, device="cpu", runtime="openvino")
        print(f"{model.name}, ours in {ours.runtime}; ms, least and median, in turns")
        print(f"{'instances':>9}{'Ultralytics':>18}{'ours':>18}{'times by least':>16}")
        slower = False
        for count in counts:
            image_bgr, threshold = scene_with(count, images, theirs)
            theirs.score_threshold, theirs.most = threshold, MOST
            ours.settings = settings_of(threshold)
            times = in_turns((lambda i=image_bgr: theirs(i), lambda i=image_bgr: ours(i)), repeats)
            found = len(theirs(image_bgr)), len(ours.predict(image_bgr))
            # Other programs decide the median on a busy machine.
            ratio = min(times[0]) / min(times[1])
            slower |= ratio < 1
            theirs_ms, ours_ms = (f"{min(one):.1f} / {median(one):.1f}" for one in times)
            print(f"{found[0]:>4}/{found[1]:<4}{theirs_ms:>18}{ours_ms:>18}{ratio:>16.2f}")
        ours.close()
    return int(slower)


def openvino_folder(model: Path, folder: Path) -> Path:
    """The same network as Ultralytics' predictor takes it."""
    target = folder / f"{model.stem}_openvino_model"
    target.mkdir()
    openvino.save_model(
        openvino.convert_model(model), target / f"{model.stem}.xml", compress_to_fp16=False
    )
    texts = {
        entry.key: entry.value
        for entry in onnx.load(model, load_external_data=False).metadata_props
    }
    metadata = {}
    for key, text in texts.items():
        try:
            metadata[key] = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            metadata[key] = text
    (target / "metadata.yaml").write_text(yaml.safe_dump(metadata))
    return target


def scene_with(count: int, images: list[Image], theirs: Theirs) -> tuple[Image, float]:
    """An image of 640x480 and a threshold above which it has so many instances."""
    width_px, height_px = SCENE_PX
    if count == 0:
        return np.full((height_px, width_px, 3), 90, np.uint8), 0.5
    side = 1 if count <= 5 else 2 if count <= 15 else 4
    tile = (width_px // side, height_px // side)
    theirs.score_threshold, theirs.most = 0.001, MOST
    best: tuple[float, Image] = (-1.0, images[0])
    for start in range(0, len(images) - side * side + 1, side * side):
        tiles = [cv2.resize(image, tile) for image in images[start : start + side * side]]
        rows = [np.hstack(tiles[row * side : (row + 1) * side]) for row in range(side)]
        scene = np.ascontiguousarray(np.vstack(rows))
        scores = np.sort(theirs(scene).boxes.conf.numpy())[::-1]
        if len(scores) > count:
            best = max(best, (float(scores[count - 1] + scores[count]) / 2, scene), key=first)
    return best[1], best[0]


def first(pair: tuple[float, Image]) -> float:
    return pair[0]


def in_turns(ways: tuple[Callable[[], object], ...], repeats: int) -> list[list[float]]:
    """Milliseconds of every run of each."""
    taken: list[list[float]] = [[] for _ in ways]
    for number in range(repeats + 3):
        for times, way in zip(taken, ways, strict=True):
            begun_s = time.perf_counter()
            way()
            if number >= 3:
                times.append((time.perf_counter() - begun_s) * 1e3)
    return taken


if __name__ == "__main__":
    sys.exit(main())
