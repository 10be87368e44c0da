"""Memory and speed of ``yolact bag evaluate`` on long bags, with a predictor that costs nothing.

    python benchmarks/long_bag.py                 # 1,000 and 10,000 frames
    python benchmarks/long_bag.py --frames 500 5000
    python benchmarks/long_bag.py --frames 20 1000 --bags 20   # what a bag costs, once warm

For each length a bag of moving rectangles with a truth topic is written, and evaluated in a
process of its own whose resident memory is sampled. Flat means: the last row's memory is that of
the first, but for a few bytes of numbers a frame.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from yolact_ros.evaluation.bag.evaluate import evaluate_bags
from yolact_ros.evaluation.bag.frame import FoundInstance, FrameInstances
from yolact_ros.evaluation.bag.options import EvaluationOptions
from yolact_ros.evaluation.bag.reading.sources import BagSource
from yolact_ros.evaluation.bag.units.model_source import ModelSource
from yolact_ros.evaluation.bag.writing.writer import BagWriter
from yolact_ros.inference.predictor import StageTimes
from yolact_ros.ops.coco_rle import encode_crop
from yolact_ros.prediction import Prediction
from yolact_ros.structures import MaskCrop

WIDTH_PX, HEIGHT_PX = 320, 240
NUM_OBJECTS = 8
PERIOD_NS = 33_333_333
START_NS = 1_735_689_600_000_000_000
SAMPLE_S = 0.05


def boxes(index: int) -> NDArray[np.int64]:
    """Left, top, width, height of the objects of a frame: [8, 4]."""
    numbers = np.arange(NUM_OBJECTS)
    left = (index * (1 + numbers % 3) + 97 * numbers) % (WIDTH_PX - 60)
    top = 26 * numbers
    return np.stack([left, top, 40 + numbers, np.full(NUM_OBJECTS, 24)], axis=1)


def write_bag(path: Path, num_frames: int) -> None:
    """A bag of raw images and truth."""
    with BagWriter(path) as writer:
        for index in range(num_frames):
            stamp_ns = START_NS + index * PERIOD_NS
            image = np.full((HEIGHT_PX, WIDTH_PX, 3), 90, np.uint8)
            found = []
            for number, (x, y, width, height) in enumerate(boxes(index).tolist()):
                image[y : y + height, x : x + width] = (20, 20 * number, 250)
                crop = MaskCrop(
                    x, y, width, height, np.packbits(np.ones(width * height, np.uint8))
                )
                counts = encode_crop(crop, HEIGHT_PX, WIDTH_PX)["counts"]
                found.append(FoundInstance(0, "object", 1.0, (x, y, width, height), counts))
            writer.write_image("/camera/image_raw", image, stamp_ns, stamp_ns)
            message = FrameInstances(HEIGHT_PX, WIDTH_PX, tuple(found), stamp_ns, "camera")
            writer.write_instances("/truth", message, stamp_ns)


@dataclass(frozen=True)
class TrivialSource(ModelSource):
    """Answers from the frame's number: the network takes no time and no memory."""

    def open(self) -> Any:
        return TrivialPredictor()

    def describe(self) -> dict[str, Any]:
        return {"model": "trivial", "class_names": ["object"]}


class TrivialPredictor:
    class_names = ("object",)

    def __init__(self) -> None:
        self._random = np.random.default_rng(0)
        self._index = 0

    def predict_timed(self, image_bgr: NDArray[np.uint8]) -> tuple[Prediction, StageTimes]:
        rows = boxes(self._index)
        self._index += 1
        shifted = rows + np.array([1, 0, 0, 0]) * self._random.integers(0, 8, (NUM_OBJECTS, 1))
        masks = tuple(
            MaskCrop(x, y, w, h, np.packbits(np.ones(w * h, np.uint8)))
            for x, y, w, h in shifted.tolist()
        )
        corners = shifted.astype(np.float32)
        corners[:, 2:] += corners[:, :2]
        scores = np.sort(self._random.random(NUM_OBJECTS).astype(np.float32))[::-1]
        ids = np.zeros(NUM_OBJECTS, np.int64)
        prediction = Prediction(HEIGHT_PX, WIDTH_PX, ids, scores, corners, masks)
        return prediction, StageTimes(0.0, 0.0, 0.0)

    def close(self) -> None:
        pass


