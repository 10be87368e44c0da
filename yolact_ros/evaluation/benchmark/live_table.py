"""A running node's figures as rows of a table."""

from __future__ import annotations

from yolact_ros.evaluation.benchmark.live_record import LiveSummary

__all__ = ["LIVE_COLUMNS", "live_cells"]

LIVE_COLUMNS = (
    "results",
    "missed",
    "full quality",
    "dropped",
    "Hz",
    "node p50 / p95 / p99 ms",
    "stamp to subscriber p50 / p95 / p99 ms",
)


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
