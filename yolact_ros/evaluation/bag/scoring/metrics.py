"""From tables to the numbers of metrics.json."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from yolact_ros.datasets.coco_data import CocoCategory
from yolact_ros.evaluation.bag.frame import DROPPED
from yolact_ros.evaluation.bag.scoring.matches import AREAS, MatchTable, Verdicts, accumulated
from yolact_ros.evaluation.bag.scoring.score import ACCURACY, BagScore
from yolact_ros.evaluation.bag.scoring.tables import FrameTable, present
from yolact_ros.evaluation.coco import summarize

__all__ = ["STAGES", "measure"]

STAGES = ("decode", "preprocess", "inference", "postprocess", "total")
DEGRADATIONS = {1: "smaller input", 2: "fewer instances", 4: "coarser masks", 8: "boxes only"}
CURVE_IOUS = (0.5, 0.75)


def measure(score: BagScore, operating_threshold: float) -> dict[str, Any]:
    """All numbers of one bag, or of several joined ones, in JSON types."""
    frames = score.frames
    metrics: dict[str, Any] = {
        "frames": {
            "total": len(frames),
            "with_truth": score.verdicts[ACCURACY].num_frames if score.verdicts else 0,
            **dict(sorted(score.statuses.items())),
        },
        "count": _counts(score),
        "stability": _stability(score),
        "latency_ms": _latencies(frames),
    }
    if score.bits:
        metrics["bits_in_use"] = score.bits
    deadline = _deadline(frames, score.statuses[DROPPED])
    if deadline:
        metrics["deadline"] = deadline
    for name, verdicts in score.verdicts.items():
        metrics[name] = _accuracy(verdicts, score.categories, operating_threshold)
    return metrics


def _accuracy(
    verdicts: Verdicts, categories: Sequence[CocoCategory], operating_threshold: float
) -> dict[str, Any]:
    """AP by IoU type (``segm``, ``bbox``), precision-recall curves and the operating point."""
    result: dict[str, Any] = {}
    for iou_type, tables in verdicts.tables.items():
        evaluator = accumulated(tables, categories, iou_type)
        counts = [tables["all"].num_objects(row.id) for row in categories]
        coco = summarize(evaluator, categories, counts, verdicts.num_frames)
        result[iou_type] = {
            **coco.to_dict(),
            "precision_recall": _precision_curve(evaluator),
            "operating_point": _operating_point(tables["all"], categories, operating_threshold),
        }
    return result


def _precision_curve(evaluator: Any) -> dict[str, list[float]]:
    """Precision at 101 recalls, mean over the classes that have objects, by IoU threshold."""
    precision = evaluator.eval["precision"][..., AREAS.index("all"), -1]  # [T, R, K]
    thresholds = [round(float(value), 2) for value in evaluator.params.iouThrs]
    there = (precision > -1).all(axis=(0, 1))
    if not there.any():
        return {}
    return {
        str(iou): [round(float(v), 4) for v in precision[thresholds.index(iou)][:, there].mean(1)]
        for iou in CURVE_IOUS
    }


def _operating_point(
    table: MatchTable, categories: Sequence[CocoCategory], threshold: float
) -> dict[str, Any]:
    found = table.detections[
        (table.detections["score"] >= threshold) & (table.detections["ignored"] & 1 == 0)
    ]
    rows = [
        {
            "name": row.name,
            **_judged(found[found["category"] == row.id], table.num_objects(row.id)),
        }
        for row in categories
    ]
    whole = _judged(found, int(table.objects["count"].sum()))
    return {"score_threshold": threshold, "iou": 0.5, **whole, "per_class": rows}


def _judged(found: NDArray[np.void], num_objects: int) -> dict[str, Any]:
    right = found[found["matched"] & 1 == 1]
    return {
        "objects": num_objects,
        "found": found.size,
        "right": right.size,
        "precision": _ratio(right.size, found.size),
        "recall": _ratio(right.size, num_objects),
        "mean_iou": _ratio(float(right["iou"].sum(dtype=np.float64)), right.size),
    }


def _counts(score: BagScore) -> dict[str, Any]:
    counts = present(score.frames, "num_instances")
    if not counts.size:
        return {}
    return {
        "mean": _rounded(float(counts.mean())),
        "std": _rounded(float(counts.std())),
        "max": int(counts.max()),
        "by_class": {
            name: _rounded(total / counts.size) for name, total in score.class_counts.most_common()
        },
    }


def _stability(score: BagScore) -> dict[str, Any]:
    frames = score.frames
    steadiness = present(frames, "steadiness")
    if not steadiness.size:
        return {}

    def share(column: str, of: str) -> float | None:
        return _ratio(float(np.nansum(frames[column])), float(np.nansum(frames[of])))

    result: dict[str, Any] = {
        "steadiness": _rounded(float(steadiness.mean())),
        "matched_iou": share("pair_iou_sum", "matched_pairs"),
        "score_flicker": share("score_change_sum", "matched_pairs"),
        "blink_rate": share("blinks", "num_before_last"),
    }
    if score.truth_steadiness:
        result["truth_steadiness"] = _rounded(float(np.mean(score.truth_steadiness)))
    return result


def _latencies(frames: FrameTable) -> dict[str, Any]:
    found = {stage: present(frames, f"{stage}_ms") for stage in STAGES}
    return {stage: _percentiles(values) for stage, values in found.items() if values.size}


def _percentiles(values: NDArray[np.float64]) -> dict[str, float]:
    """Mean, 50th, 95th and 99th percentile and largest of float64[n], n > 0."""
    p50, p95, p99 = np.percentile(values, [50, 95, 99])
    named = {"mean": values.mean(), "p50": p50, "p95": p95, "p99": p99, "max": values.max()}
    return {name: round(float(value), 3) for name, value in named.items()}


def _deadline(frames: FrameTable, num_dropped: int) -> dict[str, Any]:
    waits = present(frames, "wait_ms")
    if not waits.size:
        return {}
    met = present(frames, "deadline_met")
    processed = frames["processed"] == 1
    degradation = frames["degradation"][processed]
    sizes = frames["input_size_px"][processed]
    result: dict[str, Any] = {
        "frames_published": int(processed.sum()),
        "frames_dropped": num_dropped,
        "drop_rate": _rounded(num_dropped / len(frames)),
        "deadlines_missed": int((met == 0).sum()),
        "miss_rate": _rounded(float((met == 0).mean())) if met.size else None,
        "image_age_ms": _percentiles(frames["image_age_ms"][processed]),
        "wait_ms": _percentiles(frames["wait_ms"][processed]),
        "degraded": {
            text: _rounded(float((degradation.astype(np.int64) & bit > 0).mean()))
            for bit, text in DEGRADATIONS.items()
        },
        "input_sizes": {
            str(int(size)): _rounded(float((sizes == size).mean()))
            for size in sorted(set(sizes.tolist()), reverse=True)
        },
    }
    return result


def _rounded(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 6)


def _ratio(part: float, whole: float) -> float | None:
    return _rounded(part / whole) if whole else None
