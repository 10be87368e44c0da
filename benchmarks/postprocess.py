"""What surrounds the network on the CPU: against the paper's way of doing it, and its targets.

    python benchmarks/postprocess.py [--threads 2] [--repeats 50]

Preprocessing, Fast NMS and masks at YOLACT's sizes: 19248 boxes, 80 classes, 138 x 138 prototypes,
k 32. Each row runs both ways in turns on the same input, so that a busy machine slows both, and
says how far the results agree. Least and median wall milliseconds of both; of ours also the least
CPU milliseconds of all threads, which other programs disturb less. Ends with 1 if a median misses
its target.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from statistics import median
from typing import NamedTuple

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from yolact_ros.config import variant
from yolact_ros.inference.postprocess import Postprocessor
from yolact_ros.inference.preprocess import Preprocessor
from yolact_ros.inference.settings import PredictionSettings
from yolact_ros.ops.boxes import decode_boxes, pairwise_iou
from yolact_ros.ops.crops import assemble_mask_crops
from yolact_ros.ops.masks import assemble_masks, binarize_masks
from yolact_ros.ops.packing import unpack_bits
from yolact_ros.ops.prior_decoder import PriorDecoder
from yolact_ros.ops.priors import make_priors
from yolact_ros.ops.scratch import Scratch
from yolact_ros.structures import MaskCrop, NetworkOutput

CONFIG = variant("yolact_resnet50")
PROTOTYPE_SIDE = 138
# Boxes kept and objects that they gather around: what a scene of each size looks like.
SCENES = ((45, 8), (206, 20), (1000, 1), (1000, 60), (4000, 60))
SIZES = ((640, 480), (1280, 720), (1920, 1080))
INSTANCES = (1, 15, 28, 100)
# Milliseconds that the median may take, by the start of a row's title.
TARGETS_MS = {
    "preprocess 640x480": 1.5,
    "NMS": 2.0,
    "masks 640x480, 28": 1.5,
    "masks 640x480, 100": 5.0,
}
HEADER = f"{'':34}{'naive ms':>17}{'ours ms':>17}{'CPU':>8}{'times':>8}{'target':>11}  agreement"


class Times(NamedTuple):
    """Milliseconds of every run of both ways; ``cpu_ms`` is of ours."""

    naive_ms: list[float]
    ours_ms: list[float]
    cpu_ms: list[float]


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=50)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(args.threads)
    print(f"torch {torch.__version__}, OpenCV {cv2.__version__}, {args.threads} threads\n{HEADER}")
    with torch.inference_mode():
        rows = [
            *compare_preprocessing(args.repeats),
            *compare_nms(args.repeats),
            *compare_masks(args.repeats),
        ]
    return 0 if all(rows) else 1


def compare_preprocessing(repeats: int) -> Iterator[bool]:
    """Camera pixels to network input: torch's interpolation against the preprocessor."""
    preprocess = Preprocessor(CONFIG)
    random = np.random.default_rng(0)
    for width_px, height_px in SIZES:
        image = random.integers(0, 256, (height_px, width_px, 3), np.uint8)
        times = in_turns(partial(preprocess_naively, image), partial(preprocess, image), repeats)
        error = float((preprocess_naively(image) - preprocess(image)).abs().max())
        yield report(f"preprocess {width_px}x{height_px}", times, f"to {error:.1e}")


