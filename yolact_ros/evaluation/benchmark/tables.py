"""Benchmarks as tables for the terminal and for documents (GitHub's Markdown)."""

from __future__ import annotations

from collections.abc import Sequence

from yolact_ros.evaluation.benchmark.live_record import LiveSummary
from yolact_ros.evaluation.benchmark.scaling import Curve
from yolact_ros.evaluation.benchmark.stages import ContenderTimes
from yolact_ros.evaluation.text import markdown_table

__all__ = ["LIVE_COLUMNS", "curve_table", "live_cells", "stage_table"]

LIVE_COLUMNS = (
    "results",
    "missed",
    "full quality",
    "dropped",
    "Hz",
    "node p50 / p95 / p99 ms",
    "stamp to subscriber p50 / p95 / p99 ms",
)


def stage_table(results: Sequence[ContenderTimes]) -> str:
    """A row for each contender: median of each stage, spread of the whole, ratios, memory."""
    stages = list(results[0].stages)
    cuda = any(result.memory.cuda_peak_mib for result in results)
    header = ["runtime", *stages, "whole ms", "p5..p95", "min", "CPU ms"]
    header += ["network x", "whole x", "CPU x", "RSS MiB", "peak MiB"]
    header += ["CUDA MiB"] if cuda else []
    rows = []
    for result in results:
        row = [result.label]
        row += [f"{result.stages[stage].median_ms:.2f}" for stage in stages]
        row += [
            f"{result.whole.median_ms:.2f}",
            f"{result.whole.p5_ms:.1f}..{result.whole.p95_ms:.1f}",
            f"{result.whole.min_ms:.2f}",
            f"{result.cpu.median_ms:.1f}",
            f"{result.network_ratio:.2f}",
            f"{result.whole_ratio:.2f}",
            f"{result.cpu_ratio:.2f}",
            f"{result.memory.resident_mib:.0f}",
            f"{result.memory.peak_mib:.0f}",
        ]
        row += [f"{result.memory.cuda_peak_mib:.0f}"] if cuda else []
        rows.append(row)
    return markdown_table(header, rows)


def curve_table(curve: Curve) -> str:
    """A row for each value: median (p95) of each series, then the notes."""
    header = [curve.name, *(f"{name} ms (p95)" for name in curve.series), *curve.notes]
    rows = []
    for index, value in enumerate(curve.values):
        spreads = [series[index] for series in curve.series.values()]
        rows.append(
            [
                str(value),
                *(f"{spread.median_ms:.2f} ({spread.p95_ms:.2f})" for spread in spreads),
                *(f"{figures[index]:.1f}" for figures in curve.notes.values()),
            ]
        )
    return markdown_table(header, rows)


def live_cells(summary: LiveSummary) -> list[str]:
    """One cell for each of :data:`LIVE_COLUMNS`."""
    return [
        str(summary.results),
        f"{summary.missed} ({100 * summary.missed / summary.results:.1f} %)",
        f"{100 * summary.full_quality / summary.results:.0f} %",
        str(summary.dropped),
        f"{summary.rate_hz:.1f}",
        _percentiles(summary.node_ms),
        _percentiles(summary.latency_ms),
    ]


def _percentiles(values_ms: tuple[float, float, float]) -> str:
    return " / ".join(f"{value_ms:.1f}" for value_ms in values_ms)
