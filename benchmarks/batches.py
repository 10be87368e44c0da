"""What a batch of several cameras' frames takes, against the same frames one by one.

    python benchmarks/batches.py [--input-size 320 256 192] [--threads 2] [--rounds 20]

Runs frames alone and batches in turns, so that a busy machine slows both; eager is the only
runtime that holds batches. For each input size: median and least milliseconds of a frame alone,
then for 2, 3 and 4 frames the median of how many single frames' time the batch takes. Below 0.9
times its frames a batch pays, and a node with several cameras uses it.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from yolact_ros.inference.predictor import Predictor
from yolact_ros.inference.quality.cost import BATCH_PAYS_BELOW

FRAMES = (2, 3, 4)
IMAGE_BGR = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--input-size", type=int, nargs="+", default=[320, 256, 192])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=20)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(f"{'px':>5}{'median ms':>11}{'least ms':>10}", *(f"{f'{n} frames':>12}" for n in FRAMES))
    for size_px in args.input_size:
        predictor = Predictor.load(
            args.model, runtime="eager", device="cpu", input_size_px=size_px
        )
        predictor.warm_up()
        alone = partial(predictor.detect, IMAGE_BGR)
        batches = [partial(predictor.detect_batch, [IMAGE_BGR] * frames) for frames in FRAMES]
        rounds = [[taken_ms(work) for work in (alone, *batches)] for _ in range(args.rounds)]
        predictor.close()
        cells = []
        for column, frames in enumerate(FRAMES, start=1):
            worth = median(row[column] / row[0] for row in rounds)
            cells.append(f"{worth:.2f}{' pays' if worth < BATCH_PAYS_BELOW * frames else ''}")
        alone_ms = [row[0] for row in rounds]
        print(
            f"{size_px:>5}{median(alone_ms):>11.1f}{min(alone_ms):>10.1f}",
            *(f"{cell:>12}" for cell in cells),
        )


def taken_ms(work: Callable[[], object]) -> float:
    """Wall milliseconds."""
    begun_s = time.perf_counter()
    work()
    return (time.perf_counter() - begun_s) * 1e3


if __name__ == "__main__":
    main()
