"""The numbers of an evaluation as a few lines for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from yolact_ros.evaluation.bag.bootstrap import Interval
from yolact_ros.evaluation.bag.compare import Comparison, verdict
from yolact_ros.evaluation.bag.html import number, percent
from yolact_ros.evaluation.bag.problems import problem_lines
from yolact_ros.evaluation.bag.statistics import STATISTICS, Statistic
from yolact_ros.inference.bit_depth import FULL_BITS

__all__ = ["comparison_text", "summary_text"]


def summary_text(metrics: Mapping[str, Any]) -> str:
    """The numbers of metrics.json that matter most."""
    lines = [str(metrics["title"]), str(metrics["subtitle"]), ""]
    for iou_type, values in metrics.get("accuracy", {}).items():
        name = "masks" if iou_type == "segm" else "boxes"
        point = values["operating_point"]
        lines.append(
            f"{name}: AP {_ap(values['ap'])}  AP50 {_ap(values['ap50'])}  AP75 "
            f"{_ap(values['ap75'])}; at score {point['score_threshold']:g}: precision "
            f"{percent(point['precision'])}, recall {percent(point['recall'])}, mean IoU "
            f"{number(point['mean_iou'])}"
        )
    for iou_type, values in metrics.get("accuracy_of_processed_frames", {}).items():
        name = "masks" if iou_type == "segm" else "boxes"
        lines.append(f"{name} on the processed frames alone: AP {_ap(values['ap'])}")
    stability = metrics.get("stability")
    if stability:
        lines.append(
            f"stability: steadiness {number(stability['steadiness'])}, IoU between frames "
            f"{number(stability['matched_iou'])}, score flicker "
            f"{number(stability['score_flicker'])}, blinks {percent(stability['blink_rate'])}"
        )
    latency = metrics.get("latency_ms", {}).get("total")
    if latency:
        lines.append(
            f"latency: p50 {latency['p50']:.1f} ms, p95 {latency['p95']:.1f} ms, p99 "
            f"{latency['p99']:.1f} ms"
        )
    deadline = metrics.get("deadline")
    if deadline:
        lines.append(
            f"deadlines: missed {percent(deadline['miss_rate'])}, frames dropped "
            f"{percent(deadline['drop_rate'])}, image age p95 "
            f"{deadline['image_age_ms']['p95']:.1f} ms"
        )
    counts = ", ".join(f"{name} {count}" for name, count in metrics["frames"].items())
    lines.append(f"frames: {counts}")
    bits = metrics.get("bits_in_use", FULL_BITS)
    if bits < FULL_BITS:
        lines.append(f"pixels: {bits} of 16 bits in use, scaled to 8 as the node does")
    problems = problem_lines(metrics["problems"])
    if problems:
        lines += ["left out or mended (more places are in the report):", *problems]
    return "\n".join(lines)


def comparison_text(comparison: Comparison) -> str:
    """The differences as a table for each run after the first."""
    first = comparison.runs[0]
    parts = []
    for run in comparison.runs[1:]:
        rows = [("", first.name, run.name, "difference", "")]
        for statistic in STATISTICS:
            if statistic.name not in run.differences:
                continue
            difference = run.differences[statistic.name]
            rows.append(
                (
                    statistic.label,
                    _shown(statistic, first.values[statistic.name].value),
                    _shown(statistic, run.values[statistic.name].value),
                    _interval(statistic, difference),
                    verdict(statistic, difference) or "may be chance",
                )
            )
        parts.append(_columns(rows))
    pairing = "the same frames" if comparison.paired else "different frames"
    parts.append(
        f"{comparison.num_frames} frames, {pairing}; 95 % intervals by {comparison.resamples} "
        f"resamples of blocks of {comparison.block_frames} frames"
    )
    return "\n\n".join(parts)


def _columns(rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:-1], widths[1:-1], strict=True)]
        lines.append("  ".join([*cells, row[-1]]).rstrip())
    return "\n".join(lines)


def _interval(statistic: Statistic, value: Interval) -> str:
    low, middle, high = (
        f"{end * statistic.scale:+.{statistic.digits}f}"
        for end in (value.low, value.value, value.high)
    )
    return middle if np.isnan(value.low) else f"{middle} [{low}, {high}]"


def _shown(statistic: Statistic, value: float) -> str:
    return f"{value * statistic.scale:.{statistic.digits}f}"


def _ap(value: float | None) -> str:
    return number(None if value is None else 100 * value, 1)
