"""What each technique brings: from the reference's way to ours, one after the other.

    python benchmarks/waterfall.py --variant yolact_resnet50 --plot docs/images/waterfall.png
    python benchmarks/waterfall.py --variant yolact_resnet50 --calibration folder/with/images

Each row keeps what the rows above it brought, as far as the machine has it. All rows run in turns,
so a busy machine slows all. The network has random weights and works on a real image size; what
comes after it gets a made scene with --instances objects, since random weights find none. Leaves
waterfall.json; the plot needs matplotlib.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from postprocess import assemble_naively, detect_naively

from yolact_ros.config import YolactConfig, variant
from yolact_ros.errors import YolactError
from yolact_ros.evaluation.benchmark.machine import LoadMeter, describe_machine
from yolact_ros.evaluation.benchmark.network import random_network
from yolact_ros.evaluation.benchmark.sample_images import synthetic_images
from yolact_ros.evaluation.benchmark.scenes import make_scene
from yolact_ros.evaluation.benchmark.spread import Spread
from yolact_ros.evaluation.charts import COLOURS, chart_style, new_figure, save_figure
from yolact_ros.evaluation.output_folder import make_output_folder, write_json
from yolact_ros.evaluation.text import markdown_table
from yolact_ros.inference.postprocess import Postprocessor
from yolact_ros.inference.preprocess import Preprocessor
from yolact_ros.inference.runtimes.fold import prepare_network
from yolact_ros.inference.runtimes.precision import native_floats
from yolact_ros.inference.runtimes.selection import default_engine_folder, open_runtime
from yolact_ros.inference.settings import PredictionSettings
from yolact_ros.models import Yolact

CPU = torch.device("cpu")
PARTS = ("preprocessing", "network", "postprocessing")
Network = Callable[[Tensor], object]


@dataclass(frozen=True)
class Step:
    """One row: a way to do each of :data:`PARTS`."""

    name: str
    preprocess: Callable[[NDArray[np.uint8]], Tensor]
    network: Network
    postprocess: Callable[[], object]


def main() -> None:
    """Build the steps, run them in turns, print, save."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--variant", default="yolact_resnet50")
    parser.add_argument("--input-size", type=int, default=0, help="0 takes the variant's own")
    parser.add_argument("--instances", type=int, default=15)
    parser.add_argument("--threads", type=int, default=0, help="0 takes torch's own")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--compiled", action="store_true", help="torch's compiler as a row too")
    parser.add_argument("--calibration", type=Path, help="folder of images; adds int8")
    parser.add_argument("--output", type=Path, default=Path("benchmark_output"))
    parser.add_argument("--plot", type=Path, help="file for the picture")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
        cv2.setNumThreads(args.threads)
    output = make_output_folder(args.output)
    config = variant(args.variant)
    if args.input_size:
        config = config.with_input_size(args.input_size)
    model = random_network(config)
    image_bgr = synthetic_images((640, 480), 1)[0]
    with torch.inference_mode():
        steps = make_steps(model, args, image_bgr)
        machine, meter = describe_machine("cpu"), LoadMeter()
        times_ms, cpu_ms = run_in_turns(steps, image_bgr, args.rounds)
        load = meter.read()
    title = (
        f"{args.variant} at {config.input_size_px} px, 640x480, {args.instances} instances, "
        f"{machine['torch_threads']} threads"
    )
    parts = {step.name: part_spreads(times) for step, times in zip(steps, times_ms, strict=True)}
    print(f"{machine['cpu']}; {title}, medians of {args.rounds} rounds\n")
    print(table(parts, times_ms, cpu_ms))
    if load.warning:
        print(load.warning)
    values = {
        "benchmark": "waterfall",
        "title": title,
        "environment": machine,
        "load": asdict(load),
        "steps": [
            {
                "name": name,
                "parts": {part: asdict(spread) for part, spread in spreads.items()},
                "whole": asdict(Spread.of([sum(row) for row in times])),
                "cpu": asdict(Spread.of(cpu)),
            }
            for (name, spreads), times, cpu in zip(parts.items(), times_ms, cpu_ms, strict=True)
        ],
    }
    write_json(output / "waterfall.json", values)
    if args.plot:
        wholes_ms = [Spread.of([sum(row) for row in times]).median_ms for times in times_ms]
        plot(parts, wholes_ms, title, args.plot)


def make_steps(
    model: Yolact, args: argparse.Namespace, image_bgr: NDArray[np.uint8]
) -> list[Step]:
    """The rows that this machine can have, the reference's way first."""
    height_px, width_px = image_bgr.shape[:2]
    config, priors = model.config, model.priors
    side = model(torch.zeros(1, 3, config.input_size_px, config.input_size_px)).prototypes.shape[1]
    scene = make_scene(config, priors, args.instances, prototype_side=int(side))
    ours = Postprocessor(config, model.decoder)
    settings = PredictionSettings(score_threshold=0.3, top_k=max(args.instances, 1))
    found = ours.detect(scene, settings)
    prototypes = scene.prototypes[0].numpy()

    def naive_postprocess() -> None:
        detect_naively(scene, priors, 0.3)
        assemble_naively(prototypes, found.coefficients, found.boxes_xyxy, height_px, width_px)

    def fast_postprocess() -> None:
        detections = ours.detect(scene, settings)
        ours.assemble(detections, scene.prototypes[0], height_px, width_px)

    def naive_preprocess(pixels: NDArray[np.uint8]) -> Tensor:
        return preprocess_naively(pixels, config)

    networks = make_networks(model, args)
    steps = [Step(name, naive_preprocess, run, naive_postprocess) for name, run in networks]
    last = networks[-1][1]
    fast_preprocess = Preprocessor(config)
    steps.append(Step("+ fused preprocessing", fast_preprocess, last, naive_postprocess))
    steps.append(
        Step("+ masks in their boxes, sparse NMS", fast_preprocess, last, fast_postprocess)
    )
    return steps


