"""Which detections were right: COCOeval's verdicts as flat arrays, a few bytes a detection.

COCOeval keeps dictionaries for every image and category, which grow to gigabytes on a long bag.
Its matching never looks beyond one image, so blocks of frames are matched one after the other,
only the verdicts are kept, and one last ``accumulate`` makes the same numbers from them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from yolact_ros.datasets.categories import find_category
from yolact_ros.datasets.coco_data import CocoAnnotation, CocoCategory, CocoData, CocoImage
from yolact_ros.datasets.coco_results import CocoResult
from yolact_ros.datasets.values import Id
from yolact_ros.dependencies import require
from yolact_ros.evaluation.bag.frame import FoundInstance, FrameInstances
from yolact_ros.evaluation.coco import (
    IouType,
    accumulate,
    match_results,
)

__all__ = [
    "AREAS",
    "NO_DETECTION",
    "MatchCollector",
    "MatchTable",
    "Verdicts",
    "accumulated",
]

AREAS = ("all", "small", "medium", "large")
BLOCK_FRAMES = 128
ALL_DETECTIONS = 1 << 30


_DETECTION = np.dtype(
    [
        ("frame", np.int32),
        ("category", np.int32),
        ("score", np.float64),
        ("matched", np.uint16),
        ("ignored", np.uint16),
        ("iou", np.float32),
        ("row", np.int64),
    ]
)
NO_DETECTION = np.zeros(0, _DETECTION)
_OBJECTS = np.dtype([("frame", np.int32), ("category", np.int32), ("count", np.int32)])


@dataclass(frozen=True)
class MatchTable:
    """Verdicts on D detections and the number of objects in G pairs of frame and category.

    Attributes:
        detections (structured[D]): by category, then by frame, then by falling score. ``frame``,
            ``category`` (id) and ``score``; ``matched`` (bit t set: matched an object at the IoU
            threshold 0.50 + 0.05 t), ``ignored`` (bit t set: counts neither as right nor as wrong
            there) and ``iou`` with the object matched at 0.5; 0 without; ``row`` in the table of
            instances.
        objects (structured[G]): ``frame``, ``category`` and ``count`` of the objects to be found.
    """

    detections: NDArray[np.void]
    objects: NDArray[np.void]

    @classmethod
    def concatenate(cls, tables: Sequence[MatchTable]) -> MatchTable:
        """One table of several."""
        detections = np.concatenate([NO_DETECTION, *(table.detections for table in tables)])
        order = np.lexsort((detections["frame"], detections["category"]))
        objects = np.concatenate([np.zeros(0, _OBJECTS), *(table.objects for table in tables)])
        return cls(detections[order], objects)

    @classmethod
    def of_columns(
        cls,
        detections: Mapping[str, NDArray[Any]],
        object_frames: NDArray[np.int64],
        object_categories: NDArray[np.int64],
    ) -> MatchTable:
        """From columns of the detections, in their order, and an entry for each object."""
        rows = np.zeros(len(detections["frame"]), _DETECTION)
        for name, column in detections.items():
            rows[name] = column
        pairs = np.stack([object_frames, object_categories], axis=1)
        pairs, counts = np.unique(pairs, axis=0, return_counts=True)
        objects = np.zeros(len(pairs), _OBJECTS)
        objects["frame"], objects["category"], objects["count"] = *pairs.T, counts
        return cls(rows, objects)

    def renumbered(
        self, frames: NDArray[np.int64], categories: NDArray[np.int64] | None = None
    ) -> MatchTable:
        """The same with the new number of each frame (-1 leaves it out) and category id."""
        parts = []
        for rows in (self.detections, self.objects):
            kept = rows[frames[rows["frame"]] >= 0]
            kept["frame"] = frames[kept["frame"]]
            if categories is not None:
                kept["category"] = categories[kept["category"]]
            parts.append(kept)
        return MatchTable(*parts)

    def num_objects(self, category: Id) -> int:
        """Objects of a category."""
        return int(self.objects["count"][self.objects["category"] == category].sum())


@dataclass(frozen=True)
class Verdicts:
    """What is right and wrong in all frames with truth.

    Attributes:
        tables: by IoU type and area range.
        num_frames: with truth.
    """

    tables: Mapping[IouType, Mapping[str, MatchTable]]
    num_frames: int

    @classmethod
    def concatenate(cls, parts: Sequence[Verdicts]) -> Verdicts:
        """Those of several bags; an IoU type that one bag's truth does not allow is left out."""
        iou_types = set(parts[0].tables).intersection(*(part.tables for part in parts))
        tables = {
            iou_type: {
                area: MatchTable.concatenate([part.tables[iou_type][area] for part in parts])
                for area in AREAS
            }
            for iou_type in sorted(iou_types)
        }
        return cls(tables, sum(part.num_frames for part in parts))

    def renumbered(self, frames: NDArray[np.int64], categories: NDArray[np.int64]) -> Verdicts:
        """As :meth:`MatchTable.renumbered`."""
        tables = {
            iou_type: {area: table.renumbered(frames, categories) for area, table in own.items()}
            for iou_type, own in self.tables.items()
        }
        return Verdicts(tables, self.num_frames)


