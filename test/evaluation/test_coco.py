"""Average precision: recorded numbers, hand-made cases, and what bad input gets."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from yolact_ros.datasets.coco_file import parse_coco
from yolact_ros.errors import DataError
from yolact_ros.evaluation.coco import CocoMetrics, evaluate_results

mask_utils = pytest.importorskip("pycocotools.mask")

RECORDED = json.loads((Path(__file__).parents[1] / "data" / "ap.json").read_text())
CATEGORIES = [{"id": 10 + index, "name": name} for index, name in enumerate("abc")]


def rle(mask: np.ndarray) -> dict[str, Any]:
    encoded = mask_utils.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": encoded["size"], "counts": encoded["counts"].decode()}


def rectangle(x: int, y: int, width: int, height: int, size: int = 200) -> np.ndarray:
    mask = np.zeros((size, size), bool)
    mask[y : y + height, x : x + width] = True
    return mask


def truth_of(*objects: tuple[int, int, np.ndarray], images: int = 1, **extra: Any) -> dict:
    """Data set from (image, category index, mask) objects."""
    return {
        "images": [{"id": index, "height": 200, "width": 200} for index in range(images)],
        "categories": CATEGORIES,
        "annotations": [
            {
                "id": index + 1,
                "image_id": image,
                "category_id": 10 + category,
                "segmentation": rle(mask),
                "bbox": box_of(mask),
                "area": int(mask.sum()),
                "iscrowd": 0,
                **extra,
            }
            for index, (image, category, mask) in enumerate(objects)
        ],
    }


def scored(truth: dict[str, Any], results: list[dict[str, Any]], *args, **kwargs) -> CocoMetrics:
    return evaluate_results(parse_coco(copy.deepcopy(truth)), results, *args, **kwargs)


def found(image: int, category: int, mask: np.ndarray, score: float = 0.9) -> dict[str, Any]:
    return {
        "image_id": image,
        "category_id": 10 + category,
        "segmentation": rle(mask),
        "bbox": box_of(mask),
        "score": score,
    }


def box_of(mask: np.ndarray) -> list[float]:
    return [float(value) for value in mask_utils.toBbox(rle(mask))]


def ellipse(x1: float, y1: float, x2: float, y2: float) -> np.ndarray:
    rx, ry = max((x2 - x1) / 2, 0.5), max((y2 - y1) / 2, 0.5)
    y, x = np.mgrid[: RECORDED["height"], : RECORDED["width"]] + 0.5
    return ((x - (x1 + x2) / 2) / rx) ** 2 + ((y - (y1 + y2) / 2) / ry) ** 2 <= 1


@pytest.mark.parametrize(("iou_type", "name"), [("bbox", "box"), ("segm", "mask")])
def test_the_recorded_detections_get_the_recorded_ap(iou_type, name):
    truth = truth_of()
    truth["images"] = [
        {"id": index, "height": RECORDED["height"], "width": RECORDED["width"]}
        for index in range(len(RECORDED["images"]))
    ]
    results = []
    for image, rows in enumerate(RECORDED["images"]):
        labelled = [(row, 0) for row in rows["gt"]] + [(row, 1) for row in rows["crowd"]]
        for (x1, y1, x2, y2, category), crowd in labelled:
            truth["annotations"].append(
                {
                    "id": len(truth["annotations"]) + 1,
                    "image_id": image,
                    "category_id": 10 + category,
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "segmentation": rle(ellipse(x1, y1, x2, y2)),
                    "area": int(ellipse(x1, y1, x2, y2).sum()),
                    "iscrowd": crowd,
                }
            )
        for x1, y1, x2, y2, category, score in rows["dets"]:
            row = found(image, category, ellipse(x1, y1, x2, y2), score)
            results.append({**row, "bbox": [x1, y1, x2 - x1, y2 - y1]})
    metrics = scored(truth, results, iou_type)
    assert [metrics.ap, metrics.ap50, metrics.ap75] == pytest.approx(
        RECORDED["pycocotools_AP_AP50_AP75"][name], abs=1e-9
    )


def test_perfect_results_score_one_and_a_category_without_objects_is_not_a_number():
    objects = [(0, 0, rectangle(10, 10, 50, 40)), (0, 1, rectangle(100, 90, 30, 60))]
    metrics = scored(truth_of(*objects), [found(*row) for row in objects])
    values = [metrics.ap, metrics.ap50, metrics.ap75, metrics.recall100]
    assert values == pytest.approx([1.0] * 4)
    assert [row.num_objects for row in metrics.per_class] == [1, 1, 0]
    assert [row.ap for row in metrics.per_class[:2]] == pytest.approx([1.0, 1.0])
    assert math.isnan(metrics.per_class[2].ap)


def test_nothing_found_scores_zero():
    metrics = scored(truth_of((0, 0, rectangle(10, 10, 50, 40))), [])
    assert metrics.ap == 0.0
    assert metrics.recall100 == 0.0


def test_ap_at_each_iou_follows_the_overlap_of_the_masks():
    metrics = scored(
        truth_of((0, 0, rectangle(0, 0, 100, 100))), [found(0, 0, rectangle(0, 0, 72, 100))]
    )
    assert metrics.ap_by_iou[0.7] == pytest.approx(1.0)
    assert metrics.ap_by_iou[0.75] == 0.0
    assert metrics.ap == pytest.approx(5 / 10)


def test_size_classes_of_masks_go_by_the_masks_area_not_the_boxes():
    # A ring: its box of 120 x 120 is large, its area of 1416 pixels is medium.
    ring = rectangle(20, 20, 120, 120) & ~rectangle(23, 23, 114, 114)
    metrics = scored(
        truth_of((0, 0, ring)),
        [found(0, 0, rectangle(0, 0, 3, 3), 0.95), found(0, 0, ring, 0.9)],
    )
    assert metrics.ap_medium == pytest.approx(1.0)
    assert math.isnan(metrics.ap_large)


def test_detections_on_a_crowd_are_no_false_positives():
    crowd = rectangle(100, 0, 100, 200)
    truth = truth_of((0, 0, rectangle(10, 10, 50, 40)), (0, 0, crowd))
    truth["annotations"][1]["iscrowd"] = 1
    results = [
        found(0, 0, rectangle(120, 50, 30, 30), 0.99),
        found(0, 0, rectangle(10, 10, 50, 40), 0.5),
    ]
    metrics = scored(truth, results)
    assert metrics.ap == pytest.approx(1.0)
    assert metrics.per_class[0].num_objects == 1


def test_naming_the_labelled_categories_keeps_the_others_from_counting():
    truth = truth_of((0, 0, rectangle(10, 10, 50, 40)), (0, 1, rectangle(90, 90, 20, 20)))
    results = [found(0, 0, rectangle(10, 10, 50, 40)), found(0, 2, rectangle(0, 0, 9, 9))]
    assert scored(truth, results).ap == pytest.approx(0.5)
    restricted = scored(truth, results, category_ids=[10])
    assert restricted.ap == pytest.approx(1.0)
    assert [row.name for row in restricted.per_class] == ["a"]


def test_only_the_named_images_are_scored():
    mask = rectangle(10, 10, 50, 40)
    truth = truth_of((0, 0, mask), (1, 0, mask), images=2)
    assert scored(truth, [found(1, 0, mask)], image_ids=[1]).ap == pytest.approx(1.0)
    assert scored(truth, [found(1, 0, mask)]).ap == pytest.approx(0.5, abs=0.01)


def test_per_class_rows_keep_the_data_sets_order():
    truth = truth_of((0, 2, rectangle(10, 10, 50, 40)))
    truth["categories"] = CATEGORIES[::-1]
    metrics = scored(truth, [found(0, 2, rectangle(10, 10, 50, 40))])
    assert [row.name for row in metrics.per_class] == ["c", "b", "a"]
    assert metrics.per_class[0].ap == pytest.approx(1.0)


def test_polygons_plain_run_lengths_and_missing_areas_are_understood():
    mask = rectangle(10, 10, 50, 40)
    truth = truth_of((0, 0, mask), (1, 0, mask), (2, 0, mask), images=3)
    truth["annotations"][0]["segmentation"] = [[10, 10, 60, 10, 60, 50, 10, 50]]
    counts = [10 * 200 + 10] + [40, 160] * 49 + [40, 200 * 200 - 60 * 200 + 150]
    truth["annotations"][1]["segmentation"] = {"size": [200, 200], "counts": counts}
    for row in truth["annotations"]:
        del row["area"], row["iscrowd"]
    metrics = scored(truth, [found(image, 0, mask) for image in range(3)])
    assert metrics.ap == pytest.approx(1.0)
    assert metrics.ap_medium == pytest.approx(1.0)


@pytest.mark.parametrize("change", [{"image_id": 7}, {"category_id": 1}])
def test_results_that_do_not_fit_the_data_set_are_refused(change):
    mask = rectangle(10, 10, 50, 40)
    row = {**found(0, 0, mask), **change}
    with pytest.raises(DataError, match="result 1 is of image"):
        scored(truth_of((0, 0, mask)), [found(0, 0, mask), row])


def test_unknown_category_and_image_selections_are_refused():
    truth = truth_of((0, 0, rectangle(10, 10, 50, 40)))
    with pytest.raises(DataError, match=r"no id \[1\]"):
        scored(truth, [], category_ids=[1, 10])
    with pytest.raises(DataError, match=r"no id \[5\]"):
        scored(truth, [], image_ids=[5])


def test_metrics_become_json_with_null_for_what_was_not_measured():
    truth = truth_of((0, 0, rectangle(10, 10, 50, 40)))
    values = scored(truth, []).to_dict()
    assert json.loads(json.dumps(values, allow_nan=False)) == values
    assert values["ap_large"] is None
    assert values["ap_by_iou"]["0.7"] == 0.0


def test_evaluating_prints_nothing_and_leaves_its_arguments_alone(capsys):
    mask = rectangle(10, 10, 50, 40)
    truth, results = truth_of((0, 0, mask)), [found(0, 0, mask)]
    before = json.dumps([truth, results])
    scored(truth, results)
    assert json.dumps([truth, results]) == before
    assert capsys.readouterr().out == ""


def test_annotations_that_count_from_zero_are_all_found():
    objects = [(0, 0, rectangle(10, 10, 50, 40)), (0, 0, rectangle(100, 90, 30, 60))]
    truth = truth_of(*objects)
    for number, row in enumerate(truth["annotations"]):
        row["id"] = number
    assert scored(truth, [found(*row) for row in objects]).ap == pytest.approx(1.0)


def test_ids_that_are_words_are_scored_and_kept():
    mask = rectangle(10, 10, 50, 40)
    truth = truth_of((0, 0, mask), (1, 0, mask), images=2)
    truth["categories"] = [{"id": "b7", "name": "bolt"}]
    for number, row in enumerate(truth["images"]):
        row["id"] = f"cam_{number}"
    for number, row in enumerate(truth["annotations"]):
        row.update(image_id=f"cam_{number}", category_id="b7", id=f"6f1c-{number}")
    results = [{**found(0, 0, mask), "image_id": f"cam_{n}", "category_id": "b7"} for n in (0, 1)]
    metrics = scored(truth, results)
    assert metrics.ap == pytest.approx(1.0)
    assert metrics.per_class[0].category_id == "b7"
    assert scored(truth, results[:1], image_ids=["cam_0"]).ap == pytest.approx(1.0)


def test_equal_scores_are_ordered_by_the_images_ids_as_in_cocos_own_program():
    # Of two detections of equal score the one of the smaller image id comes first.
    mask = rectangle(10, 10, 50, 40)
    results = [found(1, 0, mask), found(0, 0, rectangle(100, 100, 9, 9))]
    truth = truth_of((1, 0, mask), images=2)
    assert scored(truth, results).ap == pytest.approx(0.5)
    truth["images"].reverse()
    assert scored(truth, results).ap == pytest.approx(0.5)


def test_an_object_that_has_only_a_box_is_neither_right_nor_wrong_in_mask_ap():
    first, second = rectangle(10, 10, 50, 40), rectangle(100, 90, 30, 60)
    truth = truth_of((0, 0, first), (0, 0, second))
    truth["annotations"][1]["segmentation"] = []
    results = [found(0, 0, first, 0.5), found(0, 0, second, 0.9)]
    assert scored(truth, results, "segm").ap == pytest.approx(1.0)
    assert scored(truth, results[:1], "segm").ap == pytest.approx(1.0)
    assert scored(truth, results, "bbox").ap == pytest.approx(1.0)
    assert scored(truth, results[:1], "bbox").ap == pytest.approx(0.5, abs=0.01)


def test_boxes_alone_have_no_mask_ap():
    mask = rectangle(10, 10, 50, 40)
    truth = truth_of((0, 0, mask))
    del truth["annotations"][0]["segmentation"]
    assert math.isnan(scored(truth, [found(0, 0, mask)], "segm").ap)
    assert scored(truth, [found(0, 0, mask)], "bbox").ap == pytest.approx(1.0)


@pytest.mark.parametrize("area", [None, 0, -5, math.nan, "much"])
def test_an_area_that_is_none_is_that_of_the_mask(area):
    mask = rectangle(10, 10, 50, 40)
    truth = truth_of((0, 0, mask), area=area)
    assert scored(truth, [found(0, 0, mask)]).ap_medium == pytest.approx(1.0)