def make_networks(model: Yolact, args: argparse.Namespace) -> list[tuple[str, Network]]:
    """The networks that this machine can run, slowest technique first."""
    networks: list[tuple[str, Network]] = [
        ("reference: eager fp32, full-frame masks", model),
        ("+ norms folded, channels last", prepare_network(model, device=CPU)),
    ]
    wanted = [("compiled", "fp32")] if args.compiled else []
    wanted.append(("openvino", "fp32"))
    if "bf16" not in native_floats(CPU):
        wanted.append(("ncnn", "fp32"))
    if "bf16" in native_floats(CPU):
        wanted.append(("openvino", "bf16"))
    if args.calibration:
        wanted.append(("openvino", "int8"))
    for name, precision in wanted:
        try:
            runtime = open_runtime(
                name,
                model,
                device=CPU,
                precision=precision,
                cache_folder=default_engine_folder(),
                calibration_folder=args.calibration,
            )
        except YolactError as error:
            print(f"left out {name} {precision}: {error}")
            continue
        networks.append((f"+ {name} {precision}", runtime.run))
    return networks


def preprocess_naively(image_bgr: NDArray[np.uint8], config: YolactConfig) -> Tensor:
    """To float, interpolate, normalise, reverse the channels."""
    image = torch.from_numpy(image_bgr).permute(2, 0, 1)[None].float()
    size = (config.input_size_px, config.input_size_px)
    image = F.interpolate(image, size, mode="bilinear", align_corners=False)
    mean = torch.tensor(config.normalization.mean_bgr)[:, None, None]
    std = torch.tensor(config.normalization.std_bgr)[:, None, None]
    return ((image - mean) / std).flip(1)


def run_in_turns(
    steps: list[Step], image_bgr: NDArray[np.uint8], rounds: int
) -> tuple[list[list[tuple[float, ...]]], list[list[float]]]:
    """Wall times of the parts and CPU times of the whole, for every step and round.

    Each turn runs a step twice and times the second: the first finds the caches full of another
    step's data.
    """
    times_ms: list[list[tuple[float, ...]]] = [[] for _ in steps]
    cpu_ms: list[list[float]] = [[] for _ in steps]
    for _ in range(rounds):
        for index, step in enumerate(steps):
            for timed in (False, True):
                cpu_s, begun_s = time.process_time(), time.perf_counter()
                images = step.preprocess(image_bgr)
                preprocessed_s = time.perf_counter()
                step.network(images)
                inferred_s = time.perf_counter()
                step.postprocess()
                ended_s = time.perf_counter()
                if timed:
                    marks = (begun_s, preprocessed_s, inferred_s, ended_s)
                    times_ms[index].append(tuple(np.diff(marks).tolist()))
                    cpu_ms[index].append((time.process_time() - cpu_s) * 1e3)
    in_ms = [[tuple(1e3 * part for part in row) for row in times] for times in times_ms]
    return in_ms, cpu_ms


def part_spreads(times_ms: list[tuple[float, ...]]) -> dict[str, Spread]:
    """The spread of each of :data:`PARTS`."""
    return {
        part: Spread.of([row[column] for row in times_ms]) for column, part in enumerate(PARTS)
    }


def table(
    parts: dict[str, dict[str, Spread]],
    times_ms: list[list[tuple[float, ...]]],
    cpu_ms: list[list[float]],
) -> str:
    """A row for each step: medians of the parts and of the whole, and ratios to the first row."""
    wholes = [Spread.of([sum(row) for row in times]) for times in times_ms]
    cpus = [Spread.of(times) for times in cpu_ms]
    header = ["", *(f"{part} ms" for part in PARTS), "whole ms", "min", "ratio", "CPU ms", "ratio"]
    rows = [
        [
            name,
            *(f"{spread.median_ms:.1f}" for spread in spreads.values()),
            f"{whole.median_ms:.1f}",
            f"{whole.min_ms:.1f}",
            f"{wholes[0].median_ms / whole.median_ms:.2f}",
            f"{cpu.median_ms:.1f}",
            f"{cpus[0].median_ms / cpu.median_ms:.2f}",
        ]
        for (name, spreads), whole, cpu in zip(parts.items(), wholes, cpus, strict=True)
    ]
    return markdown_table(header, rows)


@chart_style()
def plot(
    parts: dict[str, dict[str, Spread]], wholes_ms: list[float], title: str, path: Path
) -> None:
    """A bar for each step, made of its parts."""
    figure = new_figure(9, 1 + 0.5 * len(parts))
    axes = figure.subplots()
    names = list(parts)
    left_ms = [0.0] * len(names)
    for colour, part in zip(COLOURS, PARTS, strict=False):
        widths_ms = [parts[name][part].median_ms for name in names]
        axes.barh(names, widths_ms, left=left_ms, color=colour, label=part)
        left_ms = [left + width for left, width in zip(left_ms, widths_ms, strict=True)]
    for index, (end_ms, whole_ms) in enumerate(zip(left_ms, wholes_ms, strict=True)):
        axes.text(end_ms, index, f" {whole_ms:.0f} ms", va="center", fontsize=8)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set_xlabel("median, ms")
    axes.set_title(title, fontsize=9)
    axes.legend(fontsize=8, loc="lower right")
    save_figure(figure, path)


if __name__ == "__main__":
    main()
