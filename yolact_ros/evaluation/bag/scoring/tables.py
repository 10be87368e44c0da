"""The two tables that an evaluation leaves as Parquet: a row a frame, and a row an instance.

DuckDB, pandas and polars read them as they are::

    duckdb -c "SELECT bag, avg(quality) FROM 'out/frames.parquet' GROUP BY bag ORDER BY 2"

A value that a row does not have is null. ``(bag, index)`` of an instance is that of its frame.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from yolact_ros.datasets.coco_data import CocoCategory
from yolact_ros.dependencies import require
from yolact_ros.errors import DataError
from yolact_ros.evaluation.bag.frame import FoundInstance
from yolact_ros.evaluation.bag.scoring.matches import NO_DETECTION, MatchTable
from yolact_ros.evaluation.coco import IouType

__all__ = [
    "FRAME_COLUMNS",
    "INSTANCE_COLUMNS",
    "VERDICTS",
    "FrameTable",
    "InstanceRows",
    "frame_row",
    "frames_from_arrow",
    "frames_to_arrow",
    "join_tables",
    "joined_rows",
    "match_tables",
    "present",
    "read_table",
    "schema",
    "write_table",
]

FRAME_COLUMNS: Mapping[str, tuple[str, str]] = {
    "bag": ("string", "name of the bag: of its folder among the results"),
    "index": ("int64", "position on the image topic, from 0"),
    "stamp_ns": ("int64", "header.stamp, nanoseconds"),
    "time_s": ("float64", "log time since the first frame of the bag, seconds"),
    "processed": ("float64", "1 if the network ran on it, 0 if dropped, unreadable or failed"),
    "result_index": ("float64", "frame whose result the consumer had; -1 for none"),
    "num_instances": ("float64", "detections at or above the operating score threshold"),
    "num_truth": ("float64", "annotated objects; null without truth"),
    "true_positives": ("float64", "detections that match an object at IoU 0.5"),
    "false_positives": ("float64", "detections that match none"),
    "false_negatives": ("float64", "objects that no detection matches"),
    "iou_sum": ("float64", "sum of the IoU of the true positives"),
    "quality": ("float64", "iou_sum / (TP + FP/2 + FN/2); null with nothing to find or found"),
    "steadiness": ("float64", "against the frame before, 0..1"),
    "matched_pairs": ("float64", "instances matched with the frame before"),
    "pair_iou_sum": ("float64", "sum of their IoU"),
    "score_change_sum": ("float64", "sum of their absolute change of score"),
    "blinks": ("float64", "instances that were gone for exactly the frame before"),
    "num_before_last": ("float64", "instances of the frame before the last"),
    "decode_ms": ("float64", "image message to pixels"),
    "preprocess_ms": ("float64", "pixels to network input"),
    "inference_ms": ("float64", "network"),
    "postprocess_ms": ("float64", "NMS and masks"),
    "total_ms": ("float64", "reception to publication; offline the sum of the stages"),
    "wait_ms": ("float64", "reception to start of work"),
    "image_age_ms": ("float64", "age of the image when its result was published"),
    "deadline_met": ("float64", "1 or 0; null without a budget"),
    "degradation": ("float64", "bits as in FrameReport"),
    "input_size_px": ("float64", "side of the network input"),
}
"""Arrow type and meaning of each column of ``frames.parquet``."""

VERDICTS: Mapping[str, tuple[str, str]] = {
    "matched": ("uint16", "bit t set: matched an object at the IoU threshold 0.50 + 0.05 t"),
    "ignored": ("uint16", "bit t set: counts neither as right nor as wrong there"),
    "iou": ("float32", "with the object matched at 0.5; 0 without"),
}
"""What COCO's protocol says about a detection, by masks (``segm_``) and by boxes (``bbox_``)."""

