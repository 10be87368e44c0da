"""The page about one evaluated bag, or several together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np

from yolact_ros.evaluation.bag.frame_table import FrameTable
from yolact_ros.evaluation.bag.gallery import WorstFrame
from yolact_ros.evaluation.bag.html import (
    card,
    cards,
    code,
    number,
    page,
    percent,
    section,
    table,
)
from yolact_ros.evaluation.bag.metrics import STAGES
from yolact_ros.evaluation.bag.svg import Series, histogram, line_chart

__all__ = ["ReportInput", "render_report"]

Metrics = Mapping[str, Any]


@dataclass(frozen=True)
class ReportInput:
    """What a report shows.

    Attributes:
        metrics: the content of metrics.json.
        frames: a row a frame; of several bags one after the other.
        worst: the frames to show, with their pictures by index.
        bags: metrics of each bag, where there are several.
    """

    metrics: Metrics
    frames: FrameTable
    worst: Sequence[WorstFrame] = ()
    pictures: Mapping[int, str] = field(default_factory=dict)
    bags: Sequence[Metrics] = ()


def render_report(report: ReportInput) -> str:
    """The report as one HTML document."""
    metrics = report.metrics
    body = [
        _summary(metrics),
        _bags(report.bags),
        _accuracy(metrics),
        _over_time(report) if not report.bags else "",
        _deadlines(report) if not report.bags else "",
        _latency(report),
        _worst(report),
        _problems(metrics),
        _origin(metrics),
    ]
    return page(str(metrics["title"]), str(metrics["subtitle"]), body)


def _summary(metrics: Metrics) -> str:
    entries = []
    accuracy = metrics.get("accuracy", {})
    for iou_type, name in (("segm", "mask AP"), ("bbox", "box AP")):
        if iou_type in accuracy:
            entries.append(card(name, number(_percent(accuracy[iou_type]["ap"]), 1)))
    best = accuracy.get("segm", accuracy.get("bbox"))
    if best:
        entries.append(card("AP at IoU 0.5", number(_percent(best["ap50"]), 1)))
        point = best["operating_point"]
        shown = f"at score ≥ {point['score_threshold']:g}"
        entries.append(card(f"precision {shown}", percent(point["precision"], 0)))
        entries.append(card(f"recall {shown}", percent(point["recall"], 0)))
        entries.append(card("mean mask IoU of hits", number(point["mean_iou"], 2)))
    stability = metrics.get("stability", {})
    if stability:
        entries.append(card("steadiness", number(stability["steadiness"], 2)))
    latency = metrics.get("latency_ms", {}).get("total")
    if latency:
        entries.append(card("latency p95", f"{latency['p95']:.1f} ms"))
    deadline = metrics.get("deadline")
    if deadline:
        if deadline["miss_rate"] is not None:
            missed = deadline["miss_rate"]
            entries.append(card("deadlines missed", percent(missed), bad=missed > 0.01))
        dropped = deadline["drop_rate"]
        entries.append(card("frames dropped", percent(dropped)))
    counts = metrics["frames"]
    entries.append(card("frames", str(counts["total"])))
    return cards(entries) + _what_counts(metrics)


def _what_counts(metrics: Metrics) -> str:
    processed = metrics.get("accuracy_of_processed_frames")
    if not processed:
        return ""
    both = []
    for iou_type, name in (("segm", "mask AP"), ("bbox", "box AP")):
        if iou_type in processed:
            held = number(_percent(metrics["accuracy"][iou_type]["ap"]), 1)
            own = number(_percent(processed[iou_type]["ap"]), 1)
            both.append(f"{name} {held} as the robot saw it, {own} on the frames it processed")
    return (
        f'<p class="note">{escape("; ".join(both))}. A frame that was dropped or late counts by '
        "the result that the consumer had when it was due.</p>"
    )


def _bags(bags: Sequence[Metrics]) -> str:
    if not bags:
        return ""
    rows = []
    for metrics in bags:
        accuracy = metrics.get("accuracy", {})
        best = accuracy.get("segm", accuracy.get("bbox", {}))
        latency = metrics.get("latency_ms", {}).get("total", {})
        deadline = metrics.get("deadline", {})
        rows.append(
            [
                metrics["bag"]["name"],
                metrics["frames"]["total"],
                number(_percent(best.get("ap")), 1),
                number(_percent(best.get("ap50")), 1),
                number(metrics.get("stability", {}).get("steadiness"), 2),
                number(latency.get("p95"), 1),
                percent(deadline.get("miss_rate")),
                sum(metrics["problems"]["counts"].values()),
            ]
        )
    header = ["bag", "frames", "AP", "AP50", "steadiness", "p95 ms", "missed", "problems"]
    return section("Bags", table(header, rows))


def _accuracy(metrics: Metrics) -> str:
    accuracy = metrics.get("accuracy")
    if not accuracy:
        return ""
    rows = [
        [
            "masks" if iou_type == "segm" else "boxes",
            *(
                number(_percent(values[key]), 1)
                for key in ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large")
            ),
            number(_percent(values["recall100"]), 1),
        ]
        for iou_type, values in accuracy.items()
    ]
    header = ["", "AP", "AP50", "AP75", "small", "medium", "large", "recall"]
    charts = []
    for iou_type, values in accuracy.items():
        curves = [
            Series(f"IoU {iou}", np.linspace(0, 1, len(precision)), np.asarray(precision))
            for iou, precision in values["precision_recall"].items()
        ]
        name = "masks" if iou_type == "segm" else "boxes"
        if curves:
            chart = line_chart(
                curves,
                x_label=f"recall, {name}",
                y_label="precision",
                x_range=(0.0, 1.0),
                y_range=(0.0, 1.0),
            )
            charts.append(f'<div class="panel"><h3>Precision and recall, {name}</h3>{chart}</div>')
    return section(
        "Accuracy",
        table(header, rows),
        f'<p class="note">COCO protocol over {metrics["frames"]["with_truth"]} frames with truth; '
        "AP is the mean over IoU 0.50 to 0.95 and over classes, in per cent.</p>",
        f'<div class="grid">{"".join(charts)}</div>',
        _per_class(accuracy),
    )


def _per_class(accuracy: Metrics) -> str:
    best = accuracy.get("segm", accuracy.get("bbox"))
    boxes = {row["name"]: row for row in accuracy.get("bbox", {}).get("per_class", [])}
    points = {row["name"]: row for row in best["operating_point"]["per_class"]}
    rows = []
    for row in sorted(best["per_class"], key=lambda row: -row["num_objects"]):
        point = points[row["name"]]
        if row["num_objects"] == 0 and point["found"] == 0:
            continue
        rows.append(
            [
                row["name"],
                row["num_objects"],
                number(_percent(row["ap"]), 1),
                number(_percent(row["ap50"]), 1),
                number(_percent(boxes.get(row["name"], {}).get("ap")), 1),
                percent(point["precision"], 0),
                percent(point["recall"], 0),
                number(point["mean_iou"], 2),
            ]
        )
    header = ["class", "objects", "AP", "AP50", "box AP", "precision", "recall", "IoU of hits"]
    threshold = best["operating_point"]["score_threshold"]
    return (
        "<h3>Per class</h3>"
        + table(header, rows)
        + f'<p class="note">Precision, recall and IoU at IoU 0.5 and score ≥ {threshold:g}. '
        "Classes without objects and detections are left out.</p>"
    )


def _over_time(report: ReportInput) -> str:
    frames = report.frames
    times_s = frames["time_s"]
    panels = []
    counts = [_series("found", frames, "num_instances", step=True)]
    if frames.present("num_truth").size:
        counts.append(Series("truth", times_s, frames["num_truth"], step=True, dashed=True))
    panels.append(("Instances", line_chart(counts, x_label="time, s", y_label="instances")))
    if frames.present("quality").size:
        chart = line_chart(
            [_series("quality", frames, "quality")],
            x_label="time, s",
            y_label="quality",
            y_range=(0.0, 1.0),
        )
        panels.append(("Quality of each frame: ΣIoU / (TP + FP/2 + FN/2)", chart))
    if frames.present("steadiness").size:
        chart = line_chart(
            [_series("steadiness", frames, "steadiness")],
            x_label="time, s",
            y_label="steadiness",
            y_range=(0.0, 1.0),
        )
        panels.append(("Steadiness against the frame before", chart))
    stability = report.metrics.get("stability", {})
    words = ""
    if stability:
        words = (
            f"Instances of neighbouring frames overlap by {number(stability['matched_iou'], 2)} "
            f"(IoU), their scores change by {number(stability['score_flicker'], 3)}, and "
            f"{percent(stability['blink_rate'])} of them vanish for one frame and return."
        )
        if "truth_steadiness" in stability:
            words += (
                f" The annotations themselves have a steadiness of "
                f"{number(stability['truth_steadiness'], 2)}: so much is motion, not flicker."
            )
    return section("Over time", f"<p>{escape(words)}</p>" if words else "", _grid(panels))


def _deadlines(report: ReportInput) -> str:
    deadline = report.metrics.get("deadline")
    if not deadline:
        return ""
    frames = report.frames
    times_s = frames["time_s"]
    budget_ms = float(report.metrics.get("budget_ms", 0.0))
    lines = [_series("reception to publication", frames, "total_ms")]
    if budget_ms:
        limit = np.full(len(frames), budget_ms)
        lines.append(Series(f"budget {budget_ms:g} ms", times_s, limit, dashed=True))
    panels = [
        ("Latency", line_chart(lines, x_label="time, s", y_label="ms")),
        (
            "Age of the image when its result was published",
            line_chart([_series("age", frames, "image_age_ms")], x_label="time, s", y_label="ms"),
        ),
        (
            "Network input",
            line_chart(
                [_series("input", frames, "input_size_px", step=True)],
                x_label="time, s",
                y_label="pixels",
            ),
        ),
        ("Misses and drops in each second", _rates(frames)),
    ]
    rows: list[list[object]] = [
        ["published", deadline["frames_published"], ""],
        ["dropped", deadline["frames_dropped"], percent(deadline["drop_rate"])],
        ["deadline missed", deadline["deadlines_missed"], percent(deadline["miss_rate"])],
    ]
    rows += [
        [f"given up: {name}", "", percent(share)] for name, share in deadline["degraded"].items()
    ]
    rows += [
        [f"input {size} px", "", percent(share)] for size, share in deadline["input_sizes"].items()
    ]
    return section("Deadlines", table(["", "frames", "share"], rows), _grid(panels))


def _series(label: str, frames: FrameTable, column: str, *, step: bool = False) -> Series:
    """A column over time; frames that have no number are passed over."""
    values = frames[column]
    present = ~np.isnan(values)
    return Series(label, frames["time_s"][present], values[present], step=step)


def _rates(frames: FrameTable) -> str:
    seconds = frames["time_s"].astype(np.int64)
    total = np.bincount(seconds)
    dropped = np.bincount(seconds, frames["processed"] == 0)
    missed = np.bincount(seconds, frames["deadline_met"] == 0)
    starts_s = np.arange(total.size, dtype=np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        lines = [
            Series(name, starts_s, np.asarray(100 * counts / total, np.float64), step=True)
            for name, counts in (("missed", missed), ("dropped", dropped))
        ]
    return line_chart(lines, x_label="time, s", y_label="frames, %", y_range=(0.0, 100.0))


def _latency(report: ReportInput) -> str:
    latency = report.metrics.get("latency_ms", {})
    if not latency:
        return ""
    rows = [
        [stage, *(f"{latency[stage][key]:.2f}" for key in ("mean", "p50", "p95", "p99", "max"))]
        for stage in STAGES
        if stage in latency
    ]
    budget_ms = float(report.metrics.get("budget_ms", 0.0)) or None
    chart = histogram(report.frames["total_ms"], x_label="total, ms", limit=budget_ms)
    panels = [("Distribution of the total", chart)] if chart else []
    header = ["stage, ms", "mean", "p50", "p95", "p99", "max"]
    environment = report.metrics["environment"]
    note = f"Measured on {environment['cpu']}, device {environment['device']}."
    return section(
        "Latency", table(header, rows), f'<p class="note">{escape(note)}</p>', _grid(panels)
    )


def _worst(report: ReportInput) -> str:
    figures = []
    for frame in report.worst:
        picture = report.pictures.get(frame.index)
        image = f'<img src="{picture}" alt="frame {frame.index}">' if picture else ""
        figures.append(f"<figure>{image}<figcaption>{escape(frame.caption)}</figcaption></figure>")
    if not figures:
        return ""
    return section("Worst frames", f'<div class="frames">{"".join(figures)}</div>')


def _problems(metrics: Metrics) -> str:
    problems = metrics["problems"]
    if not problems["counts"]:
        return section(
            "What could not be used", "<p>Nothing: every frame was read and scored.</p>"
        )
    counts = table(["kind", "times"], [[k, n] for k, n in problems["counts"].items()])
    rows = [[p["kind"], p["place"], p["reason"]] for p in problems["examples"]]
    examples = table(["kind", "place", "reason"], rows, text_columns=(1, 2))
    return section("What could not be used", counts, "<h3>The first of each kind</h3>", examples)


def _origin(metrics: Metrics) -> str:
    rows: list[list[object]] = [
        [key, value] for key, value in metrics["environment"].items() if value not in ("", None)
    ]
    rows += [[f"setting {key}", value] for key, value in metrics["settings"].items()]
    return section(
        "How this was made",
        code(metrics["command"]),
        table(["", ""], rows, text_columns=(1,)),
    )


def _grid(panels: Sequence[tuple[str, str]]) -> str:
    if not panels:
        return ""
    inner = "".join(
        f'<div class="panel"><h3>{escape(title)}</h3>{chart}</div>' for title, chart in panels
    )
    return f'<div class="grid">{inner}</div>'


def _percent(fraction: float | None) -> float | None:
    return None if fraction is None else 100 * fraction
