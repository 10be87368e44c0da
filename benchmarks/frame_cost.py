"""The fixed cost around the network on the CPU, against its targets.

    python benchmarks/frame_cost.py [--threads 2] [--repeats 100]

At YOLACT's sizes: 19248 boxes, 80 classes, 138 x 138 prototypes, k 32, an input of 550 px. One
table: target, least and median wall milliseconds, least CPU milliseconds of all threads, and
whether the median meets the target. On a busy machine the medians measure the other programs; the
least CPU time is then the figure to compare. Ends with 1 if a target is missed.

`benchmarks/postprocess.py` compares the results with the paper's way of doing the same.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from statistics import median
from typing import NamedTuple

import cv2
import numpy as np
import postprocess as scenes
import torch

from yolact_ros.inference.postprocess import PostprocessConfig, Postprocessor
from yolact_ros.inference.preprocess import Preprocessor
from yolact_ros.ops.crops import assemble_mask_crops
from yolact_ros.ops.priors import make_priors
from yolact_ros.ops.scratch import Scratch

WIDTH_PX, HEIGHT_PX = 640, 480
PREPROCESS_MS = 1.5
NMS_MS = 2.0
MASKS_MS = {15: None, 28: 1.5, 100: 5.0}


class Stage(NamedTuple):
    """Something to time; ``target_ms`` None has no target."""

    title: str
    target_ms: float | None
    run: Callable[[], object]


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=100)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(args.threads)
    load = os.getloadavg()[0]
    print(f"torch {torch.__version__}, OpenCV {cv2.__version__}, NumPy {np.__version__}")
    print(f"{args.threads} threads, load {load:.1f}")
    print(f"{'':34}{'target':>9}{'least':>8}{'median':>8}{'CPU':>8}  met")
    missed = 0
    with torch.inference_mode():
        for stage in stages():
            wall_ms, cpu_ms = times(stage.run, args.repeats)
            met = stage.target_ms is None or median(wall_ms) <= stage.target_ms
            missed += not met
            target = "-" if stage.target_ms is None else f"{stage.target_ms:.1f}"
            answer = "-" if stage.target_ms is None else "yes" if met else "NO"
            figures = "".join(
                f"{value:8.2f}" for value in (min(wall_ms), median(wall_ms), min(cpu_ms))
            )
            print(f"{stage.title:34}{target:>9}{figures}  {answer}", flush=True)
    return 1 if missed else 0


def stages() -> Iterator[Stage]:
    """What a frame costs apart from the network, one row each."""
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (HEIGHT_PX, WIDTH_PX, 3), np.uint8)
    title = f"preprocess {WIDTH_PX}x{HEIGHT_PX} to {scenes.CONFIG.input_size_px}"
    yield Stage(title, PREPROCESS_MS, partial(Preprocessor(scenes.CONFIG), image))

    priors = make_priors(scenes.CONFIG)
    detector = Postprocessor(scenes.CONFIG, priors)
    for num_kept, num_objects in scenes.SCENES:
        output = scenes.make_output(num_kept, num_objects, priors)
        for threshold in (0.0, 0.3):
            settings = PostprocessConfig(threshold, top_k=100)
            title = f"Fast NMS {num_kept} kept of {num_objects}, > {threshold}"
            yield Stage(title, NMS_MS, partial(detector.detect, output, settings))

    prototypes = scenes.smooth_prototypes(np.random.default_rng(1))
    scratch = Scratch()
    for count, target_ms in MASKS_MS.items():
        coefficients = random.uniform(-1, 1, (count, scenes.CONFIG.num_prototypes)).astype("f4")
        boxes = scenes.random_boxes(random, count)
        scene = (prototypes, coefficients, boxes, HEIGHT_PX, WIDTH_PX)
        run = partial(assemble_mask_crops, *scene, scratch=scratch)
        yield Stage(f"masks {WIDTH_PX}x{HEIGHT_PX}, {count}", target_ms, run)


def times(run: Callable[[], object], repeats: int) -> tuple[list[float], list[float]]:
    """Wall and CPU milliseconds of each run after three to warm up."""
    for _ in range(3):
        run()
    wall_ms, cpu_ms = [], []
    for _ in range(repeats):
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        run()
        cpu_ms.append((time.process_time() - cpu_s) * 1e3)
        wall_ms.append((time.perf_counter() - wall_s) * 1e3)
    return wall_ms, cpu_ms


if __name__ == "__main__":
    sys.exit(main())
