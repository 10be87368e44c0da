"""Records of frames as Parquet: what a work unit leaves, and what the next start goes on from."""

from __future__ import annotations

import bisect
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from functools import lru_cache
from itertools import accumulate, islice
from pathlib import Path
from typing import Any

from yolact_ros.dependencies import require
from yolact_ros.errors import DataError
from yolact_ros.evaluation.bag.frame import FoundInstance, FrameRecord, FrameTiming
from yolact_ros.evaluation.bag.problems import ProblemLog
from yolact_ros.evaluation.bag.reading.messages import Segment

__all__ = ["FrameRecords", "PackedRecords", "pack_records", "read_header", "unit_files"]

UNITS_FOLDER = "units"
# Frames that are in memory at once, and a row group of a file.
BLOCK_FRAMES = 256
_HEADER, _SEGMENT, _PROBLEMS = b"yolact_header", b"yolact_segment", b"yolact_problems"


@lru_cache
def _schema() -> Any:
    """A row a frame, in order; fields as in :class:`FrameRecord` without ``index``."""
    arrow = require("pyarrow", extra="bag")
    real = arrow.float64()
    types = {
        "int": arrow.int64(),
        "float": real,
        "float | None": real,
        "bool": arrow.bool_(),
        "str": arrow.string(),
        "tuple[float, float, float, float]": arrow.list_(real, 4),
        "Mapping[str, float]": arrow.map_(arrow.string(), real),
    }

    def columns(of: type) -> dict[str, Any]:
        return {field.name: types[str(field.type)] for field in fields(of)}

    types["FrameTiming | None"] = arrow.struct(columns(FrameTiming))
    types["tuple[FoundInstance, ...]"] = arrow.list_(arrow.struct(columns(FoundInstance)))
    return arrow.schema({n: kind for n, kind in columns(FrameRecord).items() if n != "index"})


PackedRecords = tuple[bytes, int]
"""The records of a unit on their way to the folder: a Parquet file, and how many there are."""


def pack_records(
    records: Iterable[FrameRecord],
    header: Mapping[str, Any],
    segment: Segment,
    problems: ProblemLog,
) -> PackedRecords:
    """The records as a Parquet file, made block by block.

    Args:
        records: in the order of the topic, without gaps.
        header: what decides them: model, settings and bag.
        segment: of the bag.
        problems: complete when the last record has come.
    """
    arrow, parquet = (require(name, extra="bag") for name in ("pyarrow", "pyarrow.parquet"))
    buffer, count = io.BytesIO(), 0
    source = iter(records)
    with parquet.ParquetWriter(buffer, _schema(), compression="zstd") as writer:
        while block := [_row(record) for record in islice(source, BLOCK_FRAMES)]:
            writer.write_table(arrow.Table.from_pylist(block, _schema()))
            count += len(block)
        writer.add_key_value_metadata(
            {
                _HEADER: json.dumps(header),
                _SEGMENT: json.dumps(vars(segment)),
                _PROBLEMS: json.dumps(problems.to_dict()),
            }
        )
    return buffer.getvalue(), count


def unit_files(folder: Path) -> list[Path]:
    """Files of the finished units of an evaluation, in the order of their frames."""
    return sorted((folder / UNITS_FOLDER).glob("*.parquet"))


def read_header(file: Path) -> tuple[Mapping[str, Any], Segment, int]:
    """What the records of a unit were made with, of which segment, and how many there are.

    Raises:
        DataError: no such file.
    """
    metadata, num_frames = _metadata(file)
    return json.loads(metadata[_HEADER]), Segment(**json.loads(metadata[_SEGMENT])), num_frames


class FrameRecords:
    """All records of an evaluation, by index; a block of them is in memory at a time.

    Args:
        files: of its units in the order of their frames, as paths or content.

    Attributes:
        problems: of reading the bag.

    Raises:
        DataError: a file is damaged; also while reading.
    """

    def __init__(self, files: Sequence[Path | bytes]) -> None:
        self._files = files
        self.problems = ProblemLog()
        counts = []
        for file in files:
            metadata, num_frames = _metadata(file)
            counts.append(num_frames)
            self.problems.extend(ProblemLog(**json.loads(metadata[_PROBLEMS])))
        self._ends = list(accumulate(counts))
        self._block = range(0)
        self._records: list[FrameRecord] = []

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __iter__(self) -> Iterator[FrameRecord]:
        return map(self.read, range(len(self)))

    def read(self, index: int) -> FrameRecord:
        """The record of one frame."""
        if index not in self._block:
            number = bisect.bisect_right(self._ends, index)
            first = self._ends[number - 1] if number else 0
            group = (index - first) // BLOCK_FRAMES
            start = first + group * BLOCK_FRAMES
            with _opened(self._files[number]) as opened:
                rows = opened.read_row_group(group).to_pylist()
            self._records = [_record(start + n, row) for n, row in enumerate(rows)]
            self._block = range(start, start + len(rows))
        return self._records[index - self._block.start]


def _row(record: FrameRecord) -> dict[str, Any]:
    return {
        **vars(record),
        "instances": [vars(found) for found in record.instances],
        "times_ms": [(name, round(value, 3)) for name, value in record.times_ms.items()],
        "timing": record.timing and vars(record.timing),
    }


def _record(index: int, row: dict[str, Any]) -> FrameRecord:
    instances = tuple(
        FoundInstance(**{**found, "bbox_xywh": tuple(found["bbox_xywh"])})
        for found in row["instances"]
    )
    timing = row["timing"] and FrameTiming(**row["timing"])
    changed = {"instances": instances, "times_ms": dict(row["times_ms"]), "timing": timing}
    return FrameRecord(index, **{**row, **changed})


@contextmanager
def _opened(file: Path | bytes) -> Iterator[Any]:
    arrow, parquet = (require(name, extra="bag") for name in ("pyarrow", "pyarrow.parquet"))
    try:
        with parquet.ParquetFile(io.BytesIO(file) if isinstance(file, bytes) else file) as opened:
            yield opened
    except (arrow.ArrowException, OSError) as error:
        raise DataError(
            f"{file if isinstance(file, Path) else 'a unit'}: damaged "
            f"({' '.join(str(error).split())}); delete it to evaluate its frames again"
        ) from error


def _metadata(file: Path | bytes) -> tuple[Mapping[bytes, bytes], int]:
    with _opened(file) as opened:
        metadata = opened.metadata.metadata or {}
        if _HEADER not in metadata:
            raise DataError(f"{file!s:.200}: not the records of an evaluation; delete it")
        return metadata, opened.metadata.num_rows
