"""The frame budget over real DDS while another program takes the cores.

    python benchmarks/budget_live.py --output budget_live --plot docs/images/budget_live.png

A camera, the node and a measuring subscriber in processes of their own; processes of pure work
start and end meanwhile. Once with a budget and once without, held to the same deadline. Without
--budget the deadline is 33.3 ms or, where the best level takes longer on this machine, a little
more than its p95 without a load, which is measured first. Prints the tables of
docs/performance.md, checks that every message told the truth (exit code 1 if not), and leaves
budget_live.json with every message's report. The plot needs matplotlib.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import os
import shlex
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from yolact_ros.cli.benchmark_live import LiveRun, LiveSettings, run_live
from yolact_ros.cli.benchmark_ros import camera_source
from yolact_ros.cli.demo_plan import model_parameters
from yolact_ros.cli.demo_processes import require_ros
from yolact_ros.evaluation.bag.units.competing_load import competing_load
from yolact_ros.evaluation.benchmark.live_record import ResultRecord, find_untruths, summarise
from yolact_ros.evaluation.benchmark.machine import LoadMeter, describe_machine
from yolact_ros.evaluation.benchmark.tables import LIVE_COLUMNS, live_cells
from yolact_ros.evaluation.charts import chart_style, new_figure, save_figure
from yolact_ros.evaluation.output_folder import make_output_folder, write_json
from yolact_ros.evaluation.text import markdown_table

WANTED_MS = 33.3
# The deadline over the best level's p95 on the quiet machine, so that quality is full there.
CALIBRATION_MARGIN = 1.15
CALIBRATION_S = 8.0
RUN_COLOURS, LOAD_COLOUR = ("#d55e00", "#0072b2", "#009e73"), "#dddddd"


@dataclass
class TimedLoad:
    """Processes of pure work that run between two moments.

    Attributes:
        begun_ns, ended_ns: when they did, on the clock of the stamps.
    """

    processes: int
    from_s: float
    to_s: float
    begun_ns: int = 0
    ended_ns: int = 0
    _running: ExitStack = field(default_factory=ExitStack)

    def follow(self, elapsed_s: float) -> None:
        """Start or end them; called all the time."""
        if self.from_s <= elapsed_s < self.to_s and not self.begun_ns:
            self.begun_ns = time.time_ns()
            self._running.enter_context(competing_load(self.processes))
        if elapsed_s >= self.to_s:
            self.end()

    def end(self) -> None:
        """End those that run."""
        self._running.close()
        if self.begun_ns and not self.ended_ns:
            self.ended_ns = time.time_ns()


def main() -> int:
    """Calibrate, run with and without, print, save."""
    args = parse()
    require_ros()
    output = make_output_folder(args.output)
    runtime = args.runtime or ("openvino" if importlib.util.find_spec("openvino") else "eager")
    settings = LiveSettings(
        source=args.source or camera_source(output),
        size_px=(640, 480),
        rate_hz=args.rate,
        duration_s=sum(args.seconds),
        parameters=(
            *model_parameters(args.model, args.device),
            f"runtime:={runtime}",
            f"input_size:={list(args.sizes)}",
            *args.param,
        ),
        shipped_profile=True,
        output=output,
    )
    deadline_ms = args.budget or calibrate(settings)
    machine = describe_machine(args.device)
    count = args.load_processes
    print(f"{machine['cpu']}; deadline {deadline_ms} ms, {count} processes of pure work")
    meter = LoadMeter()
    runs = {
        "without a budget": measure(settings, 0.0, args.seconds, count),
        "with the budget": measure(settings, deadline_ms, args.seconds, count),
    }
    if args.node_prefix:
        first = replace(settings, node_prefix=tuple(shlex.split(args.node_prefix)))
        runs[f"budget, {args.node_prefix}"] = measure(first, deadline_ms, args.seconds, count)
    load = meter.read()
    wrong = {name: untruths(run, args.sizes) for name, (run, _) in runs.items()}
    print(f"\n{tables(runs, deadline_ms)}\n")
    for name, texts in wrong.items():
        print(f"{name}: {len(runs[name][0].records)} messages, {len(texts)} untrue")
        for text in texts[:5]:
            print(f"  {text}")
    if load.warning:
        print(load.warning)
    write_json(
        output / "budget_live.json",
        {
            "benchmark": "budget_live",
            "deadline_ms": deadline_ms,
            "load_processes": count,
            "parameters": list(settings.parameters),
            "environment": machine,
            "load": asdict(load),
            "runs": {
                name: run_values(run, load, deadline_ms, wrong[name])
                for name, (run, load) in runs.items()
            },
        },
    )
    if args.plot:
        plot(runs, deadline_ms, args.sizes, args.plot)
    return int(any(wrong.values()))


def parse() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--runtime", default="", help="default: openvino where it is installed")
    parser.add_argument("--sizes", type=int, nargs="+", default=[320, 256, 192], metavar="PX")
    parser.add_argument("--budget", type=float, default=0.0, metavar="MS", help="0: see above")
    parser.add_argument("--rate", type=float, default=30.0, metavar="HZ")
    parser.add_argument(
        "--seconds", type=float, nargs=3, default=[10.0, 15.0, 15.0],
        metavar=("BEFORE", "LOAD", "AFTER"),
    )  # fmt: skip
    parser.add_argument("--load-processes", type=int, default=os.cpu_count() or 1, metavar="N")
    parser.add_argument("--source", default="", help="images (default: the demo's clip)")
    parser.add_argument("--output", type=Path, default=Path("budget_live"))
    parser.add_argument("--plot", type=Path, help="file for the picture")
    parser.add_argument(
        "--node-prefix", default="", metavar="COMMAND",
        help="adds a run with the budget whose node is started with it, such as 'chrt --rr 1'",
    )  # fmt: skip
    parser.add_argument("-p", "--param", action="append", default=[], metavar="NAME:=VALUE")
    return parser.parse_args()


def calibrate(settings: LiveSettings) -> float:
    """The deadline that the best level just holds on the machine as it is."""
    quiet = replace(
        settings,
        duration_s=CALIBRATION_S,
        parameters=(*settings.parameters, "frame_budget_ms:=0.0"),
    )
    p95_ms = summarise(run_live(quiet, os.environ).records, 0.0).node_ms[1]
    print(f"calibration: the best level takes {p95_ms:.1f} ms at p95", flush=True)
    return max(WANTED_MS, float(math.ceil(CALIBRATION_MARGIN * p95_ms)))


def measure(
    settings: LiveSettings, budget_ms: float, seconds: Sequence[float], count: int
) -> tuple[LiveRun, TimedLoad]:
    """One run with the load coming and going."""
    load = TimedLoad(count, seconds[0], seconds[0] + seconds[1])
    parameters = (*settings.parameters, f"frame_budget_ms:={budget_ms}")
    try:
        run = run_live(replace(settings, parameters=parameters), os.environ, meanwhile=load.follow)
    finally:
        load.end()
    return run, load


def untruths(run: LiveRun, sizes_px: Sequence[int]) -> list[str]:
    """What the messages of a run say that did not happen."""
    return find_untruths(run.records, best_input_px=sizes_px[0], account=run.account)


def under_load(records: Sequence[ResultRecord], load: TimedLoad) -> list[ResultRecord]:
    """The results that were made while the load was there."""
    return [r for r in records if load.begun_ns <= r.received_ns <= load.ended_ns]


def tables(runs: dict[str, tuple[LiveRun, TimedLoad]], deadline_ms: float) -> str:
    """The whole time, and the time under load."""
    whole, loaded = [], []
    for name, (run, load) in runs.items():
        whole.append([name, *live_cells(summarise(run.records, deadline_ms))])
        part = under_load(run.records, load)
        if part:
            loaded.append([name, *live_cells(summarise(part, deadline_ms))])
    text = markdown_table(["whole time", *LIVE_COLUMNS], whole)
    return f"{text}\n\n{markdown_table(['under load', *LIVE_COLUMNS], loaded)}"


def run_values(
    run: LiveRun, load: TimedLoad, deadline_ms: float, wrong: Sequence[str]
) -> dict[str, Any]:
    """A run in plain JSON types."""
    part = under_load(run.records, load)
    return {
        "load_begun_ns": load.begun_ns,
        "load_ended_ns": load.ended_ns,
        "frames_sent": run.published,
        "frames_received": run.counter("received"),
        "node_cpu_percent": run.cpu_percent,
        "whole": asdict(summarise(run.records, deadline_ms)),
        "under_load": asdict(summarise(part, deadline_ms)) if part else None,
        "untruths": list(wrong),
        "messages": [asdict(record) for record in run.records],
    }


@chart_style()
def plot(
    runs: dict[str, tuple[LiveRun, TimedLoad]],
    deadline_ms: float,
    sizes_px: Sequence[int],
    path: Path,
) -> None:
    """Latency, level and misses over time; the load is shaded."""
    figure = new_figure(9, 6.5)
    axes = figure.subplots(3, 1, sharex=True, height_ratios=(3, 1.3, 1.3))
    latency, level, misses = axes
    for colour, (name, (run, load)) in zip(RUN_COLOURS, runs.items(), strict=False):
        start_ns = run.records[0].received_ns
        seconds = [(record.received_ns - start_ns) / 1e9 for record in run.records]
        # The same in all runs but for the moment that a process takes to start.
        load_s = [(at_ns - start_ns) / 1e9 for at_ns in (load.begun_ns, load.ended_ns)]
        totals_ms = [record.total_ms for record in run.records]
        latency.plot(seconds, totals_ms, ".", markersize=3, color=colour, label=name)
        sizes = [record.input_size for record in run.records]
        level.step(seconds, sizes, where="post", color=colour)
        missed = [total_ms > deadline_ms for total_ms in totals_ms]
        total = [sum(missed[: index + 1]) for index in range(len(missed))]
        misses.step(seconds, total, where="post", color=colour)
    for panel in axes:
        panel.axvspan(*load_s, color=LOAD_COLOUR, zorder=0)
    latency.axhline(deadline_ms, color="black", linewidth=1, label=f"deadline, {deadline_ms} ms")
    slowest_ms = max(record.total_ms for run, _ in runs.values() for record in run.records)
    latency.set_ylim(0, min(1.2 * slowest_ms, 5 * deadline_ms))
    latency.set_ylabel("reception to\npublication, ms")
    latency.legend(loc="upper right", ncols=3, fontsize=8, framealpha=1)
    level.set_yticks(sorted(sizes_px))
    level.set_ylabel("input, px")
    misses.set_ylabel("missed so far")
    misses.set_xlabel("time, s (grey: the other programs run)")
    save_figure(figure, path)


if __name__ == "__main__":
    sys.exit(main())
