"""The numbers of an evaluation as a few lines for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from yolact_ros.evaluation.bag.compare.compare import Comparison, verdict
from yolact_ros.evaluation.bag.compare.run_statistics import STATISTICS, TRACK_STATISTICS
from yolact_ros.evaluation.bag.problems import problem_lines
from yolact_ros.evaluation.text import aligned_table, number, percent
from yolact_ros.inference.bit_depth import FULL_BITS

__all__ = ["comparison_text", "summary_text"]


def summary_text(metrics: Mapping[str, Any]) -> str:
    """The numbers of metrics.json that matter most."""
    lines = [str(metrics["title"]), str(metrics["subtitle"]), ""]
    for iou_type, values in metrics.get("accuracy", {}).items():
        name = "masks" if iou_type == "segm" else "boxes"
        point = values["operating_point"]
        lines.append(
            f"{name}: AP {number(values['ap'], 1, 100)}  AP50 {number(values['ap50'], 1, 100)}  "
            f"AP75 {number(values['ap75'], 1, 100)}; at score {point['score_threshold']:g}: "
            f"precision {percent(point['precision'])}, recall {percent(point['recall'])}, "
            f"mean IoU {number(point['mean_iou'])}"
        )
    for iou_type, values in metrics.get("accuracy_of_processed_frames", {}).items():
        name = "masks" if iou_type == "segm" else "boxes"
        lines.append(f"{name} on the processed frames alone: AP {number(values['ap'], 1, 100)}")
    tracking = metrics.get("tracking", {})
    lines += [
        f"tracks of {'masks' if iou_type == 'segm' else 'boxes'}, {tracking['tracker']}: "
        f"HOTA {number(values['hota'], 1, 100)} (DetA {number(values['deta'], 1, 100)}, AssA "
        f"{number(values['assa'], 1, 100)})  IDF1 {number(values['idf1'], 1, 100)}  MOTA "
        f"{number(values['mota'], 1, 100)}  id switches {values['id_switches']}, "
        f"{values['found_tracks']} tracks for {values['truth_tracks']}"
        for iou_type, values in tracking.items()
        if iou_type in ("bbox", "segm")
    ]
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
        for statistic in (*STATISTICS, *TRACK_STATISTICS):
            if statistic.name not in run.differences:
                continue
            difference = run.differences[statistic.name]
            rows.append(
                (
                    statistic.label,
                    statistic.shown(first.values[statistic.name].value),
                    statistic.shown(run.values[statistic.name].value),
                    statistic.shown_interval(difference, signed=True),
                    verdict(statistic, difference) or "may be chance",
                )
            )
        parts.append(aligned_table(rows, text_columns={0, 4}))
    pairing = "the same frames" if comparison.paired else "different frames"
    parts.append(
        f"{comparison.num_frames} frames, {pairing}; 95 % intervals by {comparison.resamples} "
        f"resamples of {comparison.drawn}"
    )
    return "\n\n".join(parts)
