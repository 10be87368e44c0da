"""Where the milliseconds of a frame go on a GPU, stage by stage, in several runtimes.

    python benchmarks/gpu_stages.py --variant yolact_nano
    python benchmarks/gpu_stages.py --variant yolact_resnet50 --runtimes eager:fp32 graph:fp16
    python benchmarks/gpu_stages.py --device cpu --runtimes eager:fp32   # to see that it runs

Upload, prepare, network, detect and download are the device's, by events; queue, wait and host are
the host's: until all is queued, until the device is done, and reading table and masks. Opening is
what the user waits for before the first frame, with all compiling.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from gpu import lively_network
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from yolact_ros.config import YolactConfig
from yolact_ros.errors import YolactError
from yolact_ros.inference.device_pipeline import _upload
from yolact_ros.inference.image_file import read_image
from yolact_ros.inference.predictor import Predictor
from yolact_ros.inference.runtimes.selection import open_runtime
from yolact_ros.inference.settings import PredictionSettings
from yolact_ros.models.checkpoint import load_network
from yolact_ros.models.families import network_variant
from yolact_ros.models.network import Network
from yolact_ros.models.zoo import BUNDLED, find_model

DEVICE_STAGES = ("upload", "prepare", "network", "detect", "download")
STAGES = (*DEVICE_STAGES, "queue", "wait", "host", "frame")
SETTINGS = PredictionSettings(score_threshold=0.0, top_k=15)
RUNTIMES = ("eager:fp32", "eager:fp16", "graph:fp32", "graph:fp16", "compiled:fp16")
WARM_UP_FRAMES = 5


def main() -> None:
    """Print a row for each runtime."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--variant", default="yolact_nano")
    parser.add_argument("--runtimes", nargs="+", default=RUNTIMES, metavar="NAME:PRECISION")
    parser.add_argument("--image-size", default="640x480")
    parser.add_argument("--image", help="a file, resized; else coloured noise")
    parser.add_argument("--input-size", type=int, default=0, help="0 is the network's own")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--rounds", type=int, default=100)
    args = parser.parse_args()
    device = torch.device(args.device)
    width_px, height_px = (int(side) for side in args.image_size.split("x"))
    image = np.random.default_rng(0).integers(0, 256, (height_px, width_px, 3), np.uint8)
    if args.image:
        image = cv2.resize(read_image(Path(args.image)), (width_px, height_px))
    model = make_network(args.variant, args.input_size)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    print(f"{args.variant} at {model.config.input_size_px} px, image {args.image_size}, {name}")
    print(f"torch {torch.__version__}, medians of {args.rounds} frames in ms\n")
    print(f"| runtime | {' | '.join(STAGES)} | instances | opening s |", flush=True)
    print(f"|---|{'---|' * (len(STAGES) + 2)}", flush=True)
    for text in args.runtimes:
        try:
            print(measure(text, model, device, image, args.rounds), flush=True)
        except (YolactError, RuntimeError) as error:
            print(f"| {text} | {type(error).__name__}: {error} |", flush=True)


def make_network(variant: str, input_size_px: int) -> Network:
    """The bundled network by its name, or random weights that find something."""
    if variant == "yolact_nano":
        return load_network(find_model(BUNDLED), input_size_px=input_size_px).eval()
    config = network_variant(variant)
    assert isinstance(config, YolactConfig)
    return lively_network(config.with_input_size(input_size_px) if input_size_px else config)


def measure(
    text: str, model: Network, device: torch.device, image: NDArray[np.uint8], rounds: int
) -> str:
    """Open a runtime and time it; the row of the table."""
    runtime_name, _, precision = text.partition(":")
    begun_s = time.perf_counter()
    runtime = open_runtime(
        runtime_name, model.to(device), device=device, precision=precision or "auto"
    )
    with Predictor(
        model, device=device, settings=SETTINGS, runtime=runtime, on_device=True
    ) as predictor:
        for _ in range(WARM_UP_FRAMES):
            found = predictor.predict(image)
        opening_s = time.perf_counter() - begun_s
        frames = [time_stages(predictor, image) for _ in range(max(rounds, 1))]
        # As a user calls it, with nothing in between.
        for frame in frames:
            frame_s = time.perf_counter()
            predictor.predict(image)
            frame["frame"] = (time.perf_counter() - frame_s) * 1e3
        label = f"{runtime.name} {runtime.precision}"
        reason = f" ({runtime.reason})" if runtime.reason else ""
    medians = (statistics.median(frame[stage] for frame in frames) for stage in STAGES)
    values = " | ".join(f"{value:.3f}" for value in medians)
    return f"| {label}{reason} | {values} | {len(found)} | {opening_s:.1f} |"


@torch.inference_mode()
def time_stages(predictor: Predictor, image: NDArray[np.uint8]) -> dict[str, float]:
    """What :meth:`DevicePipeline.launch` and ``collect`` do, with a mark after each part."""
    pipeline = predictor._pipeline
    assert pipeline is not None
    shape = pipeline._current
    assert shape is not None
    on_cuda = predictor.device.type == "cuda"
    parts: tuple[Callable[[], object], ...] = (
        lambda: _upload(image, shape),
        shape.prepare,
        pipeline._run_network,
        shape.detect,
        shape.readback.send,
    )
    events = [torch.cuda.Event(enable_timing=True) for _ in range(6)] if on_cuda else []
    marks_s = [time.perf_counter()]
    if on_cuda:
        events[0].record()
    for number, part in enumerate(parts, start=1):
        part()
        marks_s.append(time.perf_counter())
        if on_cuda:
            events[number].record()
    queued_s = time.perf_counter()
    if on_cuda:
        events[-1].synchronize()
    done_s = time.perf_counter()
    detections = pipeline.collect().detections
    pipeline.crops(len(detections))
    host_s = time.perf_counter()
    spans = (
        [first.elapsed_time(second) for first, second in itertools.pairwise(events)]
        if on_cuda
        else [(second - first) * 1e3 for first, second in itertools.pairwise(marks_s)]
    )
    times = dict(zip(DEVICE_STAGES, spans, strict=True))
    host = {"queue": queued_s - marks_s[0], "wait": done_s - queued_s, "host": host_s - done_s}
    return times | {name: value * 1e3 for name, value in host.items()}


if __name__ == "__main__":
    main()
