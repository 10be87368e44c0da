"""Average precision by the COCO protocol: a thin layer over pycocotools.

Needs the package ``pycocotools`` (extra ``evaluate``), imported when a function is called.
"""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from yolact_ros.datasets.coco_data import CocoAnnotation, CocoCategory, CocoData, CocoImage
from yolact_ros.datasets.coco_results import CocoResult
from yolact_ros.datasets.values import Id
from yolact_ros.dependencies import require
from yolact_ros.errors import DataError
from yolact_ros.ops.coco_rle import encode_box, mask_area

__all__ = [
    "ClassMetrics",
    "CocoMetrics",
    "IouType",
    "accumulate",
    "count_objects",
    "evaluate_results",
    "match_results",
    "summarize",
]

IouType = Literal["bbox", "segm"]
Record = TypeVar("Record", CocoImage, CocoCategory)


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

    category_id: Id
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


def evaluate_results(
    truth: CocoData,
    results: Sequence[CocoResult],
    iou_type: IouType = "segm",
    *,
    category_ids: Iterable[Id] | None = None,
    image_ids: Iterable[Id] | None = None,
) -> CocoMetrics:
    """Score results with pycocotools' COCOeval.

    Objects that have only a box are no part of mask AP: what is found in the box counts there
    neither as right nor as wrong.

    Args:
        truth: COCO annotations, see :mod:`yolact_ros.datasets.coco_file`.
        results: COCO results; those without the geometry that ``iou_type`` compares do not count.
        iou_type: compare masks or boxes.
        category_ids: score these categories only; name here what is labelled where the ground
            truth labels only some classes, so that other detections are no false positives.
        image_ids: score these images only; default all of the ground truth.

    Raises:
        DataError: results of an image or category that the ground truth does not have.
        DependencyError: pycocotools is not installed.
    """
    categories = _selected(truth.categories, category_ids)
    images = _selected(truth.images, image_ids)
    evaluator = match_results(
        CocoData(images, truth.annotations, categories),
        _checked(results, truth),
        iou_type,
    )
    accumulate(evaluator)
    return summarize(evaluator, categories, count_objects(evaluator), len(images))


