"""The files of an evaluation: metrics.json, frames.csv, matches.npz, report.html."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from yolact_ros.datasets.json_file import read_json
from yolact_ros.errors import DataError
from yolact_ros.evaluation.bag.frame_table import FrameTable
from yolact_ros.evaluation.bag.matches import MatchTable
from yolact_ros.evaluation.coco import IouType

__all__ = ["METRICS_FILE", "ResultFolder", "write_text"]

METRICS_FILE, FRAMES_FILE = "metrics.json", "frames.csv"
MATCHES_FILE, REPORT_FILE = "matches.npz", "report.html"
FORMAT = 1


class ResultFolder:
    """A finished evaluation, read back for comparison.

    Args:
        path: of the folder, or of its metrics.json.

    Attributes:
        path: of the folder.
        metrics: content of metrics.json.
        frames: a row a frame.
        matches: verdicts by IoU type, area range "all"; empty without truth.

    Raises:
        DataError: not the folder of a finished evaluation.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.parent if path.name == METRICS_FILE else path
        file = self.path / METRICS_FILE
        if not file.is_file():
            raise DataError(
                f"{path}: no {METRICS_FILE} there; name the --output folder of a finished "
                "`yolact bag evaluate`"
            )
        self.metrics: Mapping[str, Any] = read_json(file)
        if self.metrics.get("format") != FORMAT:
            raise DataError(f"{file}: of another version of this program; evaluate again")
        self.frames = FrameTable.read_csv(self.path / FRAMES_FILE)
        self.matches: dict[IouType, MatchTable] = {}
        matches_file = self.path / MATCHES_FILE
        if matches_file.is_file():
            try:
                with np.load(matches_file, allow_pickle=False) as arrays:
                    for iou_type in ("segm", "bbox"):
                        if f"{iou_type}_frame" in arrays:
                            self.matches[iou_type] = MatchTable.from_arrays(arrays, f"{iou_type}_")
            except (OSError, ValueError, KeyError) as error:
                raise DataError(f"{matches_file}: damaged: {error}") from error

    @staticmethod
    def write(
        path: Path,
        metrics: Mapping[str, Any],
        frames: FrameTable,
        matches: Mapping[IouType, Mapping[str, MatchTable]],
        report: str,
    ) -> None:
        """Write all files; metrics.json, which makes the evaluation a finished one, last.

        Raises:
            DataError: the folder cannot be written.
        """
        try:
            path.mkdir(parents=True, exist_ok=True)
            frames.write_csv(path / FRAMES_FILE)
            arrays: dict[str, Any] = {}
            for iou_type, tables in matches.items():
                arrays |= tables["all"].to_arrays(f"{iou_type}_")
            (path / MATCHES_FILE).unlink(missing_ok=True)
            if arrays:
                np.savez_compressed(path / MATCHES_FILE, **arrays)
            write_text(path / REPORT_FILE, report)
            write_text(
                path / METRICS_FILE, json.dumps({"format": FORMAT, **metrics}, indent=1) + "\n"
            )
        except OSError as error:
            raise DataError(f"{path}: cannot be written: {error}") from error


def write_text(path: Path, text: str) -> None:
    """Write a file atomically."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)
