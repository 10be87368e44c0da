"""What a work unit of ``yolact bag evaluate`` costs beside its frames, and whether memory is flat.

    python benchmarks/fleet_units.py                    # 10,000 units here, in 1 and 2 processes
    python benchmarks/fleet_units.py --ray auto         # on a cluster too

A unit is one frame of 32x24 pixels and a network that costs nothing: what remains is the unit's
own. Resident memory is that of the driver, and of the worker with most, at each quarter.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import psutil
from long_bag import START_NS, TrivialSource

from yolact_ros.evaluation.bag.options import EvaluationOptions
from yolact_ros.evaluation.bag.reading.messages import Segment
from yolact_ros.evaluation.bag.reading.sources import BagSource
from yolact_ros.evaluation.bag.units.executor import Executor, Failure, LocalExecutor
from yolact_ros.evaluation.bag.units.process import process_unit
from yolact_ros.evaluation.bag.units.ray_executor import RayExecutor
from yolact_ros.evaluation.bag.units.task import BagTask, Unit, plan_bag
from yolact_ros.evaluation.bag.writing.writer import BagWriter
from yolact_ros.evaluation.output_folder import write_bytes

PERIOD_NS = 33_000_000


def write_bag(path: Path, num_frames: int) -> None:
    """A bag of tiny raw images."""
    image = np.full((24, 32, 3), 90, np.uint8)
    with BagWriter(path) as writer:
        for index in range(num_frames):
            stamp_ns = START_NS + index * PERIOD_NS
            writer.write_image("/camera/image_raw", image, stamp_ns, stamp_ns)


def plan(bag: Path, output: Path, num_units: int) -> list[Unit]:
    """A unit for each frame of the bag."""
    source = TrivialSource()
    options = EvaluationOptions(bags=(BagSource(bag),), output=output, name="tiny", source=source)
    described = {"source": dict(source.describe())}
    task: BagTask = plan_bag(options, described)
    (output / "units").mkdir(parents=True)
    starts = [START_NS + number * PERIOD_NS for number in range(num_units)]
    return [
        Unit(task, number, Segment(start, start + PERIOD_NS))
        for number, start in enumerate(starts)
    ]


def worker_mb(head: str) -> float:
    """Resident memory of the largest process that works for this one; ``head``: of the cluster."""
    sizes = [0.0]
    for process in psutil.Process().children(recursive=True):
        if "spawn_main" in " ".join(process.cmdline()):
            sizes.append(process.memory_info().rss / 1e6)
    for process in psutil.process_iter(["name", "memory_info"]):
        # Ray's workers are called by what they do, and are children of a node's process.
        if head and process.info["name"] in ("ray::attempt", "ray::IDLE"):
            node = process.parent()
            if node is not None and f"--gcs-address={head}" in node.cmdline():
                sizes.append(process.info["memory_info"].rss / 1e6)
    return max(sizes)


def measure(name: str, executor: Executor, units: list[Unit]) -> None:
    """Run all units and print a row."""
    memory = []
    with executor:
        head = executor.head if isinstance(executor, RayExecutor) else ""
        run = executor.run(partial(process_unit, source=TrivialSource()), units)
        begun_s = time.perf_counter()
        started = min(100, len(units) // 10)
        for done, (unit, packed) in enumerate(run, 1):
            if packed is None or isinstance(packed, Failure):
                raise SystemExit(f"unit {unit.number}: {packed}")
            write_bytes(unit.file, packed[0])
            if done == started:
                begun_s = time.perf_counter()
            if done == started or done * 4 % len(units) == 0:
                driver_mb = psutil.Process().memory_info().rss / 1e6
                memory.append(f"{driver_mb:.0f}/{worker_mb(head):.0f}")
        taken_ms = (time.perf_counter() - begun_s) * 1e3
    print(
        f"{name:<14} {taken_ms / (len(units) - started):6.1f} ms   {'  '.join(memory)}", flush=True
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--units", type=int, default=10_000)
    parser.add_argument("--ray", help="address of a cluster")
    args = parser.parse_args()
    executors: dict[str, Executor] = {
        "1 process": LocalExecutor(1),
        "2 processes": LocalExecutor(2),
    }
    if args.ray:
        executors[f"Ray {args.ray}"] = RayExecutor(args.ray, threads=1, device="cpu")
    print("where          a unit      driver/worker MB after 100 units and at each quarter")
    with tempfile.TemporaryDirectory() as folder:
        bag = Path(folder, "tiny")
        write_bag(bag, args.units)
        for number, (name, executor) in enumerate(executors.items()):
            measure(name, executor, plan(bag, Path(folder, str(number)), args.units))
    return 0


if __name__ == "__main__":
    sys.exit(main())
