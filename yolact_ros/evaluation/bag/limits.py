"""Limits that a robot's CI states, and which of them a result breaks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Limits"]


@dataclass(frozen=True)
class Limits:
    """What a result must keep; None is no limit.

    Attributes:
        min_map_percent: least mask AP (box AP where the truth has no masks), per cent.
        max_miss_percent: most deadlines missed, per cent.
        max_p95_ms: largest 95th percentile of the latency, milliseconds.
        max_map_loss_percent: most mask AP lost against the first run of a comparison, per cent.
    """

    min_map_percent: float | None = None
    max_miss_percent: float | None = None
    max_p95_ms: float | None = None
    max_map_loss_percent: float | None = None

    def broken(self, metrics: Mapping[str, Any]) -> list[str]:
        """A sentence for every limit that ``metrics`` (of metrics.json) does not keep.

        What was not measured does not keep its limit.
        """
        accuracy = metrics.get("accuracy", {})
        ap = accuracy.get("segm", accuracy.get("bbox", {})).get("ap")
        missed = metrics.get("deadline", {}).get("miss_rate")
        p95_ms = metrics.get("latency_ms", {}).get("total", {}).get("p95")
        checks = (
            ("AP", _percent(ap), self.min_map_percent, "%", True),
            ("deadlines missed", _percent(missed), self.max_miss_percent, "%", False),
            ("latency p95", p95_ms, self.max_p95_ms, "ms", False),
        )
        return [text for check in checks if (text := _check(*check))]

    def broken_loss(self, lost_percent: float | None) -> list[str]:
        """The same for the AP lost against the first run."""
        text = _check("AP lost", lost_percent, self.max_map_loss_percent, "%", False)
        return [text] if text else []


def _check(name: str, value: float | None, limit: float | None, unit: str, at_least: bool) -> str:
    if limit is None:
        return ""
    word = "at least" if at_least else "at most"
    if value is None:
        return f"{name} was not measured, expected {word} {limit:g} {unit}"
    kept = value >= limit if at_least else value <= limit
    return "" if kept else f"{name} is {value:.4g} {unit}, expected {word} {limit:g} {unit}"


def _percent(value: float | None) -> float | None:
    return None if value is None else 100 * value
