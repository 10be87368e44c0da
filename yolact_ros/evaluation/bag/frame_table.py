"""Numbers of every frame, a row each: for plots, comparison and people (CSV)."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from yolact_ros.errors import DataError

__all__ = [
    "COLUMNS",
    "FrameTable",
    "frame_row",
    "joined_rows",
    "present",
    "read_frame_csv",
    "write_frame_csv",
]

COLUMNS: Mapping[str, str] = {
    "index": "position on the image topic, from 0",
    "stamp_ns": "header.stamp, nanoseconds",
    "time_s": "log time since the first frame, seconds",
    "processed": "1 if the network ran on it, 0 if dropped, unreadable or failed",
    "result_index": "frame whose result the consumer had; -1 for none",
    "num_instances": "detections at or above the operating score threshold",
    "num_truth": "annotated objects; empty without truth",
    "true_positives": "detections that match an object at IoU 0.5",
    "false_positives": "detections that match none",
    "false_negatives": "objects that no detection matches",
    "iou_sum": "sum of the IoU of the true positives",
    "quality": "iou_sum / (TP + FP/2 + FN/2); empty where there is nothing to find or found",
    "steadiness": "against the frame before, 0..1",
    "matched_pairs": "instances matched with the frame before",
    "pair_iou_sum": "sum of their IoU",
    "score_change_sum": "sum of their absolute change of score",
    "blinks": "instances that were gone for exactly the frame before",
    "num_before_last": "instances of the frame before the last",
    "decode_ms": "image message to pixels",
    "preprocess_ms": "pixels to network input",
    "inference_ms": "network",
    "postprocess_ms": "NMS and masks",
    "total_ms": "reception to publication; offline the sum of the stages",
    "wait_ms": "reception to start of work",
    "image_age_ms": "age of the image when its result was published",
    "deadline_met": "1 or 0; empty without a budget",
    "degradation": "bits as in FrameReport",
    "input_size_px": "side of the network input",
}
_WHOLE = ("index", "stamp_ns")
_TYPE = np.dtype([(name, np.int64 if name in _WHOLE else np.float64) for name in COLUMNS])

FrameTable = NDArray[np.void]
"""A row a frame with the fields of :data:`COLUMNS`; NaN where a frame has no number."""


def frame_row(index: int, stamp_ns: int, **values: float | None) -> FrameTable:
    """A table of one frame; columns that are not named, or None, are NaN."""
    row = np.array([(index, stamp_ns, *[math.nan] * (len(COLUMNS) - 2))], _TYPE)
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


def write_frame_csv(frames: FrameTable, path: Path) -> None:
    """Write all columns; NaN is an empty field."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        writer.writerows([_text(value) for value in row] for row in frames.tolist())


def read_frame_csv(path: Path) -> FrameTable:
    """Read what :func:`write_frame_csv` wrote.

    Raises:
        DataError: not readable, or other columns.
    """
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            reader = csv.reader(stream)
            if next(reader, []) != list(COLUMNS):
                raise DataError(f"{path}: not a table of frames, or of another version")
            return np.array([_values(row) for row in reader], _TYPE)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise DataError(f"{path}: not a table of frames: {error}") from error


def _text(value: float) -> str:
    if isinstance(value, int):
        return str(value)
    if math.isnan(value):
        return ""
    return f"{value:.6g}" if value != int(value) else str(int(value))


def _values(row: Sequence[str]) -> tuple[float, ...]:
    pairs = zip(COLUMNS, row, strict=True)
    return tuple(int(text) if name in _WHOLE else float(text or "nan") for name, text in pairs)
