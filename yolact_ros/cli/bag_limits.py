"""Limits that a robot's CI states, and which of them a result breaks: then exit code 1."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

__all__ = ["add_limits", "broken_limits"]


def add_limits(parser: argparse.ArgumentParser, *, comparison: bool = False) -> None:
    """Add the options; a comparison has one more."""
    group = parser.add_argument_group("limits; exit code 1 when one is broken")
    group.add_argument("--min-map", type=float, metavar="PERCENT", help="least mask AP")
    group.add_argument("--max-miss", type=float, metavar="PERCENT", help="most deadlines missed")
    group.add_argument("--max-p95", type=float, metavar="MS", help="largest latency p95")
    if comparison:
        group.add_argument(
            "--max-map-loss",
            type=float,
            metavar="PERCENT",
            help="most mask AP lost against the first result",
        )


def broken_limits(
    args: argparse.Namespace, metrics: Mapping[str, Any], ap_lost: float | None = None
) -> list[str]:
    """A sentence for every limit that a result does not keep.

    What was not measured does not keep its limit. AP is that of the masks, or of the boxes where
    the truth has no masks.

    Args:
        args: with the options of :func:`add_limits`.
        metrics: content of metrics.json.
        ap_lost: against the first run of a comparison, 0..1.
    """
    accuracy = metrics.get("accuracy", {})
    ap = accuracy.get("segm", accuracy.get("bbox", {})).get("ap")
    missed = metrics.get("deadline", {}).get("miss_rate")
    p95_ms = metrics.get("latency_ms", {}).get("total", {}).get("p95")
    checks = (
        _check("AP", ap, args.min_map, "%", at_least=True),
        _check("deadlines missed", missed, args.max_miss, "%"),
        _check("latency p95", p95_ms, args.max_p95, "ms"),
        _check("AP lost", ap_lost, getattr(args, "max_map_loss", None), "%"),
    )
    return [text for text in checks if text]


def _check(
    name: str, value: float | None, limit: float | None, unit: str, *, at_least: bool = False
) -> str:
    if limit is None:
        return ""
    expected = f"expected at {'least' if at_least else 'most'} {limit:g} {unit}"
    if value is None:
        return f"{name} was not measured, {expected}"
    value *= 100 if unit == "%" else 1
    kept = value >= limit if at_least else value <= limit
    return "" if kept else f"{name} is {value:.4g} {unit}, {expected}"
