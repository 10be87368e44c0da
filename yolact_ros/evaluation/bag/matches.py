"""Which detections were right: COCOeval's verdicts as flat arrays, a few bytes a detection.

COCOeval keeps dictionaries for every image and category, which grow to gigabytes on a long bag.
Its matching never looks beyond one image, so blocks of frames are matched one after the other,
only the verdicts are kept, and one last ``accumulate`` makes the same numbers from them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from yolact_ros.datasets.categories import find_category
from yolact_ros.datasets.coco_data import CocoAnnotation, CocoCategory, CocoData, CocoImage
from yolact_ros.datasets.coco_results import CocoResult
from yolact_ros.datasets.values import Id
from yolact_ros.dependencies import require
from yolact_ros.evaluation.bag.frame import FoundInstance
from yolact_ros.evaluation.bag.truth import TruthFrame
from yolact_ros.evaluation.coco import (
    CocoMetrics,
    IouType,
    accumulate,
    match_results,
    summarize,
)

__all__ = [
    "AREAS",
    "MatchCollector",
    "MatchTable",
    "accumulated",
    "coco_metrics",
    "summarized",
]

AREAS = ("all", "small", "medium", "large")
BLOCK_FRAMES = 128
ALL_DETECTIONS = 1 << 30


@dataclass(frozen=True)
class MatchTable:
    """Verdicts on D detections and the number of objects in G pairs of frame and category.

    Detections are by category, then by frame, then by falling score.

    Attributes:
        frame (int32[D]): index of the frame.
        category (int32[D]): category id.
        score (float64[D]): 0..1.
        matched (uint16[D]): bit t set: matched an object at the IoU threshold 0.50 + 0.05 t.
        ignored (uint16[D]): bit t set: counts neither as right nor as wrong there.
        iou (float32[D]): with the object matched at 0.5; 0 without.
        object_frame (int32[G]), object_category (int32[G]): the pair.
        object_count (int32[G]): objects to be found.
    """

    frame: NDArray[np.int32]
    category: NDArray[np.int32]
    score: NDArray[np.float64]
    matched: NDArray[np.uint16]
    ignored: NDArray[np.uint16]
    iou: NDArray[np.float32]
    object_frame: NDArray[np.int32]
    object_category: NDArray[np.int32]
    object_count: NDArray[np.int32]

    def to_arrays(self, prefix: str) -> dict[str, NDArray[Any]]:
        """The columns by name, for ``numpy.savez``."""
        return {f"{prefix}{field.name}": getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], prefix: str) -> MatchTable:
        """The inverse of :meth:`to_arrays`.

        Raises:
            KeyError: a column is missing.
        """
        return cls(**{field.name: arrays[f"{prefix}{field.name}"] for field in fields(cls)})

    @classmethod
    def concatenate(cls, tables: Sequence[MatchTable], offsets: Sequence[int]) -> MatchTable:
        """One table of several; ``offsets`` are added to the frames of each."""
        columns: dict[str, NDArray[Any]] = {}
        for field in fields(cls):
            parts = [getattr(table, field.name) for table in tables]
            if field.name in ("frame", "object_frame"):
                parts = [
                    part + np.int32(offset) for part, offset in zip(parts, offsets, strict=True)
                ]
            columns[field.name] = np.concatenate(parts) if parts else _empty(field.name)
        order = np.lexsort((columns["frame"], columns["category"]))
        for name in ("frame", "category", "score", "matched", "ignored", "iou"):
            columns[name] = columns[name][order]
        return cls(**columns)


_DTYPES: Mapping[str, Any] = {
    "score": np.float64,
    "matched": np.uint16,
    "ignored": np.uint16,
    "iou": np.float32,
}


def _empty(name: str) -> NDArray[Any]:
    return np.zeros(0, _DTYPES.get(name, np.int32))


class MatchCollector:
    """Matches detections with truth as frames come, in blocks.

    Args:
        categories: of the truth; detections of other classes are left out.
        iou_types: "bbox", "segm" or both.

    Attributes:
        unknown_classes: names of detected classes that the truth does not have.
        num_frames: frames added.
    """

    def __init__(self, categories: Sequence[CocoCategory], iou_types: Sequence[IouType]) -> None:
        self._categories = list(categories)
        self._iou_types = tuple(iou_types)
        self._ids: dict[str, Id | None] = {}
        self._images: list[CocoImage] = []
        self._annotations: list[CocoAnnotation] = []
        self._results: list[CocoResult] = []
        self._parts: dict[tuple[IouType, str], list[MatchTable]] = {
            (iou_type, area): [] for iou_type in iou_types for area in AREAS
        }
        self.unknown_classes: set[str] = set()
        self.num_frames = 0

    def add(self, index: int, truth: TruthFrame, found: Sequence[FoundInstance]) -> None:
        """Add a frame.

        Args:
            index: of the frame; each once, in rising order.
            truth: its annotations.
            found: its detections, masks of the same image size.
        """
        size = [truth["height"], truth["width"]]
        self._images.append(CocoImage(index, *size))
        for row in truth["annotations"]:
            mask = row.get("segmentation")
            annotation = CocoAnnotation(
                id=len(self._annotations) + 1,
                own_id=None,
                image_id=index,
                category_id=row["category_id"],
                bbox_xywh=tuple(row["bbox"]),
                counts=mask["counts"] if mask else None,
                area_px=row.get("area"),
                is_crowd=bool(row["iscrowd"]),
            )
            self._annotations.append(annotation)
        for instance in found:
            category_id = self._category_id(instance.class_name)
            if category_id is None:
                continue
            result: CocoResult = {
                "image_id": index,
                "category_id": category_id,
                "bbox": list(instance.bbox_xywh),
                "score": instance.score,
            }
            if instance.counts:
                result["segmentation"] = {"size": size, "counts": instance.counts}
            self._results.append(result)
        self.num_frames += 1
        if len(self._images) >= BLOCK_FRAMES:
            self._match_block()

    def _category_id(self, class_name: str) -> Id | None:
        if class_name not in self._ids:
            self._ids[class_name] = find_category(class_name, self._categories)
            if self._ids[class_name] is None:
                self.unknown_classes.add(class_name)
        return self._ids[class_name]

    def _match_block(self) -> None:
        if not self._images:
            return
        dataset = CocoData(tuple(self._images), tuple(self._annotations), tuple(self._categories))
        for iou_type in self._iou_types:
            evaluator = match_results(dataset, self._results, iou_type)
            for area, table in zip(AREAS, _tables(evaluator, dataset), strict=True):
                self._parts[iou_type, area].append(table)
        self._images, self._annotations, self._results = [], [], []

    def tables(self) -> dict[IouType, dict[str, MatchTable]]:
        """Verdicts so far, by IoU type and area range."""
        self._match_block()
        joined: dict[IouType, dict[str, MatchTable]] = {}
        for (iou_type, area), parts in self._parts.items():
            table = MatchTable.concatenate(parts, [0] * len(parts))
            self._parts[iou_type, area] = [table]
            joined.setdefault(iou_type, {})[area] = table
        return joined


def _tables(evaluator: Any, dataset: CocoData) -> list[MatchTable]:
    """Verdicts of an evaluated COCOeval on ``dataset``, one table an area range."""
    params = evaluator.params
    num_images = len(params.imgIds)
    tables = []
    for area in range(len(params.areaRng)):
        rows: dict[str, list[NDArray[Any]]] = {field.name: [] for field in fields(MatchTable)}
        for column, category in enumerate(dataset.categories):
            start = (column * len(params.areaRng) + area) * num_images
            for verdict in evaluator.evalImgs[start : start + num_images]:
                if verdict is not None:
                    frame = dataset.images[verdict["image_id"] - 1].id
                    _add_rows(rows, evaluator, verdict, frame, category.id)
        columns = {
            name: np.concatenate(parts).astype(_DTYPES.get(name, np.int32))
            if parts
            else _empty(name)
            for name, parts in rows.items()
        }
        tables.append(MatchTable(**columns))
    return tables


def _add_rows(
    rows: dict[str, list[NDArray[Any]]], evaluator: Any, verdict: Any, frame: Id, category_id: Id
) -> None:
    scores = np.asarray(verdict["dtScores"], np.float64)
    matches = np.asarray(verdict["dtMatches"])
    bits = (1 << np.arange(matches.shape[0]))[:, None]
    rows["frame"].append(np.full(scores.size, frame))
    rows["category"].append(np.full(scores.size, category_id))
    rows["score"].append(scores)
    rows["matched"].append(((matches > 0) * bits).sum(axis=0))
    rows["ignored"].append(((np.asarray(verdict["dtIgnore"]) > 0) * bits).sum(axis=0))
    rows["iou"].append(_matched_iou(evaluator, verdict, matches))
    count = int(np.count_nonzero(np.asarray(verdict["gtIgnore"]) == 0))
    if count:
        rows["object_frame"].append(np.array([frame]))
        rows["object_category"].append(np.array([category_id]))
        rows["object_count"].append(np.array([count]))


def _matched_iou(evaluator: Any, verdict: Any, matches: NDArray[Any]) -> NDArray[np.float64]:
    """IoU of each detection with the object that it matched at the first threshold, 0.5."""
    found = np.zeros(matches.shape[1])
    if not (matches[0] > 0).any():
        return found
    key = (verdict["image_id"], verdict["category_id"])
    ious = np.asarray(evaluator.ious[key])  # by score, and by the annotations' order
    columns = {row["id"]: column for column, row in enumerate(evaluator._gts[key])}
    for row, annotation_id in enumerate(matches[0]):
        if annotation_id > 0:
            found[row] = ious[row, columns[int(annotation_id)]]
    return found


def coco_metrics(
    tables: Mapping[str, MatchTable],
    categories: Sequence[CocoCategory],
    iou_type: IouType,
    num_frames: int,
) -> CocoMetrics:
    """AP of collected verdicts, by COCOeval's own ``accumulate``.

    Args:
        tables: by area range, as in :meth:`MatchCollector.tables`.
        categories: of the truth.
        iou_type: of the tables.
        num_frames: that were matched.
    """
    evaluator = accumulated(tables, categories, iou_type)
    return summarized(evaluator, tables, categories, num_frames)


def summarized(
    evaluator: Any,
    tables: Mapping[str, MatchTable],
    categories: Sequence[CocoCategory],
    num_frames: int,
) -> CocoMetrics:
    """The metrics of what :func:`accumulated` returned."""
    whole = tables["all"]
    counts = [int(whole.object_count[whole.object_category == row.id].sum()) for row in categories]
    return summarize(evaluator, categories, counts, num_frames)


def accumulated(
    tables: Mapping[str, MatchTable], categories: Sequence[CocoCategory], iou_type: IouType
) -> Any:
    """A COCOeval that has accumulated the verdicts; all frames count as one image."""
    cocoeval = require("pycocotools.cocoeval", extra="evaluate")
    evaluator = cocoeval.COCOeval(iouType=iou_type)
    params = evaluator.params
    params.imgIds = [1]
    params.catIds = list(range(1, len(categories) + 1))
    # Matching has already kept the 100 best of every image.
    params.maxDets = [ALL_DETECTIONS]
    bits = (1 << np.arange(len(params.iouThrs), dtype=np.uint16))[:, None].astype(np.uint16)
    evaluator.evalImgs = [
        _verdict(tables[area], row.id, bits) for row in categories for area in AREAS
    ]
    evaluator._paramsEval = params
    accumulate(evaluator)
    return evaluator


def _verdict(table: MatchTable, category_id: Id, bits: NDArray[Any]) -> dict[str, Any] | None:
    rows = table.category == category_id
    count = int(table.object_count[table.object_category == category_id].sum())
    if not rows.any() and not count:
        return None
    return {
        "dtScores": table.score[rows],
        "dtMatches": table.matched[rows] & bits > 0,
        "dtIgnore": table.ignored[rows] & bits > 0,
        "gtIgnore": np.zeros(count),
    }
