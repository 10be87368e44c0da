"""A row an instance: what counted for each frame, its truth, and what COCO's protocol says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from yolact_ros.datasets.coco_data import CocoCategory
from yolact_ros.dependencies import require
from yolact_ros.evaluation.bag.frame import FoundInstance
from yolact_ros.evaluation.bag.scoring.matches import NO_DETECTION, MatchTable
from yolact_ros.evaluation.bag.scoring.tables import INSTANCE_COLUMNS, VERDICTS, schema
from yolact_ros.evaluation.coco import IouType

__all__ = ["InstanceRows", "match_tables"]

BLOCK_ROWS = 4096
_GATHERED = tuple(name for name in INSTANCE_COLUMNS if name[:5] not in ("segm_", "bbox_"))


class InstanceRows:
    """Gathers the rows of one bag frame by frame."""

    def __init__(self, bag: str) -> None:
        self._bag = bag
        self._schema = schema({name: INSTANCE_COLUMNS[name] for name in _GATHERED})
        self._rows: list[tuple[Any, ...]] = []
        self._blocks: list[Any] = []
        self._num_packed = 0

    def add(
        self, index: int, found: Sequence[FoundInstance], truth: Sequence[FoundInstance]
    ) -> int:
        """Add a frame, in order of the topic: its detections, then its annotated objects.

        Returns:
            row of the first.
        """
        first = self._num_packed + len(self._rows)
        for is_truth, instances in ((False, found), (True, truth)):
            for one in instances:
                self._rows.append(
                    (
                        self._bag,
                        index,
                        is_truth,
                        is_truth and one.is_crowd,
                        one.class_name,
                        one.class_name if is_truth else None,
                        one.score,
                        *one.bbox_xywh,
                        bool(one.counts),
                        one.track_id,
                    )
                )
        if len(self._rows) >= BLOCK_ROWS:
            self._pack()
        return first

    def _pack(self) -> None:
        arrow = require("pyarrow", extra="bag")
        columns = list(zip(*self._rows, strict=True)) or [()] * len(_GATHERED)
        arrays = [
            arrow.array(column, field.type)
            for column, field in zip(columns, self._schema, strict=True)
        ]
        self._blocks.append(arrow.table(arrays, schema=self._schema))
        self._num_packed += len(self._rows)
        self._rows = []

    def table(
        self,
        matches: Mapping[IouType, Mapping[str, MatchTable]],
        categories: Sequence[CocoCategory],
    ) -> Any:
        """The Arrow table of all frames with the columns of ``INSTANCE_COLUMNS``.

        Verdicts come by IoU type and area range; a detection's ``row`` is that of this table.
        """
        arrow = require("pyarrow", extra="bag")
        self._pack()
        table = arrow.concat_tables(self._blocks)
        names = np.array(table["category"].to_pylist(), object)
        by_id = {int(row.id): row.name for row in categories}
        verdicts = []
        for iou_type in ("segm", "bbox"):
            found = matches[iou_type]["all"].detections if iou_type in matches else NO_DETECTION
            names[found["row"]] = [by_id[number] for number in found["category"].tolist()]
            unknown = np.ones(len(table), bool)
            unknown[found["row"]] = False
            for name, (kind, _) in VERDICTS.items():
                values = np.zeros(len(table), kind)
                values[found["row"]] = found[name]
                verdicts.append(arrow.array(values, mask=unknown))
        place = table.schema.get_field_index("category")
        table = table.set_column(place, "category", arrow.array(names, arrow.string()))
        return arrow.table([*table.columns, *verdicts], schema=schema(INSTANCE_COLUMNS))


def match_tables(table: Any, firsts: Mapping[str, int]) -> dict[IouType, MatchTable]:
    """The verdicts of an instance table by IoU type; those without any are left out.

    ``firsts`` is the row of each bag's first frame in the table of all frames.
    """
    arrow, compute = (require(name, extra="bag") for name in ("pyarrow", "pyarrow.compute"))
    table = table.filter(compute.is_valid(table["category"]))
    codes = compute.dictionary_encode(table["category"].combine_chunks())
    if isinstance(codes, arrow.ChunkedArray):
        codes = codes.combine_chunks()
    columns = {
        name: table[name].to_numpy()
        for name in ("index", "is_truth", "is_crowd", "has_mask", "score")
    }
    first = np.array([firsts[bag] for bag in table["bag"].to_pylist()], np.int64)
    frames = columns["index"] + first
    categories = codes.indices.to_numpy() + 1
    objects = columns["is_truth"] & ~columns["is_crowd"]
    matches: dict[IouType, MatchTable] = {}
    for iou_type in ("segm", "bbox"):
        judged = compute.is_valid(table[f"{iou_type}_matched"]).to_numpy()
        there = objects & columns["has_mask"] if iou_type == "segm" else objects
        if not judged.any() and not there.any():
            continue
        values = {"frame": frames, "category": categories, "score": columns["score"]}
        for name in VERDICTS:
            values[name] = compute.fill_null(table[f"{iou_type}_{name}"], 0).to_numpy()
        order = np.lexsort((-columns["score"], frames, categories))
        matches[iou_type] = MatchTable.of_columns(
            {name: column[order][judged[order]] for name, column in values.items()},
            frames[there],
            categories[there],
        )
    return matches
