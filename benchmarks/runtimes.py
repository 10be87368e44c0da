"""Time the runtimes of one network against eager fp32, interleaved in one run.

    python benchmarks/runtimes.py --variant yolact_resnet50 --threads 2
    python benchmarks/runtimes.py --variant yolact_light --calibration folder/with/images

Random weights: the time does not depend on them, the error in the last column hardly. Prints a
table: median wall time, median CPU time of the process (which another program on the machine
disturbs less), both ratios to eager fp32, and the relative RMS error of the class logits.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from yolact_ros.config import variant
from yolact_ros.errors import YolactError
from yolact_ros.inference.runtimes.base import Runtime
from yolact_ros.inference.runtimes.selection import (
    default_engine_folder,
    open_runtime,
)
from yolact_ros.models import build_network

CPU_RUNTIMES = (
    ("eager", "fp32"),
    ("eager", "bf16"),
    ("compiled", "auto"),
    ("openvino", "fp32"),
    ("openvino", "bf16"),
    ("onnxruntime", "fp32"),
)
CUDA_RUNTIMES = (
    ("eager", "fp32"),
    ("eager", "fp16"),
    ("compiled", "fp16"),
    ("graph", "fp16"),
    ("onnxruntime", "auto"),
)


def main() -> None:
    """Open, interleave, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--variant", default="yolact_resnet50")
    parser.add_argument("--input-size", type=int, default=0, help="0 takes the variant's own")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=0, help="0 takes torch's own")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--calibration", type=Path, help="folder of images; adds OpenVINO int8")
    parser.add_argument("--only", nargs="*", help="names of runtimes; eager fp32 always runs")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    device = torch.device(args.device)
    torch.manual_seed(0)
    config = variant(args.variant)
    if args.input_size:
        config = config.with_input_size(args.input_size)
    model = build_network(config).eval().to(device)
    wanted = list(CPU_RUNTIMES if device.type == "cpu" else CUDA_RUNTIMES)
    if args.calibration:
        wanted.append(("openvino", "int8"))
    runtimes: list[Runtime] = []
    for name, precision in wanted:
        if args.only and name not in args.only and (name, precision) != wanted[0]:
            continue
        try:
            runtimes.append(
                open_runtime(
                    name,
                    model,
                    device=device,
                    precision=precision,
                    cache_folder=default_engine_folder(),
                    calibration_folder=args.calibration,
                )
            )
        except YolactError as error:
            print(f"left out {name} {precision}: {error}")
    report(runtimes, args.rounds)


def report(runtimes: list[Runtime], rounds: int) -> None:
    """Time all runtimes in turn and print the table."""
    side, device = runtimes[0].input_size_px, runtimes[0].device
    images = torch.randn(1, 3, side, side).to(device)
    exact = runtimes[0].run(images).class_logits.clone()
    errors = []
    for runtime in runtimes:
        difference = runtime.run(images).class_logits - exact
        errors.append(float(difference.square().mean().sqrt() / exact.square().mean().sqrt()))
    wall: list[list[float]] = [[] for _ in runtimes]
    busy: list[list[float]] = [[] for _ in runtimes]
    for _ in range(rounds):
        for index, runtime in enumerate(runtimes):
            wall_s, busy_s = time.perf_counter(), time.process_time()
            runtime.run(images)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            busy[index].append((time.process_time() - busy_s) * 1e3)
            wall[index].append((time.perf_counter() - wall_s) * 1e3)
    print(f"\n{torch.get_num_threads()} threads, torch {torch.__version__}, {rounds} rounds\n")
    print("| runtime | precision | wall ms | ratio | CPU ms | ratio | logits RMS error |")
    print("|---|---|---|---|---|---|---|")
    wall_ms = [statistics.median(times) for times in wall]
    busy_ms = [statistics.median(times) for times in busy]
    for index, runtime in enumerate(runtimes):
        print(
            f"| {runtime.name} | {runtime.precision} | {wall_ms[index]:.1f} "
            f"| {wall_ms[0] / wall_ms[index]:.2f} | {busy_ms[index]:.1f} "
            f"| {busy_ms[0] / busy_ms[index]:.2f} | {errors[index]:.1e} |"
        )


if __name__ == "__main__":
    main()