class Sampler:
    """A watcher that notes resident memory by phase and by frames done."""

    def __init__(self) -> None:
        self.phases: list[dict[str, Any]] = []
        self._stop = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while not self._stop.wait(SAMPLE_S):
            if self.phases:
                now_mb = resident_mb()
                phase = self.phases[-1]
                phase["peak_mb"] = max(phase["peak_mb"], now_mb)

    def start(self, title: str, total: int | None) -> Callable[[int], None]:
        phase = {
            "title": "scoring" if title.endswith("scoring") else "records",
            "begun_cpu_s": time.process_time(),
            "frames": 0,
            "begun_s": time.perf_counter(),
            "first_mb": resident_mb(),
            "peak_mb": 0.0,
            "quarters_mb": [],
        }
        self.phases.append(phase)

        def told(count: int) -> None:
            phase["frames"] += count
            phase["taken_s"] = time.perf_counter() - phase["begun_s"]
            if total and phase["frames"] * 4 // total > len(phase["quarters_mb"]):
                phase["quarters_mb"].append(round(resident_mb(), 1))

        return told


def resident_mb() -> float:
    """Resident memory of this process, megabytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def evaluate(bag: Path, count: int, output: Path, report: Path) -> None:
    """Evaluate in this process and leave what was measured in a file."""
    sampler = Sampler()
    before_mb = resident_mb()
    begun_s = time.perf_counter()
    options = EvaluationOptions(
        bags=(BagSource(bag, truth="/truth"),) * count, output=output, source=TrivialSource()
    )
    metrics = evaluate_bags(options, sampler)
    result = {
        "before_mb": before_mb,
        "total_s": time.perf_counter() - begun_s,
        "scored_cpu_s": time.process_time() - sampler.phases[-1]["begun_cpu_s"],
        "after_mb": resident_mb(),
        "phases": sampler.phases,
        "ap": metrics["accuracy"]["segm"]["ap"],
    }
    report.write_text(json.dumps(result))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, nargs="+", default=[1000, 10000])
    parser.add_argument("--bags", type=int, default=1, help="so many times the same one")
    parser.add_argument("--folder", type=Path, help="for the bags (default: a temporary one)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        for num_frames in args.frames:
            bag = Path(folder, f"bag_{num_frames}")
            write_bag(bag, num_frames)
            size_mb = sum(file.stat().st_size for file in bag.iterdir()) / 1e6
            raw_mb = num_frames * WIDTH_PX * HEIGHT_PX * 3 / 1e6
            report = Path(folder, f"report_{num_frames}.json")
            process = multiprocessing.get_context("spawn").Process(
                target=evaluate, args=(bag, args.bags, Path(folder, f"out_{num_frames}"), report)
            )
            process.start()
            process.join()
            if process.exitcode:
                return 1
            result = json.loads(report.read_text())
            show(num_frames, size_mb, raw_mb, result)
            scored_s = result["scored_cpu_s"] / args.bags
            print(f"scoring, tables and page: {scored_s:.2f} s of CPU time a bag")
    return 0


def show(num_frames: int, size_mb: float, raw_mb: float, result: dict[str, Any]) -> None:
    """Print one bag's table."""
    print(
        f"\n{num_frames} frames, bag {size_mb:.0f} MB ({raw_mb:.0f} MB of pixels), mask AP "
        f"{100 * result['ap']:.1f}; resident before {result['before_mb']:.0f} MB, after "
        f"{result['after_mb']:.0f} MB, {result['total_s']:.1f} s"
    )
    print("phase      frames/s  MB at 1/4 1/2 3/4 4/4           peak MB")
    for phase in result["phases"]:
        rate = phase["frames"] / phase["taken_s"] if phase.get("taken_s") else 0.0
        quarters = " ".join(f"{value:6.1f}" for value in phase["quarters_mb"])
        print(f"{phase['title']:<10} {rate:8.0f}  {quarters:<30}  {phase['peak_mb']:7.1f}")


if __name__ == "__main__":
    sys.exit(main())
