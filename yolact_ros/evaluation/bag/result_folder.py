"""The files of an evaluation: metrics.json, frames.csv, matches.npz, report.html."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from yolact_ros.datasets.json_file import read_json
from yolact_ros.errors import DataError
from yolact_ros.evaluation.bag.frame_table import read_frame_csv, write_frame_csv
from yolact_ros.evaluation.bag.matches import MatchTable
from yolact_ros.evaluation.bag.score import BagScore
from yolact_ros.evaluation.coco import IouType
from yolact_ros.evaluation.output_folder import write_json, write_text

__all__ = ["METRICS_FILE", "ResultFolder"]

METRICS_FILE, FRAMES_FILE = "metrics.json", "frames.csv"
MATCHES_FILE, REPORT_FILE = "matches.npz", "report.html"
FORMAT = 2


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
        self.frames = read_frame_csv(self.path / FRAMES_FILE)
        self.matches: dict[IouType, MatchTable] = {}
        matches_file = self.path / MATCHES_FILE
        if matches_file.is_file():
            try:
                with np.load(matches_file, allow_pickle=False) as arrays:
                    for iou_type in ("segm", "bbox"):
                        if f"{iou_type}_detections" in arrays:
                            self.matches[iou_type] = MatchTable(
                                arrays[f"{iou_type}_detections"], arrays[f"{iou_type}_objects"]
                            )
            except (OSError, ValueError, KeyError) as error:
                raise DataError(f"{matches_file}: damaged: {error}") from error

    @staticmethod
    def write(path: Path, metrics: Mapping[str, Any], score: BagScore, report: str) -> None:
        """Write all files; metrics.json, which makes the evaluation a finished one, last.

        Raises:
            DataError, ConfigError: the folder cannot be written.
        """
        arrays: dict[str, Any] = {}
        for iou_type, tables in score.matches.items():
            arrays[f"{iou_type}_detections"] = tables["all"].detections
            arrays[f"{iou_type}_objects"] = tables["all"].objects
        try:
            path.mkdir(parents=True, exist_ok=True)
            write_frame_csv(score.frames, path / FRAMES_FILE)
            (path / MATCHES_FILE).unlink(missing_ok=True)
            if arrays:
                np.savez_compressed(path / MATCHES_FILE, **arrays)
        except OSError as error:
            raise DataError(f"{path}: cannot be written: {error}") from error
        write_text(path / REPORT_FILE, report)
        write_json(path / METRICS_FILE, {"format": FORMAT, **metrics})
