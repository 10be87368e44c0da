"""The page about runs beside each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from yolact_ros.evaluation.bag.compare.compare import ComparedRun, Comparison, verdict
from yolact_ros.evaluation.bag.compare.run_statistics import STATISTICS, TRACK_STATISTICS
from yolact_ros.evaluation.bag.report.report import column_series
from yolact_ros.evaluation.bag.scoring.tables import present
from yolact_ros.evaluation.charts import Series, bar_chart, line_chart
from yolact_ros.evaluation.template import render

__all__ = ["render_comparison"]

HEADLINE = ("mask_ap", "latency_p95_ms", "miss_rate", "steadiness")
NUM_CHANGED = 15
TAG_STATISTICS = tuple(one for one in STATISTICS if one.name in ("mask_ap", "box_ap", "recall"))


def render_comparison(comparison: Comparison, command: str, broken: Sequence[str]) -> str:
    """The comparison as one HTML document, with the user's command and the limits it broke."""
    first, *others = comparison.runs
    subtitle = (
        f"{comparison.num_frames} frames"
        + (f" of {comparison.num_bags} bags" if comparison.num_bags > 1 else "")
        + (", the same for all" if comparison.paired else " of the first; the runs saw others")
        + f"; intervals of 95 % by {comparison.resamples} resamples of {comparison.drawn}"
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
        tags=[(run, _tags(comparison, number)) for number, run in enumerate(others, 1)],
        tag_columns=[statistic.label for statistic in TAG_STATISTICS],
        trend=_trend(comparison),
        changed_bags=[(run, _changed_bags(first, run)) for run in others],
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
    is_one_bag = len(set(runs[0].folder.bags)) == 1  # each bag begins at 0 s
    over_time = [column_series(run.name, run.folder.frames, "quality") for run in runs]
    over_time = [line for line in over_time if line.y.size and is_one_bag]
    if over_time:
        chart = line_chart(over_time, x_label="time, s", y_label="quality", y_range=(0.0, 1.02))
        charts.append(("Quality of each frame", chart))
    return charts


def _tags(comparison: Comparison, number: int) -> list[tuple[str, ...]]:
    """A row a tag: its bags, and by how much the run differs there."""
    return [
        (
            f"{group.tag}: {group.value}",
            str(group.num_bags),
            *(
                statistic.shown_interval(
                    group.differences[number].get(statistic.name), signed=True
                )
                for statistic in TAG_STATISTICS
            ),
        )
        for group in comparison.groups
    ]


def _trend(comparison: Comparison) -> list[tuple[str, str]]:
    """AP from run to run in the order given, of all bags and of those of each tag."""
    if len(comparison.runs) < 3:
        return []
    lines = [("all", [run.values for run in comparison.runs])]
    lines += [(f"{group.tag}: {group.value}", [*group.values]) for group in comparison.groups]
    charts = []
    for statistic in TAG_STATISTICS:
        series = [
            Series(
                name,
                np.arange(1.0, len(values) + 1),
                np.array([statistic.scale * value[statistic.name].value for value in values]),
            )
            for name, values in lines
            if all(statistic.name in value for value in values)
        ]
        if series:
            chart = line_chart(
                series,
                x_label="run, in the order given",
                y_label=statistic.label,
                x_range=(0.9, len(comparison.runs) + 0.1),
            )
            charts.append((statistic.label, chart))
    return charts


def _changed_bags(first: ComparedRun, run: ComparedRun) -> list[tuple[str, float, float]]:
    """Name and both mean qualities of the bags that became worse or better, worst first."""
    before, after = (_quality_of_bags(side) for side in (first, run))
    changes = [(name, before[name], after[name]) for name in before if name in after]
    changes.sort(key=lambda change: change[2] - change[1])
    return changes[:NUM_CHANGED] if len(changes) > 1 else []


def _quality_of_bags(run: ComparedRun) -> dict[str, float]:
    names, numbers = np.unique(np.array(run.folder.bags), return_inverse=True)
    quality = run.folder.frames["quality"]
    known = ~np.isnan(quality)
    sums = np.bincount(numbers[known], quality[known], minlength=len(names))
    counts = np.bincount(numbers[known], minlength=len(names))
    return {
        str(name): float(total / count)
        for name, total, count in zip(names, sums, counts, strict=True)
        if count
    }


def _changed_frames(first: ComparedRun, run: ComparedRun) -> list[tuple[str, float, float]]:
    """Name and both qualities of the frames that changed most, for the runs' own reports."""
    several = len(set(first.folder.bags)) > 1
    theirs = dict(zip(_places(run, several), run.folder.frames["quality"].tolist(), strict=True))
    changes = []
    for bag, place, frame in zip(
        first.folder.bags, _places(first, several), first.folder.frames, strict=True
    ):
        before, after = float(frame["quality"]), theirs.get(place, np.nan)
        if abs(after - before) > 0:  # NaN where one of them has none
            shown = f"{bag} frame {frame['index']}" if several else f"frame {frame['index']}"
            changes.append((shown, before, after))
    changes.sort(key=lambda change: -abs(change[2] - change[1]))
    return changes[:NUM_CHANGED]


def _places(run: ComparedRun, several: bool) -> list[tuple[str, int]]:
    stamps = run.folder.frames["stamp_ns"].tolist()
    names = run.folder.bags if several else [""] * len(stamps)
    return list(zip(names, stamps, strict=True))
