"""The page about runs beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from yolact_ros.evaluation.bag.bootstrap import Interval
from yolact_ros.evaluation.bag.compare import ComparedRun, Comparison, verdict
from yolact_ros.evaluation.bag.html import card, cards, code, number, page, section, table
from yolact_ros.evaluation.bag.statistics import STATISTICS, Statistic
from yolact_ros.evaluation.bag.svg import Series, bar_chart, line_chart

__all__ = ["render_comparison"]

NUM_WORST_CHANGES = 15


def render_comparison(comparison: Comparison, command: str, broken: Sequence[str]) -> str:
    """The comparison as one HTML document.

    Args:
        comparison: of the runs.
        command: as the user gave it.
        broken: limits that a run does not keep.
    """
    names = [run.name for run in comparison.runs]
    body = [
        _headline(comparison),
        section("Limits broken", *(f"<p>{escape(text)}</p>" for text in broken)),
        *(_differences(comparison, run) for run in comparison.runs[1:]),
        _accuracy(comparison),
        _timing(comparison),
        *(_frames(comparison, run) for run in comparison.runs[1:]),
        *(_settings(comparison.runs[0], run) for run in comparison.runs[1:]),
        section("How this was made", code(command)),
    ]
    subtitle = (
        f"{comparison.num_frames} frames"
        + (", the same for all" if comparison.paired else " of the first; the runs saw others")
        + f"; intervals of 95 % by {comparison.resamples} resamples of blocks of "
        f"{comparison.block_frames} frames"
    )
    if comparison.left_out:
        subtitle += f"; {comparison.left_out} frames that not all have are left out"
    return page(f"{names[0]} against {', '.join(names[1:])}", subtitle, body)


def _headline(comparison: Comparison) -> str:
    entries = []
    for run in comparison.runs[1:]:
        for name in ("mask_ap", "latency_p95_ms", "miss_rate", "steadiness"):
            if name not in run.differences:
                continue
            statistic = next(s for s in STATISTICS if s.name == name)
            difference = run.differences[name]
            worse = verdict(statistic, difference) == "worse"
            label = (
                statistic.label if len(comparison.runs) == 2 else f"{run.name}: {statistic.label}"
            )
            entries.append(card(label, _signed(statistic, difference.value), bad=worse))
    return cards(entries)


def _differences(comparison: Comparison, run: ComparedRun) -> str:
    first = comparison.runs[0]
    rows, classes = [], []
    for statistic in STATISTICS:
        if statistic.name not in first.values and statistic.name not in run.values:
            continue
        difference = run.differences.get(statistic.name)
        word = verdict(statistic, difference) if difference else ""
        rows.append(
            [
                statistic.label,
                _shown(statistic, first.values.get(statistic.name)),
                _shown(statistic, run.values.get(statistic.name)),
                _shown(statistic, difference, signed=True),
                word or ("may be chance" if difference else ""),
            ]
        )
        classes.append({"better": "good", "worse": "bad"}.get(word, ""))
    header = ["", first.name, run.name, "difference", ""]
    return section(
        f"{run.name} against {first.name}",
        table(header, rows, text_columns=(4,), row_classes=classes),
        '<p class="note">In brackets the interval that holds 95 % of the resamples. A difference '
        "whose interval has zero inside may be chance.</p>",
    )


def _accuracy(comparison: Comparison) -> str:
    curves = []
    for run in comparison.runs:
        accuracy = run.folder.metrics.get("accuracy", {})
        best = accuracy.get("segm", accuracy.get("bbox"))
        if best and best["precision_recall"]:
            precision = np.asarray(best["precision_recall"]["0.5"])
            curves.append(Series(run.name, np.linspace(0, 1, precision.size), precision))
    panels = []
    if curves:
        chart = line_chart(
            curves, x_label="recall", y_label="precision", x_range=(0, 1), y_range=(0, 1)
        )
        panels.append(("Precision and recall at IoU 0.5", chart))
    for name, title in (("mask_ap", "Mask AP, %"), ("box_ap", "Box AP, %")):
        with_value = [run for run in comparison.runs if name in run.values]
        if len(with_value) == len(comparison.runs):
            values = [run.values[name] for run in with_value]
            chart = bar_chart(
                [run.name for run in with_value],
                [100 * value.value for value in values],
                x_label="with the interval of 95 %",
                intervals=[(100 * value.low, 100 * value.high) for value in values],
            )
            panels.append((title, chart))
    return section("Accuracy", _grid(panels), _classes(comparison))


def _classes(comparison: Comparison) -> str:
    columns = []
    for run in comparison.runs:
        accuracy = run.folder.metrics.get("accuracy", {})
        best = accuracy.get("segm", accuracy.get("bbox", {}))
        columns.append({row["name"]: row for row in best.get("per_class", [])})
    names = [
        name
        for name, row in columns[0].items()
        if any(c.get(name, row)["ap"] is not None for c in columns)
    ]
    rows = [
        [
            name,
            columns[0][name]["num_objects"],
            *(number(_percent(column.get(name, {}).get("ap")), 1) for column in columns),
        ]
        for name in names
    ]
    if len(rows) < 2:
        return ""
    header = ["class", "objects", *(f"AP, {run.name}" for run in comparison.runs)]
    return "<h3>Per class</h3>" + table(header, rows)


def _timing(comparison: Comparison) -> str:
    panels = []
    lines = []
    for run in comparison.runs:
        values = np.sort(run.folder.frames.present("total_ms"))
        if values.size:
            lines.append(Series(run.name, values, np.linspace(0, 100, values.size)))
    if lines:
        longest = max(float(np.percentile(line.x, 99.5)) for line in lines)
        chart = line_chart(
            lines,
            x_label="latency, ms",
            y_label="frames that take at most so long, %",
            x_range=(0.0, longest * 1.05),
            y_range=(0.0, 100.0),
        )
        panels.append(("Latency", chart))
    over_time = [
        Series(run.name, run.folder.frames["time_s"], run.folder.frames["quality"])
        for run in comparison.runs
        if run.folder.frames.present("quality").size
    ]
    if over_time:
        chart = line_chart(over_time, x_label="time, s", y_label="quality", y_range=(0.0, 1.0))
        panels.append(("Quality of each frame", chart))
    return section("Time", _grid(panels))


def _frames(comparison: Comparison, run: ComparedRun) -> str:
    """Frames whose quality changed most, to look at in the runs' own reports."""
    if not comparison.paired:
        return ""
    first = comparison.runs[0].folder.frames
    other = run.folder.frames
    places = {stamp: row for row, stamp in enumerate(other["stamp_ns"].tolist())}
    changes = []
    for row, stamp in enumerate(first["stamp_ns"].tolist()):
        if stamp in places:
            before, after = first["quality"][row], other["quality"][places[stamp]]
            if not np.isnan(before) and not np.isnan(after) and before != after:
                changes.append((float(after - before), int(first["index"][row]), before, after))
    changes.sort(key=lambda change: -abs(change[0]))
    rows = [
        [f"frame {index}", number(before, 2), number(after, 2), f"{change:+.2f}"]
        for change, index, before, after in changes[:NUM_WORST_CHANGES]
    ]
    if not rows:
        return ""
    header = ["quality of", comparison.runs[0].name, run.name, "change"]
    classes = ["good" if change[0] > 0 else "bad" for change in changes[:NUM_WORST_CHANGES]]
    title = f"Frames that changed most, {run.name}"
    return section(title, table(header, rows, row_classes=classes))


def _settings(first: ComparedRun, run: ComparedRun) -> str:
    rows = [[key, text] for key, text in run.settings]
    if not rows:
        return ""
    return section(
        f"What differs between {first.name} and {run.name}",
        table(["", f"{first.name} → {run.name}"], rows, text_columns=(1,)),
    )


def _grid(panels: Sequence[tuple[str, str]]) -> str:
    inner = "".join(
        f'<div class="panel"><h3>{escape(title)}</h3>{chart}</div>' for title, chart in panels
    )
    return f'<div class="grid">{inner}</div>' if inner else ""


def _shown(statistic: Statistic, value: Interval | None, *, signed: bool = False) -> str:
    if value is None:
        return number(None)
    sign = "+" if signed else ""
    low, middle, high = (
        f"{end * statistic.scale:{sign}.{statistic.digits}f}"
        for end in (value.low, value.value, value.high)
    )
    return middle if np.isnan(value.low) else f"{middle} [{low}, {high}]"


def _signed(statistic: Statistic, value: float) -> str:
    return f"{value * statistic.scale:+.{statistic.digits}f}"


def _percent(value: float | None) -> float | None:
    return None if value is None else 100 * value
