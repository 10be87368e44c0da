"""The page about one evaluated bag, or several together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from yolact_ros.evaluation.bag.report.worst_frames import WorstFrame
from yolact_ros.evaluation.bag.scoring.metrics import STAGES
from yolact_ros.evaluation.bag.scoring.tables import FrameTable, present
from yolact_ros.evaluation.charts import Series, histogram, line_chart
from yolact_ros.evaluation.template import render
from yolact_ros.evaluation.text import number, percent

__all__ = ["column_series", "render_report"]

Metrics = Mapping[str, Any]
Chart = tuple[str, str]  # title and address


def render_report(
    metrics: Metrics,
    frames: FrameTable,
    worst: Sequence[WorstFrame] = (),
    bags: Sequence[Metrics] = (),
) -> str:
    """The report as one HTML document.

    Args:
        metrics: the content of metrics.json.
        frames: of several bags one after the other.
        worst: the frames to show.
        bags: metrics of each bag, where there are several; they have no common time to plot over.
    """
    accuracy = metrics.get("accuracy", {})
    budget_ms = float(metrics.get("budget_ms", 0.0))
    distribution = histogram(frames["total_ms"], x_label="total, ms", limit=budget_ms or None)
    return render(
        "bag_report.html",
        title=metrics["title"],
        subtitle=metrics["subtitle"],
        metrics=metrics,
        bags=bags,
        of_frames=_of_frames,
        worst=worst,
        stages=STAGES,
        classes=_classes(accuracy) if accuracy else [],
        precision_recall=[
            _precision_recall(iou_type, values)
            for iou_type, values in accuracy.items()
            if values["precision_recall"]
        ],
        over_time=[] if bags else _over_time(frames),
        deadlines=[] if bags or "deadline" not in metrics else _deadlines(frames, budget_ms),
        distribution=[("Distribution of the total", distribution)] if distribution else [],
    )


def _of_frames(metrics: Metrics) -> list[str]:
    """What a table of bags shows of each, or of a group of them."""
    accuracy = metrics.get("accuracy", {})
    best = accuracy.get("segm", accuracy.get("bbox", {}))
    return [
        str(metrics["frames"]["total"]),
        number(best.get("ap"), 1, 100),
        number(best.get("ap50"), 1, 100),
        number(metrics.get("stability", {}).get("steadiness"), 2),
        number(metrics.get("latency_ms", {}).get("total", {}).get("p95"), 1),
        percent(metrics.get("deadline", {}).get("miss_rate")),
    ]


def _classes(accuracy: Metrics) -> list[tuple[Metrics, Metrics, Metrics]]:
    """AP, box AP and operating point of each class that is there or was found."""
    best = accuracy.get("segm", accuracy.get("bbox"))
    boxes = {row["name"]: row for row in accuracy.get("bbox", {}).get("per_class", [])}
    points = {row["name"]: row for row in best["operating_point"]["per_class"]}
    return [
        (row, boxes.get(row["name"], {"ap": None}), points[row["name"]])
        for row in sorted(best["per_class"], key=lambda row: -row["num_objects"])
        if row["num_objects"] or points[row["name"]]["found"]
    ]


def _precision_recall(iou_type: str, values: Metrics) -> Chart:
    curves = [
        Series(f"IoU {iou}", np.linspace(0, 1, len(precision)), np.asarray(precision))
        for iou, precision in values["precision_recall"].items()
    ]
    name = "masks" if iou_type == "segm" else "boxes"
    chart = line_chart(
        curves,
        x_label=f"recall, {name}",
        y_label="precision",
        x_range=(0.0, 1.0),
        y_range=(0.0, 1.02),
    )
    return f"Precision and recall, {name}", chart


def _over_time(frames: FrameTable) -> list[Chart]:
    counts = [column_series("found", frames, "num_instances", step=True)]
    if present(frames, "num_truth").size:
        counts.append(column_series("truth", frames, "num_truth", step=True, dashed=True))
    charts = [_time_chart("Instances", counts, "instances")]
    for column, title in (
        ("quality", "Quality of each frame: ΣIoU / (TP + FP/2 + FN/2)"),
        ("steadiness", "Steadiness against the frame before"),
    ):
        if present(frames, column).size:
            line = column_series(column, frames, column)
            charts.append(_time_chart(title, [line], column, (0.0, 1.02)))
    return charts


def _deadlines(frames: FrameTable, budget_ms: float) -> list[Chart]:
    latency = [column_series("reception to publication", frames, "total_ms")]
    if budget_ms:
        ends_s = frames["time_s"][[0, -1]]
        limit_ms = np.full(2, budget_ms)
        latency.append(Series(f"budget {budget_ms:g} ms", ends_s, limit_ms, dashed=True))
    age = [column_series("age", frames, "image_age_ms")]
    size = [column_series("input", frames, "input_size_px", step=True)]
    return [
        _time_chart("Latency", latency, "ms"),
        _time_chart("Age of the image when its result was published", age, "ms"),
        _time_chart("Network input", size, "pixels"),
        _time_chart("Misses and drops in each second", _rates(frames), "frames, %", (0.0, 102.0)),
    ]


def _time_chart(
    title: str, lines: Sequence[Series], y_label: str, y_range: tuple[float, float] | None = None
) -> Chart:
    return title, line_chart(lines, x_label="time, s", y_label=y_label, y_range=y_range)


def column_series(
    label: str, frames: FrameTable, column: str, *, step: bool = False, dashed: bool = False
) -> Series:
    """A column over time; frames that have no number are passed over."""
    values = frames[column]
    present = ~np.isnan(values)
    return Series(label, frames["time_s"][present], values[present], step, dashed)


def _rates(frames: FrameTable) -> list[Series]:
    seconds = frames["time_s"].astype(np.int64)
    total = np.bincount(seconds)
    starts_s = np.flatnonzero(total).astype(np.float64)
    return [
        Series(
            name,
            starts_s,
            100.0 * np.bincount(seconds, frames[column] == 0)[total > 0] / total[total > 0],
            step=True,
        )
        for name, column in (("missed", "deadline_met"), ("dropped", "processed"))
    ]
