"""Average precision by the COCO protocol: a thin layer over pycocotools.

Needs the package ``pycocotools`` (extra ``evaluate``), imported when a function is called.
"""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from yolact_ros.dependencies import require
from yolact_ros.errors import DataError
from yolact_ros.evaluation.results import CocoResult, read_json

__all__ = [
    "ClassMetrics",
    "CocoMetrics",
    "Dataset",
    "IouType",
    "accumulate",
    "count_objects",
    "evaluate_results",
    "load_ground_truth",
    "match_results",
    "summarize",
]

IouType = Literal["bbox", "segm"]
Dataset = Mapping[str, Any]
"""A COCO annotation file as read by ``json``: images, annotations, categories."""


@dataclass(frozen=True)
class ClassMetrics:
    """Accuracy on one category; fractions 0..1, NaN where the data set has no object of it.

    Attributes:
        category_id: of the data set.
        name: of the category.
        ap: mean over the IoU thresholds 0.50:0.05:0.95.
        ap50: at IoU 0.5.
        num_objects: annotated objects, crowds not counted.
    """

    category_id: int
    name: str
    ap: float
    ap50: float
    num_objects: int


@dataclass(frozen=True)
class CocoMetrics:
    """Accuracy over all categories; fractions 0..1, NaN where there is nothing to measure.

    Attributes:
        iou_type: "bbox" or "segm".
        ap: AP, mean over categories and the IoU thresholds 0.50:0.05:0.95.
        ap50, ap75: at IoU 0.5 and 0.75.
        ap_small, ap_medium, ap_large: objects under 32^2, up to 96^2, and over 96^2 pixels.
        ap_by_iou: AP at each IoU threshold, for example ``ap_by_iou[0.7]``.
        recall100: largest recall with 100 detections an image, mean as for ``ap``.
        per_class: one entry a category, in the data set's order.
        num_images: images that were scored, with and without objects.
    """

    iou_type: IouType
    ap: float
    ap50: float
    ap75: float
    ap_small: float
    ap_medium: float
    ap_large: float
    ap_by_iou: Mapping[float, float]
    recall100: float
    per_class: tuple[ClassMetrics, ...]
    num_images: int

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; NaN becomes None."""
        values: dict[str, Any] = {
            key: _none_if_nan(value)
            for key, value in vars(self).items()
            if key not in ("ap_by_iou", "per_class")
        }
        values["ap_by_iou"] = {str(key): _none_if_nan(v) for key, v in self.ap_by_iou.items()}
        values["per_class"] = [
            {key: _none_if_nan(value) for key, value in vars(row).items()}
            for row in self.per_class
        ]
        return values


def load_ground_truth(path: Path) -> Dataset:
    """Read a COCO annotation file.

    Raises:
        DataError: not readable, not JSON, or without images, annotations and categories.
    """
    data = read_json(path)
    dataset: dict[str, Any] = data if isinstance(data, dict) else {}
    for key in ("images", "annotations", "categories"):
        if not isinstance(dataset.get(key), list):
            raise DataError(f"{path}: not a COCO annotation file: it has no list {key!r}")
    return dataset


def evaluate_results(
    ground_truth: Dataset,
    results: Sequence[CocoResult],
    iou_type: IouType = "segm",
    *,
    category_ids: Iterable[int] | None = None,
    image_ids: Iterable[int] | None = None,
) -> CocoMetrics:
    """Score results with pycocotools' COCOeval.

    Args:
        ground_truth: COCO annotations, see :func:`load_ground_truth`.
        results: COCO results; "segm" needs ``segmentation``, "bbox" needs ``bbox``.
        iou_type: compare masks or boxes.
        category_ids: score these categories only; name here what is labelled where the ground
            truth labels only some classes, so that other detections are no false positives.
        image_ids: score these images only; default all of the ground truth.

    Raises:
        DataError: results of an image or category that the ground truth does not have, or
            without what ``iou_type`` compares.
        DependencyError: pycocotools is not installed.
    """
    evaluator = match_results(
        ground_truth, results, iou_type, category_ids=category_ids, image_ids=image_ids
    )
    accumulate(evaluator)
    categories = _selected(ground_truth["categories"], category_ids)
    return summarize(evaluator, categories, count_objects(evaluator), len(evaluator.params.imgIds))


def match_results(
    ground_truth: Dataset,
    results: Sequence[CocoResult],
    iou_type: IouType = "segm",
    *,
    category_ids: Iterable[int] | None = None,
    image_ids: Iterable[int] | None = None,
) -> Any:
    """A COCOeval that has matched results with annotations, image by image, not yet accumulated.

    Arguments and errors are those of :func:`evaluate_results`.
    """
    coco = require("pycocotools.coco", extra="evaluate")
    cocoeval = require("pycocotools.cocoeval", extra="evaluate")
    _check_results(ground_truth, results, iou_type)
    categories = _selected(ground_truth["categories"], category_ids)
    images = _selected(ground_truth["images"], image_ids)
    kept = [_only(row, iou_type) for row in results]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = coco.COCO()
        truth.dataset = _complete(ground_truth)
        truth.createIndex()
        found = truth.loadRes(kept) if kept else coco.COCO()
        evaluator = cocoeval.COCOeval(truth, found, iou_type)
        evaluator.params.imgIds = [row["id"] for row in images]
        evaluator.params.catIds = [row["id"] for row in categories]
        evaluator.evaluate()
    return evaluator


def accumulate(evaluator: Any) -> None:
    """COCOeval.accumulate without its printing."""
    with contextlib.redirect_stdout(io.StringIO()):
        evaluator.accumulate()


def count_objects(evaluator: Any) -> dict[int, int]:
    """Annotated objects of each category id, crowds not counted, of :func:`match_results`."""
    truth = evaluator.cocoGt
    return {
        int(id_): len(truth.getAnnIds(evaluator.params.imgIds, [id_], iscrowd=False))
        for id_ in evaluator.params.catIds
    }


def summarize(
    evaluator: Any,
    categories: Sequence[Mapping[str, Any]],
    num_objects: Mapping[int, int],
    num_images: int,
) -> CocoMetrics:
    """The metrics of a COCOeval that has accumulated.

    Args:
        evaluator: its last detection limit counts, 100 by default.
        categories: in the order of the result.
        num_objects: by category id.
        num_images: that were matched.
    """
    # precision[T thresholds, R recalls, K categories, A area ranges, M detection limits];
    # -1 where a category has no object.
    precision = evaluator.eval["precision"][..., -1]
    recall = evaluator.eval["recall"][..., -1]
    thresholds = [round(float(value), 2) for value in evaluator.params.iouThrs]
    areas = {label: index for index, label in enumerate(evaluator.params.areaRngLbl)}
    whole = precision[..., areas["all"]]
    by_iou = {value: _mean(whole[index]) for index, value in enumerate(thresholds)}
    # evaluate() sorts the category ids, and leaves the sorted ones in its parameters.
    column = {int(id_): index for index, id_ in enumerate(evaluator.params.catIds)}
    per_class = []
    for row in categories:
        values = whole[:, :, column[row["id"]]]
        per_class.append(
            ClassMetrics(
                int(row["id"]),
                str(row["name"]),
                _mean(values),
                _mean(values[thresholds.index(0.5)]),
                num_objects[int(row["id"])],
            )
        )
    return CocoMetrics(
        iou_type=evaluator.params.iouType,
        ap=_mean(whole),
        ap50=by_iou[0.5],
        ap75=by_iou[0.75],
        ap_small=_mean(precision[..., areas["small"]]),
        ap_medium=_mean(precision[..., areas["medium"]]),
        ap_large=_mean(precision[..., areas["large"]]),
        ap_by_iou=by_iou,
        recall100=_mean(recall[..., areas["all"]]),
        per_class=tuple(per_class),
        num_images=num_images,
    )


def _check_results(
    ground_truth: Dataset, results: Sequence[CocoResult], iou_type: IouType
) -> None:
    field = "segmentation" if iou_type == "segm" else "bbox"
    required = ("image_id", "category_id", "score", field)
    image_ids = {row["id"] for row in ground_truth["images"]}
    category_ids = {row["id"] for row in ground_truth["categories"]}
    for index, row in enumerate(results):
        missing = [key for key in required if key not in row]
        if missing:
            raise DataError(f"result {index} has no {missing[0]!r}, which {iou_type} AP needs")
        if row["image_id"] not in image_ids:
            raise DataError(
                f"result {index} is of image {row['image_id']!r}, which the ground truth does "
                "not have; are the results of another data set?"
            )
        if row["category_id"] not in category_ids:
            raise DataError(
                f"result {index} is of category {row['category_id']!r}; the ground truth has "
                f"{sorted(category_ids)}"
            )
        if not math.isfinite(row["score"]):
            raise DataError(f"result {index} has the score {row['score']}")


def _selected(
    rows: Sequence[Mapping[str, Any]], ids: Iterable[int] | None
) -> list[Mapping[str, Any]]:
    if ids is None:
        return list(rows)
    chosen = set(ids)
    unknown = chosen - {row["id"] for row in rows}
    if unknown:
        raise DataError(f"the ground truth has no id {sorted(unknown)}")
    return [row for row in rows if row["id"] in chosen]


def _complete(ground_truth: Dataset) -> dict[str, Any]:
    """The data set with the fields that COCOeval reads and some files leave out."""
    coco_mask = require("pycocotools.mask", extra="evaluate")
    sizes = {row["id"]: (row["height"], row["width"]) for row in ground_truth["images"]}
    annotations = []
    for row in ground_truth["annotations"]:
        completed = {"iscrowd": 0, **row}
        if "area" not in row:
            shape = sizes[row["image_id"]]
            completed["area"] = float(coco_mask.area(_to_rle(row["segmentation"], shape)))
        annotations.append(completed)
    return {**ground_truth, "annotations": annotations}


def _to_rle(segmentation: Any, shape: tuple[int, int]) -> Any:
    coco_mask = require("pycocotools.mask", extra="evaluate")
    if isinstance(segmentation, list):
        return coco_mask.merge(coco_mask.frPyObjects(segmentation, *shape))
    if isinstance(segmentation["counts"], list):
        return coco_mask.frPyObjects(segmentation, *shape)
    return segmentation


def _only(result: CocoResult, iou_type: IouType) -> CocoResult:
    """``result`` with one geometry: pycocotools takes the box's area for a mask that has one.

    The small, medium and large AP of masks would change by that.
    """
    other = "bbox" if iou_type == "segm" else "segmentation"
    return {key: value for key, value in result.items() if key != other}


def _mean(values: NDArray[np.float64]) -> float:
    valid = values[values > -1]
    return float(valid.mean()) if valid.size else math.nan


def _none_if_nan(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value