class MatchCollector:
    """Matches detections with truth as frames come, in blocks; leaves other classes out.

    Attributes:
        unknown_classes: names of detected classes that the truth does not have.
    """

    def __init__(self, categories: Sequence[CocoCategory], iou_types: Sequence[IouType]) -> None:
        self._categories = list(categories)
        self._iou_types = tuple(iou_types)
        self._ids: dict[str, Id | None] = {}
        self._images: list[CocoImage] = []
        self._annotations: list[CocoAnnotation] = []
        self._results: list[CocoResult] = []
        self._rows: list[int] = []
        self._parts: dict[tuple[IouType, str], list[MatchTable]] = {
            (iou_type, area): [] for iou_type in iou_types for area in AREAS
        }
        self.unknown_classes: set[str] = set()
        self._num_frames = 0

    def add(
        self, index: int, truth: FrameInstances, found: Sequence[FoundInstance], first_row: int = 0
    ) -> None:
        """Add a frame; each once, by rising index.

        Args:
            truth: its annotations; a category's id is their class id plus 1.
            found: its detections, masks of the same image size.
            first_row: in the table of instances, of the first detection.
        """
        self._images.append(CocoImage(index, *truth.shape))
        for row in truth.instances:
            annotation = CocoAnnotation(
                id=len(self._annotations) + 1,
                own_id=None,
                image_id=index,
                category_id=row.class_id + 1,
                bbox_xywh=row.bbox_xywh,
                counts=row.counts or None,
                area_px=row.area_px,
                is_crowd=row.is_crowd,
            )
            self._annotations.append(annotation)
        for row_number, instance in enumerate(found, first_row):
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
                result["segmentation"] = {"size": truth.shape, "counts": instance.counts}
            self._results.append(result)
            self._rows.append(row_number)
        self._num_frames += 1
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
            tables = _tables(evaluator, dataset, np.array(self._rows, np.int64))
            for area, table in zip(AREAS, tables, strict=True):
                self._parts[iou_type, area].append(table)
        self._images, self._annotations, self._results, self._rows = [], [], [], []

    def verdicts(self) -> Verdicts:
        """Those on all frames; to be called once."""
        self._match_block()
        tables: dict[IouType, dict[str, MatchTable]] = {}
        for (iou_type, area), parts in self._parts.items():
            tables.setdefault(iou_type, {})[area] = MatchTable.concatenate(parts)
        return Verdicts(tables, self._num_frames)


def _tables(evaluator: Any, dataset: CocoData, rows: NDArray[np.int64]) -> list[MatchTable]:
    """Verdicts of an evaluated COCOeval on ``dataset``, one table an area range."""
    params = evaluator.params
    num_images = len(params.imgIds)
    tables = []
    for area in range(len(params.areaRng)):
        parts = []
        for column, category in enumerate(dataset.categories):
            start = (column * len(params.areaRng) + area) * num_images
            for verdict in evaluator.evalImgs[start : start + num_images]:
                if verdict is not None:
                    frame = dataset.images[verdict["image_id"] - 1].id
                    parts.append(_table(evaluator, verdict, frame, category.id, rows))
        tables.append(MatchTable.concatenate(parts))
    return tables


def _table(
    evaluator: Any, verdict: Any, frame: Id, category_id: Id, rows: NDArray[np.int64]
) -> MatchTable:
    """COCOeval's verdict on one category in one image."""
    matches = np.asarray(verdict["dtMatches"])
    bits = (1 << np.arange(matches.shape[0]))[:, None]
    detections = np.zeros(matches.shape[1], _DETECTION)
    detections["frame"], detections["category"] = frame, category_id
    detections["score"] = verdict["dtScores"]
    detections["matched"] = ((matches > 0) * bits).sum(axis=0)
    detections["ignored"] = ((np.asarray(verdict["dtIgnore"]) > 0) * bits).sum(axis=0)
    detections["iou"] = _matched_iou(evaluator, verdict, matches)
    detections["row"] = rows[np.array(verdict["dtIds"], np.int64) - 1]
    count = int(np.count_nonzero(np.asarray(verdict["gtIgnore"]) == 0))
    objects = [(frame, category_id, count)] if count else []
    return MatchTable(detections, np.array(objects, _OBJECTS))


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
    rows = table.detections[table.detections["category"] == category_id]
    count = table.num_objects(category_id)
    if not rows.size and not count:
        return None
    return {
        "dtScores": rows["score"],
        "dtMatches": rows["matched"] & bits > 0,
        "dtIgnore": rows["ignored"] & bits > 0,
        "gtIgnore": np.zeros(count),
    }