def match_results(
    truth: CocoData, results: Iterable[CocoResult], iou_type: IouType = "segm"
) -> Any:
    """A COCOeval that has matched results with annotations, image by image, not yet accumulated.

    Its ids are not those of the data set, because COCOeval takes the id 0 for "none" and sorts
    ids: images, categories and annotations are numbered from 1, images in the order of their ids
    where all are numbers, everything else in its order in ``truth``. Annotations and results of
    other images and categories than those of ``truth`` are left out.

    Raises:
        DependencyError: pycocotools is not installed.
    """
    coco = require("pycocotools.coco", extra="evaluate")
    cocoeval = require("pycocotools.cocoeval", extra="evaluate")
    images = list(truth.images)
    if all(isinstance(image.id, int) for image in images):
        images.sort(key=lambda image: int(image.id))
    image_numbers = {image.id: number for number, image in enumerate(images, 1)}
    category_numbers = {row.id: number for number, row in enumerate(truth.categories, 1)}
    objects = [
        {
            "id": number,
            "image_id": image_numbers[row.image_id],
            "category_id": category_numbers[row.category_id],
            **_object(row, images[image_numbers[row.image_id] - 1], iou_type),
        }
        for number, row in enumerate(truth.annotations, 1)
        if row.image_id in image_numbers and row.category_id in category_numbers
    ]
    found = [
        {
            "id": number,
            "image_id": image_numbers[row["image_id"]],
            "category_id": category_numbers[row["category_id"]],
            "score": row["score"],
            "iscrowd": 0,
            **_detection(row, iou_type),
        }
        for number, row in enumerate(results, 1)
        if row["image_id"] in image_numbers
        and row["category_id"] in category_numbers
        and row.get(_field(iou_type)) is not None
    ]
    listing = {
        "images": [
            {"id": number, "height": image.height_px, "width": image.width_px}
            for number, image in enumerate(images, 1)
        ],
        "categories": [{"id": number} for number in category_numbers.values()],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        sides = []
        for annotations in (objects, found):
            side = coco.COCO()
            side.dataset = {**listing, "annotations": annotations}
            side.createIndex()
            sides.append(side)
        evaluator = cocoeval.COCOeval(*sides, iou_type)
        evaluator.params.imgIds = list(image_numbers.values())
        evaluator.params.catIds = list(category_numbers.values())
        evaluator.evaluate()
    return evaluator


def accumulate(evaluator: Any) -> None:
    """COCOeval.accumulate without its printing."""
    with contextlib.redirect_stdout(io.StringIO()):
        evaluator.accumulate()


def count_objects(evaluator: Any) -> list[int]:
    """Annotated objects of each category, crowds not counted, of :func:`match_results`."""
    truth = evaluator.cocoGt
    return [
        len(truth.getAnnIds(evaluator.params.imgIds, [number], iscrowd=False))
        for number in evaluator.params.catIds
    ]


def summarize(
    evaluator: Any,
    categories: Sequence[CocoCategory],
    num_objects: Sequence[int],
    num_images: int,
) -> CocoMetrics:
    """The metrics of a COCOeval that has accumulated.

    Args:
        evaluator: its last detection limit counts, 100 by default.
        categories: in the order of its own.
        num_objects: of each category.
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
    per_class = []
    for index, row in enumerate(categories):
        values = whole[:, :, index]
        per_class.append(
            ClassMetrics(
                row.id,
                row.name,
                _mean(values),
                _mean(values[thresholds.index(0.5)]),
                num_objects[index],
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


def _checked(results: Sequence[CocoResult], truth: CocoData) -> Sequence[CocoResult]:
    image_ids = {image.id for image in truth.images}
    category_ids = {row.id for row in truth.categories}
    for index, row in enumerate(results):
        if row["image_id"] not in image_ids or row["category_id"] not in category_ids:
            raise DataError(
                f"result {index} is of image {row['image_id']!r} and category "
                f"{row['category_id']!r}, which the ground truth does not have; are the results "
                "of another data set?"
            )
    return results


def _selected(rows: tuple[Record, ...], ids: Iterable[Id] | None) -> tuple[Record, ...]:
    if ids is None:
        return rows
    chosen = set(ids)
    unknown = chosen - {row.id for row in rows}
    if unknown:
        raise DataError(f"the ground truth has no id {sorted(unknown, key=str)}")
    return tuple(row for row in rows if row.id in chosen)


def _field(iou_type: IouType) -> str:
    return "segmentation" if iou_type == "segm" else "bbox"


def _object(row: CocoAnnotation, image: CocoImage, iou_type: IouType) -> dict[str, Any]:
    """What COCOeval reads of an annotation."""
    is_crowd, area_px = row.is_crowd, row.area_px or 0.0
    size = [image.height_px, image.width_px]
    counts = row.counts
    if not area_px > 0:
        area_px = row.bbox_xywh[2] * row.bbox_xywh[3]
        if counts is not None:
            area_px = float(mask_area(counts, size[0] * size[1]))
    values = {"area": area_px, "bbox": list(row.bbox_xywh)}
    if iou_type == "segm":
        if counts is None:
            # Nobody knows its mask: what lies in a crowd is neither right nor wrong.
            counts, is_crowd = encode_box(row.bbox_xywh, *size)["counts"], True
        values["segmentation"] = {"size": size, "counts": counts}
    return {**values, "iscrowd": int(is_crowd)}


def _detection(row: CocoResult, iou_type: IouType) -> dict[str, Any]:
    """What COCOeval reads of a result; its area is that of what is compared."""
    if iou_type == "bbox":
        return {"bbox": row["bbox"], "area": row["bbox"][2] * row["bbox"][3]}
    rle = row["segmentation"]
    area_px = mask_area(rle["counts"], rle["size"][0] * rle["size"][1])
    return {"segmentation": rle, "area": area_px}


def _mean(values: NDArray[np.float64]) -> float:
    valid = values[values > -1]
    return float(valid.mean()) if valid.size else math.nan


def _none_if_nan(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value
