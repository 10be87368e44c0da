"""Plot the frame budget under a competing load that comes and goes, in simulation.

    python benchmarks/budget_simulation.py docs/images/budget_simulation.png

The same cameras, costs and load with the budget and without it; prints the table of
docs/budget.md. Needs matplotlib.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "test")]

from budget_simulation import LoadStep, Simulation, World, simulate  # noqa: E402

from yolact_ros.inference.quality.cost import quantile  # noqa: E402

BUDGET_MS = 33.3
DURATION_MS = 60_000.0
NETWORK_MS = {550: 25.0, 400: 13.5, 300: 8.0}
LOAD = (
    LoadStep(8_000.0, 2.0),
    LoadStep(20_000.0, 1.0),
    LoadStep(28_000.0, 3.2),
    LoadStep(36_000.0, 1.0),
    LoadStep(42_000.0, 1.0, drift=0.2),
    LoadStep(52_000.0, 1.0),
)
WORLD = World(NETWORK_MS, LOAD, noise=0.03, spike_every=400, spike_slowdown=2.5, seed=3)
WITH, WITHOUT = "#0072b2", "#d55e00"


def run(fixed_level: int | None) -> Simulation:
    """One minute of a 30 Hz camera."""
    return simulate(
        WORLD,
        budget_ms=BUDGET_MS,
        period_ms=1000.0 / 30.0,
        duration_ms=DURATION_MS,
        fixed_level=fixed_level,
    )


def row(name: str, result: Simulation) -> str:
    """A line of the table."""
    latencies_ms = [frame.finished_ms - frame.received_ms for frame in result.frames]
    best = sum(frame.degradation == 0 for frame in result.frames)
    count = len(result.frames)
    dropped = result.replaced + len(result.skipped_at_ms)
    percentiles = " / ".join(f"{quantile(latencies_ms, q):.1f}" for q in (0.5, 0.95, 0.99))
    return (
        f"| {name} | {count} | {result.missed} ({100 * result.missed / count:.1f} %) "
        f"| {percentiles} | {100 * best / count:.0f} % | {dropped} |"
    )


def plot(with_budget: Simulation, without: Simulation, target: Path) -> None:
    """Latency, level and load over time."""
    figure, (latency, level, load) = plt.subplots(
        3, 1, figsize=(9, 6.2), sharex=True, height_ratios=(3, 1.6, 1), layout="constrained"
    )
    for result, colour, name in (
        (without, WITHOUT, "without a budget (550 px)"),
        (with_budget, WITH, "with the budget"),
    ):
        seconds = [frame.begun_ms / 1000.0 for frame in result.frames]
        latencies_ms = [frame.finished_ms - frame.received_ms for frame in result.frames]
        latency.plot(seconds, latencies_ms, ".", markersize=3, color=colour, label=name)
    latency.axhline(BUDGET_MS, color="black", linewidth=1, label=f"deadline, {BUDGET_MS} ms")
    latency.set_ylim(0, 145)
    latency.set_ylabel("reception to\npublication, ms")
    latency.legend(loc="upper right", ncols=3, fontsize=8, framealpha=1)

    seconds = [frame.begun_ms / 1000.0 for frame in with_budget.frames]
    level.step(seconds, [-frame.level_index for frame in with_budget.frames], color=WITH)
    level.set_yticks([0, -1, -2, -3, -4])
    level.set_yticklabels(["550", "400", "300", "coarse masks", "boxes"], fontsize=8)
    level.set_ylabel("level")

    times_ms = [100.0 * index for index in range(int(DURATION_MS / 100.0))]
    load.plot(
        [at_ms / 1000.0 for at_ms in times_ms],
        [WORLD.slowdown(at_ms) for at_ms in times_ms],
        color="black",
        drawstyle="steps-post",
    )
    load.set_ylim(0.8, 3.6)
    load.set_ylabel("slowdown")
    load.set_xlabel("time, s")
    load.set_xlim(0, DURATION_MS / 1000.0)
    figure.savefig(target, dpi=100)


def main() -> None:
    """Print the table and write the plot."""
    with_budget, without = run(None), run(0)
    print("| | frames | deadlines missed | p50 / p95 / p99 ms | full quality | dropped |")
    print("|---|---|---|---|---|---|")
    print(row("without a budget", without))
    print(row("with the budget", with_budget))
    plot(with_budget, without, Path(sys.argv[1]))


if __name__ == "__main__":
    main()