INSTANCE_COLUMNS: Mapping[str, tuple[str, str]] = {
    "bag": ("string", "name of the bag"),
    "index": ("int64", "position of the frame on the image topic"),
    "is_truth": ("bool", "an annotated object; else a detection that counted for the frame"),
    "is_crowd": ("bool", "of a truth: finding something in it is neither right nor wrong"),
    "class_name": ("string", "of the model or of the truth"),
    "category": ("string", "the truth's class that it counts as; null where there is none"),
    "score": ("float64", "0..1; 1 of a truth"),
    "left_px": ("float64", "of the box"),
    "top_px": ("float64", "of the box"),
    "width_px": ("float64", "of the box"),
    "height_px": ("float64", "of the box"),
    "has_mask": ("bool", "the mask itself is in the files of the units"),
    "track_id": ("int64", "0 where it is not tracked"),
    **{
        f"{iou_type}_{name}": (kind, f"{meaning}; null where not scored so")
        for iou_type in ("segm", "bbox")
        for name, (kind, meaning) in VERDICTS.items()
    },
}
"""Arrow type and meaning of each column of ``instances.parquet``."""

BLOCK_ROWS = 4096
_GATHERED = tuple(name for name in INSTANCE_COLUMNS if name[:5] not in ("segm_", "bbox_"))


def schema(columns: Mapping[str, tuple[str, str]]) -> Any:
    """The Arrow schema of a table; each field's metadata says what the column means."""
    arrow = require("pyarrow", extra="bag")
    return arrow.schema(
        [
            arrow.field(name, arrow.type_for_alias(kind), metadata={"meaning": meaning})
            for name, (kind, meaning) in columns.items()
        ]
    )


_NUMBERS = [name for name in FRAME_COLUMNS if name != "bag"]
_TYPE = np.dtype([(name, FRAME_COLUMNS[name][0]) for name in _NUMBERS])

FrameTable = NDArray[np.void]
"""A row a frame with the fields of :data:`FRAME_COLUMNS` but ``bag``; NaN instead of null."""


def frame_row(index: int, stamp_ns: int, **values: float | None) -> FrameTable:
    """A table of one frame; columns that are not named, or None, are NaN."""
    row = np.array([(index, stamp_ns, *[math.nan] * (len(_NUMBERS) - 2))], _TYPE)
    for name, value in values.items():
        row[name] = math.nan if value is None else value
    return row


def joined_rows(rows: Sequence[FrameTable]) -> FrameTable:
    """One table of several, which may be none."""
    return np.concatenate([np.zeros(0, _TYPE), *rows])


def present(frames: FrameTable, name: str) -> NDArray[np.float64]:
    """The numbers of a column that are not NaN."""
    column: NDArray[np.float64] = frames[name]
    return column[~np.isnan(column)]


def frames_to_arrow(frames: FrameTable, bag: str) -> Any:
    """The Arrow table of one bag's frames."""
    arrow = require("pyarrow", extra="bag")
    columns = [arrow.array(frames[name], from_pandas=True) for name in _NUMBERS]
    names = arrow.repeat(bag, len(frames))
    return arrow.table([names, *columns], schema=schema(FRAME_COLUMNS))


def frames_from_arrow(table: Any) -> tuple[FrameTable, list[str]]:
    """The inverse for one or several bags, and the bag of each frame."""
    frames = np.zeros(len(table), _TYPE)
    for name in _NUMBERS:
        frames[name] = table[name].to_numpy()
    return frames, table["bag"].to_pylist()


def write_table(table: Any, path: Path) -> None:
    """Write an Arrow table as Parquet.

    Raises:
        OSError: it cannot be written.
    """
    require("pyarrow.parquet", extra="bag").write_table(table, path, compression="zstd")


def read_table(path: Path, columns: Mapping[str, tuple[str, str]]) -> Any:
    """Read what :func:`write_table` wrote.

    Raises:
        DataError: not readable, or without one of the columns.
    """
    arrow, parquet = (require(name, extra="bag") for name in ("pyarrow", "pyarrow.parquet"))
    try:
        return parquet.read_table(path, columns=list(columns)).select(list(columns))
    except KeyError as error:
        raise DataError(f"{path}: of another version of this program; evaluate again") from error
    except (arrow.ArrowException, OSError) as error:
        raise DataError(f"{path}: cannot be read: {' '.join(str(error).split())}") from error


def join_tables(parts: Iterable[Path], path: Path) -> None:
    """One Parquet file of several with the same columns, a part in memory at a time."""
    parquet = require("pyarrow.parquet", extra="bag")
    writer: Any = None
    for part in parts:
        table = parquet.read_table(part)
        writer = writer or parquet.ParquetWriter(path, table.schema, compression="zstd")
        writer.write_table(table)
    if writer is not None:
        writer.close()


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
