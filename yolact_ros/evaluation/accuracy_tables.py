"""Accuracy and speed as tables, like those of the paper, and as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from yolact_ros.datasets.defects import Defects
from yolact_ros.evaluation.coco import CocoMetrics
from yolact_ros.evaluation.text import aligned_table

__all__ = ["Evaluation", "StageSummary", "class_table", "main_table", "to_json"]


@dataclass(frozen=True)
class StageSummary:
    """Time of one stage over all images, milliseconds."""

    mean_ms: float
    p50_ms: float
    p95_ms: float

    @classmethod
    def of(cls, times_ms: Sequence[float]) -> StageSummary:
        """Summary of at least one time."""
        p50_ms, p95_ms = np.percentile(times_ms, (50, 95))
        return cls(float(np.mean(times_ms)), float(p50_ms), float(p95_ms))


@dataclass(frozen=True)
class Evaluation:
    """One model, or results file, with one choice of settings.

    Attributes:
        labels: what tells it from the others, column name to value, for example "nms": "fast".
        boxes, masks: accuracy; None where not measured.
        stages: time of each stage; empty for a results file.
        defects: what was left out or mended of annotations and results.
    """

    labels: Mapping[str, str]
    boxes: CocoMetrics | None
    masks: CocoMetrics | None
    stages: Mapping[str, StageSummary] = field(default_factory=dict)
    defects: Defects = field(default_factory=Defects)


def main_table(evaluations: Sequence[Evaluation], *, pascal: bool = False) -> str:
    """A row for masks and one for boxes of every evaluation; AP in percent, medians in ms.

    Args:
        evaluations: with the same label and stage names.
        pascal: AP at 0.5 and 0.7, as on Pascal VOC, instead of COCO's columns.
    """
    labels = list(evaluations[0].labels)
    stages = list(evaluations[0].stages)
    measures = ["AP50", "AP70"] if pascal else ["AP", "AP50", "AP75", "S", "M", "L"]
    rows = [[*labels, "", *measures, *(f"{name} ms" for name in stages)]]
    for evaluation in evaluations:
        kinds = (("mask", evaluation.masks), ("box", evaluation.boxes))
        for position, (kind, metrics) in enumerate(row for row in kinds if row[1] is not None):
            assert metrics is not None
            first = position == 0
            rows.append(
                [
                    *(evaluation.labels[name] if first else "" for name in labels),
                    kind,
                    *(_percent(value) for value in _measures(metrics, pascal)),
                    *(f"{evaluation.stages[n].p50_ms:.2f}" if first else "" for n in stages),
                ]
            )
    return aligned_table(rows, text_columns=range(len(labels) + 1))


def class_table(evaluation: Evaluation) -> str:
    """AP and AP50 of every class in percent, the best mask AP first."""
    metrics = [m for m in (evaluation.masks, evaluation.boxes) if m is not None]
    kinds = [{"segm": "mask", "bbox": "box"}[m.iou_type] for m in metrics]
    header = ["class", "objects"]
    for kind in kinds:
        header += [f"{kind} AP", f"{kind} AP50"]
    by_id = [{row.category_id: row for row in m.per_class} for m in metrics]
    order = sorted(
        metrics[0].per_class, key=lambda row: -1 if math.isnan(row.ap) else row.ap, reverse=True
    )
    rows = [header]
    for row in order:
        # Objects that have only a box are no part of mask AP.
        cells = [row.name, str(max(classes[row.category_id].num_objects for classes in by_id))]
        for classes in by_id:
            entry = classes[row.category_id]
            cells += [_percent(entry.ap), _percent(entry.ap50)]
        rows.append(cells)
    return aligned_table(rows, text_columns={0})


def to_json(evaluations: Sequence[Evaluation]) -> list[dict[str, Any]]:
    """Everything measured, as plain JSON types; AP as fractions, times in milliseconds."""
    return [
        {
            **evaluation.labels,
            "masks": evaluation.masks.to_dict() if evaluation.masks else None,
            "boxes": evaluation.boxes.to_dict() if evaluation.boxes else None,
            "stages": {name: vars(stage) for name, stage in evaluation.stages.items()},
            "defects": evaluation.defects.to_dict(),
        }
        for evaluation in evaluations
    ]


def _measures(metrics: CocoMetrics, pascal: bool) -> tuple[float, ...]:
    if pascal:
        return metrics.ap_by_iou[0.5], metrics.ap_by_iou[0.7]
    return (
        metrics.ap,
        metrics.ap50,
        metrics.ap75,
        metrics.ap_small,
        metrics.ap_medium,
        metrics.ap_large,
    )


def _percent(value: float) -> str:
    return "-" if math.isnan(value) else f"{100 * value:.1f}"
