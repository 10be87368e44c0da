"""Time the runtimes of networks against eager fp32, interleaved in one run.

    python benchmarks/runtimes.py --variant yolact_resnet50 yolact_base --threads 2
    python benchmarks/runtimes.py --variant yolact_light --input-size 320 288 256 \\
        --calibration folder/with/images

Run it with OMP_WAIT_POLICY=PASSIVE GOMP_SPINCOUNT=2000, as `yolact` and the node set them.
Random weights: the time does not depend on them, the error in the last column hardly. A table for
each network and input size: median wall time, least CPU time of the process (which other programs
disturb less), both ratios to eager fp32, the arithmetic rate on that CPU time, also as a share of
torch's matrix product on one thread, and the relative RMS error of the class logits.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
import time
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from yolact_ros.config import variant
from yolact_ros.errors import YolactError
from yolact_ros.inference.runtimes.base import Runtime
from yolact_ros.inference.runtimes.selection import (
    default_engine_folder,
    open_runtime,
)
from yolact_ros.models import Yolact, build_network

MATMUL_SIDE = 1024
MATMUL_ROUNDS = 20

CPU_RUNTIMES = (
    ("eager", "fp32"),
    ("eager", "bf16"),
    ("compiled", "auto"),
    ("openvino", "fp32"),
    ("openvino", "bf16"),
    ("ncnn", "fp32"),
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
    parser.add_argument("--variant", nargs="+", default=["yolact_resnet50"])
    parser.add_argument(
        "--input-size", type=int, nargs="+", default=[0], help="0 takes the variant's own"
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=0, help="0 takes torch's own")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--calibration", type=Path, help="folder of images; adds OpenVINO int8")
    parser.add_argument("--only", nargs="*", help="names of runtimes; eager fp32 always runs")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    rate = matmul_rate() if args.device == "cpu" else 0.0
    for name, size in itertools.product(args.variant, args.input_size):
        torch.manual_seed(0)
        config = variant(name)
        model = build_network(config.with_input_size(size) if size else config).eval()
        report(open_all(model, args), args.rounds, operations(model), rate)


def open_all(model: Yolact, args: argparse.Namespace) -> list[Runtime]:
    """The runtimes that this machine has and the options name; eager fp32 first."""
    device = torch.device(args.device)
    model.to(device)
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
    return runtimes


@torch.inference_mode()
def operations(model: Yolact) -> float:
    """Floating-point operations of one run, a multiplication with its addition as two."""
    side = model.config.input_size_px
    with FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, 3, side, side, device=model.priors.device))
    return float(counter.get_total_flops())


def matmul_rate() -> float:
    """Operations a second of torch's float32 matrix product on one thread: the practical peak."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    left, right = torch.randn(2, MATMUL_SIDE, MATMUL_SIDE)
    times_s = []
    for _ in range(MATMUL_ROUNDS):
        begun_s = time.process_time()
        torch.mm(left, right)
        times_s.append(time.process_time() - begun_s)
    torch.set_num_threads(threads)
    return 2.0 * MATMUL_SIDE**3 / min(times_s)


def report(runtimes: list[Runtime], rounds: int, flops: float, rate: float) -> None:
    """Time all runtimes in turn, print the table and close them.

    Args:
        runtimes: of one network; the first is the reference.
        rounds: of timing.
        flops: operations of one run.
        rate: operations a second that one thread can do; 0 where it is not known.
    """
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
    print(
        f"\n{flops / 1e9:.1f} GFLOP at {side} px, {torch.get_num_threads()} threads, matrix "
        f"product {rate / 1e9:.0f} GFLOP/s a thread, torch {torch.__version__}, {rounds} rounds\n"
    )
    print("| runtime | precision | wall ms | ratio | CPU ms | ratio | G/s | of peak | error |")
    print("|---|---|---|---|---|---|---|---|---|")
    wall_ms = [statistics.median(times) for times in wall]
    busy_ms = [min(times) for times in busy]
    for index, runtime in enumerate(runtimes):
        reached = flops / (busy_ms[index] / 1e3)
        share = f"{reached / rate:.0%}" if rate else "-"
        print(
            f"| {runtime.name} | {runtime.precision} | {wall_ms[index]:.1f} "
            f"| {wall_ms[0] / wall_ms[index]:.2f} | {busy_ms[index]:.1f} "
            f"| {busy_ms[0] / busy_ms[index]:.2f} | {reached / 1e9:.0f} | {share} "
            f"| {errors[index]:.1e} |",
            flush=True,
        )
        runtime.close()


if __name__ == "__main__":
    main()
