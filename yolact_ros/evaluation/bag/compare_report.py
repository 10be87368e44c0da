"""The page about runs beside each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from yolact_ros.evaluation.bag.compare import ComparedRun, Comparison, verdict
from yolact_ros.evaluation.bag.run_statistics import STATISTICS, TRACK_STATISTICS
from yolact_ros.evaluation.bag.tables import present
from yolact_ros.evaluation.charts import Series, bar_chart, line_chart
from yolact_ros.evaluation.template import render

__all__ = ["render_comparison"]

HEADLINE = ("mask_ap", "latency_p95_ms", "miss_rate", "steadiness")
NUM_CHANGED_FRAMES = 15


def render_comparison(comparison: Comparison, command: str, broken: Sequence[str]) -> str:
    """The comparison as one HTML document.

    Args:
        comparison: of the runs.
        command: as the user gave it.
        broken: limits that a run does not keep.

    Raises:
        DependencyError: jinja2 or matplotlib is not installed.
    """
    first, *others = comparison.runs
    subtitle = (
        f"{comparison.num_frames} frames"
        + (", the same for all" if comparison.paired else " of the first; the runs saw others")
        + f"; intervals of 95 % by {comparison.resamples} resamples of blocks of "
        f"{comparison.block_frames} frames"
    )
    if comparison.left_out:
        subtitle += f"; {comparison.left_out} frames that not all have are left out"
    return render(
        "bag_comparison.html",
        title=f"{first.name} against {', '.join(run.name for run in others)}",
        subtitle=subtitle,
        first=first,
        headline=_headline(others),
        broken=broken,
        differences=[(run, _differences(first, run)) for run in others],
        accuracy=_accuracy(comparison.runs),
        classes=_classes(comparison.runs),
        class_columns=[f"AP, {run.name}" for run in comparison.runs],
        timing=_timing(comparison.runs),
        changed_frames=[(run, _changed_frames(first, run)) for run in others]
        if comparison.paired
        else [],
        command=command,
    )


def _headline(others: Sequence[ComparedRun]) -> list[tuple[str, str, bool]]:
    """Name, difference, and whether it is worse, of what people ask for first."""
    cards = []
    for run in others:
        for statistic in STATISTICS:
            if statistic.name in HEADLINE and statistic.name in run.differences:
                difference = run.differences[statistic.name]
                name = statistic.label if len(others) == 1 else f"{run.name}: {statistic.label}"
                shown = statistic.shown(difference.value, signed=True)
                cards.append((name, shown, verdict(statistic, difference) == "worse"))
    return cards


def _differences(first: ComparedRun, run: ComparedRun) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for statistic in (*STATISTICS, *TRACK_STATISTICS):
        if statistic.name in first.values or statistic.name in run.values:
            before, after = (side.values.get(statistic.name) for side in (first, run))
            difference = run.differences.get(statistic.name)
            word = verdict(statistic, difference) or "may be chance" if difference else ""
            rows.append(
                (
                    statistic.label,
                    statistic.shown_interval(before),
                    statistic.shown_interval(after),
                    statistic.shown_interval(difference, signed=True),
                    word,
                )
            )
    return rows


def _best(run: ComparedRun) -> Mapping[str, Any]:
    """Accuracy of the masks, or of the boxes where the truth has no masks."""
    accuracy = run.folder.metrics.get("accuracy", {})
    return dict(accuracy.get("segm", accuracy.get("bbox", {})))


def _accuracy(runs: Sequence[ComparedRun]) -> list[tuple[str, str]]:
    curves = []
    for run in runs:
        if precision_recall := _best(run).get("precision_recall"):
            precision = np.asarray(precision_recall["0.5"])
            curves.append(Series(run.name, np.linspace(0, 1, precision.size), precision))
    charts = []
    if curves:
        chart = line_chart(
            curves, x_label="recall", y_label="precision", x_range=(0, 1), y_range=(0, 1.02)
        )
        charts.append(("Precision and recall at IoU 0.5", chart))
    for name, title in (("mask_ap", "Mask AP, %"), ("box_ap", "Box AP, %")):
        if all(name in run.values for run in runs):
            values = [run.values[name] for run in runs]
            chart = bar_chart(
                [run.name for run in runs],
                [100 * value.value for value in values],
                x_label="with the interval of 95 %",
                intervals=[(100 * value.low, 100 * value.high) for value in values],
            )
            charts.append((title, chart))
    return charts


def _classes(runs: Sequence[ComparedRun]) -> list[tuple[str, int, list[float | None]]]:
    """Name, objects and the AP of each run, where there is more than one class."""
    columns = [{row["name"]: row for row in _best(run).get("per_class", [])} for run in runs]
    rows = []
    for name, row in columns[0].items():
        aps = [column.get(name, {}).get("ap") for column in columns]
        if any(ap is not None for ap in aps):
            rows.append((name, row["num_objects"], aps))
    return rows if len(rows) > 1 else []


def _timing(runs: Sequence[ComparedRun]) -> list[tuple[str, str]]:
    charts = []
    lines = []
    for run in runs:
        times_ms = np.sort(present(run.folder.frames, "total_ms"))
        if times_ms.size:
            lines.append(Series(run.name, times_ms, np.linspace(0, 100, times_ms.size)))
    if lines:
        longest_ms = max(float(np.percentile(line.x, 99.5)) for line in lines)
        chart = line_chart(
            lines,
            x_label="latency, ms",
            y_label="frames that take at most so long, %",
            x_range=(0.0, longest_ms * 1.05),
            y_range=(0.0, 102.0),
        )
        charts.append(("Latency", chart))
    over_time = []
    for run in runs:
        quality = run.folder.frames["quality"]
        known = ~np.isnan(quality)
        if known.any():
            times_s = run.folder.frames["time_s"][known]
            over_time.append(Series(run.name, times_s, quality[known]))
    if over_time:
        chart = line_chart(over_time, x_label="time, s", y_label="quality", y_range=(0.0, 1.02))
        charts.append(("Quality of each frame", chart))
    return charts


def _changed_frames(first: ComparedRun, run: ComparedRun) -> list[tuple[int, float, float]]:
    """Index and both qualities of the frames that changed most, for the runs' own reports."""
    ours, theirs = first.folder.frames, run.folder.frames
    places = {stamp: row for row, stamp in enumerate(theirs["stamp_ns"].tolist())}
    changes = []
    for row, stamp in enumerate(ours["stamp_ns"].tolist()):
        if stamp in places:
            before, after = ours["quality"][row], theirs["quality"][places[stamp]]
            if abs(after - before) > 0:  # NaN where one of them has none
                changes.append((int(ours["index"][row]), float(before), float(after)))
    changes.sort(key=lambda change: -abs(change[2] - change[1]))
    return changes[:NUM_CHANGED_FRAMES]
