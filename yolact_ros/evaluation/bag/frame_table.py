"""Numbers of every frame, a row each: for plots, comparison and people (CSV)."""

from __future__ import annotations

import csv
import math
from array import array
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from yolact_ros.errors import DataError

__all__ = ["COLUMNS", "FrameTable"]

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


class FrameTable:
    """Columns of numbers, NaN where a frame has none; about 230 bytes a frame."""

    def __init__(self) -> None:
        self._columns: dict[str, array[float]] = {
            name: array("q" if name in _WHOLE else "d") for name in COLUMNS
        }

    def append(self, index: int, stamp_ns: int, **values: float | None) -> None:
        """Add a frame; columns that are not named are NaN.

        Raises:
            KeyError: no such column.
        """
        unknown = set(values) - set(COLUMNS)
        if unknown:
            raise KeyError(f"no column {sorted(unknown)}")
        self._columns["index"].append(index)
        self._columns["stamp_ns"].append(stamp_ns)
        for name, column in self._columns.items():
            if name not in _WHOLE:
                value = values.get(name)
                column.append(math.nan if value is None else float(value))

    def set_column(self, name: str, values: NDArray[np.float64]) -> None:
        """Replace a column by float64[n]."""
        if len(values) != len(self):
            raise ValueError(f"{len(values)} values for {len(self)} frames")
        self._columns[name] = array("d", np.asarray(values, np.float64).tobytes())

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        """A column, float64[n] (``stamp_ns`` and ``index`` int64[n])."""
        column = self._columns[name]
        return np.frombuffer(column, dtype=np.int64 if name in _WHOLE else np.float64)

    def __len__(self) -> int:
        return len(self._columns["index"])

    def present(self, name: str) -> NDArray[np.float64]:
        """The numbers of a column that are not NaN."""
        column = self[name]
        return column[~np.isnan(column)]

    def write_csv(self, path: Path) -> None:
        """Write all columns; NaN is an empty field."""
        with path.open("w", newline="", encoding="utf-8") as stream:
            rows = csv.writer(stream)
            rows.writerow(COLUMNS)
            for row in zip(*self._columns.values(), strict=True):
                rows.writerow([_text(value) for value in row])

    @classmethod
    def read_csv(cls, path: Path) -> FrameTable:
        """Read what :meth:`write_csv` wrote.

        Raises:
            DataError: not readable, or other columns.
        """
        table = cls()
        try:
            with path.open(newline="", encoding="utf-8") as stream:
                rows = csv.reader(stream)
                names = next(rows, [])
                if list(names) != list(COLUMNS):
                    raise DataError(f"{path}: not a table of frames, or of another version")
                for row in rows:
                    for name, text in zip(names, row, strict=True):
                        if name in _WHOLE:
                            table._columns[name].append(int(text))
                        else:
                            table._columns[name].append(float(text) if text else math.nan)
        except OSError as error:
            raise DataError(f"{path}: cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise DataError(f"{path}: not a table of frames: {error}") from error
        return table


def _text(value: float) -> str:
    if isinstance(value, int):
        return str(value)
    if math.isnan(value):
        return ""
    return f"{value:.6g}" if value != int(value) else str(int(value))
