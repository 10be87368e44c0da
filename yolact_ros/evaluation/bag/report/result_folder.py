"""The files of an evaluation: metrics.json, frames.parquet, instances.parquet, report.html."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from yolact_ros.datasets.json_file import read_json
from yolact_ros.dependencies import require
from yolact_ros.errors import DataError
from yolact_ros.evaluation.bag.scoring.matches import MatchTable
from yolact_ros.evaluation.bag.scoring.tables import (
    FRAME_COLUMNS,
    INSTANCE_COLUMNS,
    frames_from_arrow,
    join_tables,
    match_tables,
    read_table,
    write_table,
)
from yolact_ros.evaluation.coco import IouType
from yolact_ros.evaluation.output_folder import write_json, write_text

__all__ = ["METRICS_FILE", "ResultFolder"]

METRICS_FILE, FRAMES, INSTANCES = "metrics.json", "frames.parquet", "instances.parquet"
FORMAT = 3


class ResultFolder:
    """A finished evaluation, read back for comparison; named by its folder or metrics.json.

    Attributes:
        path: of the folder.
        metrics: content of metrics.json.
        frames: a row a frame.
        bags: name of the bag of each row.

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
        self.frames, self.bags = frames_from_arrow(read_table(self.path / FRAMES, FRAME_COLUMNS))

    @cached_property
    def matches(self) -> dict[IouType, MatchTable]:
        """Verdicts by IoU type, area range "all", with rows of ``frames``; empty without truth.

        Raises:
            DataError: the table of instances cannot be read.
        """
        table = read_table(self.path / INSTANCES, INSTANCE_COLUMNS)
        firsts = {bag: row for row, bag in reversed(list(enumerate(self.bags)))}
        return match_tables(table, firsts)

    @staticmethod
    def write(
        path: Path, metrics: Mapping[str, Any], frames: Any, instances: Any, report: str
    ) -> None:
        """Write all files; metrics.json, which makes the evaluation a finished one, last.

        Raises:
            DataError, ConfigError: the folder cannot be written.
        """
        try:
            path.mkdir(parents=True, exist_ok=True)
            write_table(frames, path / FRAMES)
            write_table(instances, path / INSTANCES)
            require("pyarrow.csv", extra="bag").write_csv(frames, path / "frames.csv")
        except OSError as error:
            raise DataError(f"{path}: cannot be written: {error}") from error
        _write_pages(path, metrics, report)

    @staticmethod
    def write_joined(
        path: Path, metrics: Mapping[str, Any], parts: Sequence[Path], report: str
    ) -> None:
        """Write the files about several bags, whose own folders are ``parts``.

        Raises:
            DataError, ConfigError: the folder cannot be written.
        """
        try:
            for name in (FRAMES, INSTANCES):
                join_tables([part / name for part in parts], path / name)
        except OSError as error:
            raise DataError(f"{path}: cannot be written: {error}") from error
        _write_pages(path, metrics, report)


def _write_pages(path: Path, metrics: Mapping[str, Any], report: str) -> None:
    write_text(path / "report.html", report)
    write_json(path / METRICS_FILE, {"format": FORMAT, **metrics})
