"""Tables of accuracy and speed."""

from __future__ import annotations

import json
import math

import pytest

from yolact_ros.evaluation.accuracy_tables import (
    Evaluation,
    StageSummary,
    class_table,
    main_table,
    to_json,
)
from yolact_ros.evaluation.coco import ClassMetrics, CocoMetrics


def metrics(iou_type: str = "segm", ap: float = 0.298) -> CocoMetrics:
    return CocoMetrics(
        iou_type=iou_type,
        ap=ap,
        ap50=0.485,
        ap75=0.312,
        ap_small=math.nan,
        ap_medium=0.313,
        ap_large=0.477,
        ap_by_iou={0.5: 0.485, 0.7: 0.4},
        recall100=0.5,
        per_class=(
            ClassMetrics(3, "kite", math.nan, math.nan, 0),
            ClassMetrics(1, "person", ap, 0.5, 10),
            ClassMetrics(2, "dog", 0.6, 0.7, 3),
        ),
        num_images=4,
    )


def evaluation(nms: str = "fast", **changes: object) -> Evaluation:
    values = {
        "labels": {"model": "light", "nms": nms},
        "boxes": metrics("bbox", 0.323),
        "masks": metrics(),
        "stages": {"network": StageSummary.of([10.0, 20.0, 90.0])},
    }
    return Evaluation(**{**values, **changes})


def test_the_table_has_the_papers_columns_for_masks_and_boxes():
    table = main_table([evaluation(), evaluation("standard")])
    assert table.splitlines() == [
        "model  nms               AP  AP50  AP75  S     M     L  network ms",
        "light  fast      mask  29.8  48.5  31.2  -  31.3  47.7       20.00",
        "                 box   32.3  48.5  31.2  -  31.3  47.7",
        "light  standard  mask  29.8  48.5  31.2  -  31.3  47.7       20.00",
        "                 box   32.3  48.5  31.2  -  31.3  47.7",
    ]


def test_the_pascal_table_has_ap_at_a_half_and_seven_tenths():
    lines = main_table([evaluation(boxes=None)], pascal=True).splitlines()
    assert lines[0].split() == ["model", "nms", "AP50", "AP70", "network", "ms"]
    assert lines[1].split() == ["light", "fast", "mask", "48.5", "40.0", "20.00"]
    assert len(lines) == 2


def test_a_results_file_has_no_times():
    table = main_table([evaluation(stages={})])
    assert "ms" not in table.replace("nms", "")


def test_classes_are_listed_best_first_and_unmeasured_last():
    lines = class_table(evaluation()).splitlines()
    assert [line.split()[0] for line in lines] == ["class", "dog", "person", "kite"]
    assert lines[2].split() == ["person", "10", "29.8", "50.0", "32.3", "50.0"]
    assert lines[3].split() == ["kite", "0", "-", "-", "-", "-"]


def test_stage_summaries_are_mean_median_and_p95():
    summary = StageSummary.of([1.0] * 95 + [101.0] * 5)
    assert summary.mean_ms == pytest.approx(6.0)
    assert summary.p50_ms == 1.0
    assert summary.p95_ms == pytest.approx(6.0)


def test_json_has_everything_and_no_nan():
    (row,) = json.loads(json.dumps(to_json([evaluation()]), allow_nan=False))
    assert row["nms"] == "fast"
    assert row["masks"]["ap"] == 0.298
    assert row["boxes"]["per_class"][0]["ap"] is None
    assert row["stages"]["network"]["p50_ms"] == 20.0