def compare_nms(repeats: int) -> Iterator[bool]:
    """Raw output to the best 100 detections, and to those above a score of 0.3."""
    priors = make_priors(CONFIG)
    postprocess = Postprocessor(CONFIG, PriorDecoder(priors))
    for num_kept, num_objects in SCENES:
        output = make_output(num_kept, num_objects, priors)
        kept = int((output.class_logits[0].softmax(dim=1)[:, 1:].amax(dim=1) > 0.05).sum())
        for threshold in (0.0, 0.3):
            settings = PredictionSettings(threshold, top_k=100)
            times = in_turns(
                partial(detect_naively, output, priors, threshold),
                partial(postprocess.detect, output, settings),
                max(3, min(repeats, 10_000 // kept)),
            )
            found = postprocess.detect(output, settings)
            classes, scores = detect_naively(output, priors, threshold)
            same = np.array_equal(classes, found.class_ids) and np.allclose(scores, found.scores)
            title = f"NMS {kept} kept, {num_objects} objects, > {threshold}"
            yield report(title, times, f"{'same' if same else 'OTHER'} {len(found)}")


def compare_masks(repeats: int) -> Iterator[bool]:
    """Prototypes to packed bits: full-size float masks against crops."""
    random = np.random.default_rng(1)
    prototypes = smooth_prototypes(random)
    scratch = Scratch()
    for width_px, height_px in SIZES:
        for count in INSTANCES:
            coefficients = random.uniform(-1, 1, (count, CONFIG.num_prototypes)).astype("f4")
            boxes = random_boxes(random, count)
            scene = (prototypes, coefficients, boxes)
            times = in_turns(
                partial(assemble_naively, *scene, height_px, width_px),
                partial(assemble_mask_crops, *scene, height_px, width_px, scratch=scratch),
                max(3, repeats // (1 + count // 10)),
            )
            crops = assemble_mask_crops(*scene, height_px, width_px)
            naive = assemble_naively(*scene, height_px, width_px)
            differing = sum(
                int((ours_full(crop, mask.shape) != mask).sum())
                for crop, mask in zip(crops, naive, strict=True)
            )
            title = f"masks {width_px}x{height_px}, {count}"
            yield report(title, times, f"{differing} of {int(naive.sum())} px differ")


def in_turns(naive: Callable[[], object], ours: Callable[[], object], repeats: int) -> Times:
    """Times of both.

    Each turn runs each of them three times and leaves the first out, which finds the caches full
    of the other's data.
    """
    times = Times([], [], [])
    for _ in range(repeats):
        for function, taken in ((naive, times.naive_ms), (ours, times.ours_ms)):
            function()
            for _ in range(2):
                begun_s, cpu_s = time.perf_counter(), time.process_time()
                function()
                taken.append((time.perf_counter() - begun_s) * 1e3)
                if function is ours:
                    times.cpu_ms.append((time.process_time() - cpu_s) * 1e3)
    return times


def report(title: str, times: Times, agreement: str) -> bool:
    """Print one row of the table; False if it misses its target."""
    columns = "".join(f"{min(t):9.2f}{median(t):8.2f}" for t in (times.naive_ms, times.ours_ms))
    ratio = median(times.naive_ms) / median(times.ours_ms)
    targets_ms = [ms for start, ms in TARGETS_MS.items() if title.startswith(start)]
    met = all(median(times.ours_ms) <= ms for ms in targets_ms)
    target = "".join(f"{ms:.1f} {'met' if met else 'MISSED'}" for ms in targets_ms)
    row = f"{title:34}{columns}{min(times.cpu_ms):8.2f}{ratio:7.1f}x{target:>11}  {agreement}"
    print(row, flush=True)
    return met


def preprocess_naively(image_bgr: NDArray[np.uint8]) -> Tensor:
    """The same in torch: to float, interpolate, normalise, reverse the channels."""
    image = torch.from_numpy(image_bgr).permute(2, 0, 1)[None].float()
    side = CONFIG.input_size_px
    image = F.interpolate(image, (side, side), mode="bilinear", align_corners=False)
    mean = torch.tensor(CONFIG.normalization.mean_bgr)[:, None, None]
    std = torch.tensor(CONFIG.normalization.std_bgr)[:, None, None]
    return ((image - mean) / std).flip(1)


def detect_naively(
    output: NetworkOutput, priors: Tensor, threshold: float
) -> tuple[Tensor, Tensor]:
    """Fast NMS as the paper describes it: everything decoded, all classes dense."""
    scores = output.class_logits[0].softmax(dim=1)[:, 1:]
    boxes = decode_boxes(output.box_offsets[0], priors)
    kept = scores.amax(dim=1) > 0.05
    scores, boxes = scores[kept], boxes[kept]
    values, rows = scores.T.sort(dim=1, descending=True, stable=True)
    values, rows = values[:, :200], rows[:, :200]
    iou = pairwise_iou(boxes[rows], boxes[rows]).triu_(diagonal=1)
    keep = iou.amax(dim=1) <= 0.5
    class_ids = torch.arange(scores.shape[1])[:, None].expand_as(rows)[keep]
    best, order = values[keep].sort(descending=True, dim=0, stable=True)
    best, order = best[:100], order[:100]
    shown = best > threshold
    return class_ids[order][shown], best[shown]


def assemble_naively(
    prototypes: NDArray[np.float32],
    coefficients: NDArray[np.float32],
    boxes_xyxy: NDArray[np.float32],
    height_px: int,
    width_px: int,
) -> NDArray[np.bool_]:
    """A float mask of the whole image for every instance, then the threshold."""
    scene = (torch.from_numpy(values) for values in (prototypes, coefficients, boxes_xyxy))
    return binarize_masks(assemble_masks(*scene), height_px, width_px).numpy()


def make_output(num_kept: int, num_objects: int, priors: Tensor) -> NetworkOutput:
    """Raw output in which about ``num_kept`` boxes pass, gathered around objects."""
    random = np.random.default_rng(num_kept + num_objects)
    num_boxes, num_classes = len(priors), CONFIG.num_classes
    logits = random.normal(size=(num_boxes, num_classes + 1)).astype(np.float32)
    logits[:, 0] += 12
    centers = random.uniform(0.1, 0.9, (num_objects, 2))
    # The priors nearest to the objects are those that see them.
    distances = np.abs(priors[:, None, :2].numpy() - centers).max(axis=2)
    rows = np.argsort(distances.min(axis=1))[:num_kept]
    classes = random.integers(1, num_classes + 1, num_objects)[distances[rows].argmin(axis=1)]
    logits[rows, 0] -= 8
    logits[rows, classes] += 4 + random.normal(size=len(rows)).astype(np.float32)
    offsets = torch.from_numpy(random.normal(size=(1, num_boxes, 4)).astype(np.float32))
    side = PROTOTYPE_SIDE
    return NetworkOutput(
        offsets,
        torch.from_numpy(logits)[None],
        torch.zeros(1, num_boxes, CONFIG.num_prototypes),
        torch.zeros(1, side, side, CONFIG.num_prototypes),
    )


def smooth_prototypes(random: np.random.Generator) -> NDArray[np.float32]:
    """float32[138, 138, k]: non-negative and smooth, as those of a trained network."""
    coarse = torch.from_numpy(random.normal(size=(1, CONFIG.num_prototypes, 12, 12)))
    size = (PROTOTYPE_SIDE, PROTOTYPE_SIDE)
    smooth = F.interpolate(coarse.float(), size, mode="bilinear", align_corners=False)
    return smooth[0].permute(1, 2, 0).relu().contiguous().numpy()


def random_boxes(random: np.random.Generator, count: int) -> NDArray[np.float32]:
    """float32[n, 4] relative: sides of 0.05 to 0.6, on average a tenth of the image."""
    sides = random.uniform(0.05, 0.6, (count, 2))
    corners = random.uniform(0, 1, (count, 2)) * (1 - sides)
    return np.concatenate((corners, corners + sides), axis=1).astype(np.float32)


def ours_full(crop: MaskCrop, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """A crop in the whole image."""
    full = np.zeros(shape, np.bool_)
    rows = slice(crop.y_offset, crop.y_offset + crop.height)
    bits = unpack_bits(crop.bits, crop.height, crop.width)
    full[rows, crop.x_offset : crop.x_offset + crop.width] = bits
    return full


if __name__ == "__main__":
    sys.exit(main())
