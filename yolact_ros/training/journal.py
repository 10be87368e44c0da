"""What a run writes down while it goes: a CSV, TensorBoard events and lines for the terminal."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from yolact_ros.evaluation.output_folder import write_text

__all__ = ["Journal", "open_tensorboard"]


class Journal:
    """Rows of numbers by step, in ``<folder>/<name>.csv`` and in TensorBoard if it is there.

    Args:
        first_step: rows of later steps are dropped: a resumed run writes them again.
    """

    def __init__(self, folder: Path, name: str, first_step: int, tensorboard: Any = None) -> None:
        self._path = folder / f"{name}.csv"
        self._name = name
        self._tensorboard = tensorboard
        self._columns: list[str] = []
        if self._path.exists():
            rows = list(csv.DictReader(io.StringIO(self._path.read_text(encoding="utf-8"))))
            kept = [row for row in rows if int(row["step"]) <= first_step]
            if rows:
                self._columns = list(rows[0])
                write_text(self._path, _table(self._columns, kept))

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Append one row; columns are those of the first row ever written."""
        if not self._columns:
            self._columns = ["step", *values]
            write_text(self._path, _table(self._columns, []))
        row = {"step": step, **{key: f"{value:.6g}" for key, value in values.items()}}
        with self._path.open("a", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, self._columns, restval="", extrasaction="ignore")
            writer.writerow(row)
        if self._tensorboard is not None:
            for key, value in values.items():
                self._tensorboard.add_scalar(f"{self._name}/{key}", value, step)
            self._tensorboard.flush()


def open_tensorboard(folder: Path, first_step: int) -> Any:
    """TensorBoard's event writer, or None where the package is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder / "tensorboard"), purge_step=first_step)


def _table(columns: list[str], rows: list[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
