"""Records of frames on disk: written as they come, found again after a kill."""

from __future__ import annotations

import json
import mmap
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from yolact_ros.errors import DataError
from yolact_ros.evaluation.bag.frame import FrameRecord

if TYPE_CHECKING:
    from typing_extensions import Self  # of typing from Python 3.11 on

__all__ = ["PATTERN", "FrameRecords", "RecordWriter"]

PATTERN = "frames-*.jsonl"
# The first field of every record; parsing whole lines would take seconds for a long bag.
_INDEX = re.compile(rb'\{"index":(\d+),')


class RecordWriter:
    """Appends records to one file; a process has its own file, so that none waits for another.

    Args:
        folder: of the evaluation.
        part: number of the process.
        header: what the records were made with; see :class:`FrameRecords`.
    """

    def __init__(self, folder: Path, part: int, header: Mapping[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"frames-{part}.jsonl"
        if path.exists():
            _cut_half_line(path)
        self._stream: IO[str] = path.open("a", encoding="utf-8")
        if self._stream.tell() == 0:
            self._write(header)

    def append(self, record: FrameRecord) -> None:
        """Write one record; it survives a kill of this process that comes later."""
        self._write(record.to_dict())

    def _write(self, values: Mapping[str, Any]) -> None:
        self._stream.write(json.dumps(values, separators=(",", ":")) + "\n")
        self._stream.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()


class FrameRecords:
    """All records of a folder, read one at a time by their frame's index.

    Args:
        folder: of the evaluation.
        header: expected first line of every file; None accepts any.

    Attributes:
        indices: frames that have a record, in order.

    Raises:
        DataError: a file was made with another header (model, settings or bag), or is damaged.
    """

    def __init__(self, folder: Path, header: Mapping[str, Any] | None = None) -> None:
        self._places: dict[int, tuple[Path, int]] = {}
        self._open_files: dict[Path, IO[bytes]] = {}
        for path in sorted(folder.glob(PATTERN)):
            self._index(path, header)
        self.indices = sorted(self._places)

    def _index(self, path: Path, expected: Mapping[str, Any] | None) -> None:
        offset = 0
        with path.open("rb") as stream:
            for line in stream:
                if not line.endswith(b"\n"):
                    return  # what a kill left of a record
                found = _INDEX.match(line)
                if found is not None:
                    self._places[int(found[1])] = (path, offset)
                elif offset:
                    raise DataError(f"{path} byte {offset}: not a frame's record: {line[:40]!r}")
                elif expected is not None:
                    _check_header(_parse(line, path, 0), expected, path.parent)
                offset += len(line)

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[FrameRecord]:
        """Records by index."""
        return map(self.read, self.indices)

    def read(self, index: int) -> FrameRecord:
        """The record of one frame.

        Raises:
            KeyError: it has none.
            DataError: its line is damaged.
        """
        path, offset = self._places[index]
        if path not in self._open_files:
            self._open_files[path] = path.open("rb")
        stream = self._open_files[path]
        stream.seek(offset)
        try:
            return FrameRecord.from_dict(_parse(stream.readline(), path, offset))
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{path} byte {offset}: not a frame's record: {error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for stream in self._open_files.values():
            stream.close()


def _check_header(found: Mapping[str, Any], expected: Mapping[str, Any], folder: Path) -> None:
    expected = json.loads(json.dumps(expected))
    changed = sorted(key for key in {*found, *expected} if found.get(key) != expected.get(key))
    if changed:
        raise DataError(
            f"{folder} holds the results of another evaluation (different: {', '.join(changed)}); "
            "choose another --output, or --overwrite"
        )


def _parse(line: bytes, path: Path, offset: int) -> dict[str, Any]:
    try:
        return dict(json.loads(line))
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{path} byte {offset}: damaged ({error}); delete it to evaluate its frames again"
        ) from error


def _cut_half_line(path: Path) -> None:
    """Remove what a killed process left of its last line."""
    if path.stat().st_size:
        with path.open("r+b") as stream, mmap.mmap(stream.fileno(), 0) as content:
            end = content.rfind(b"\n") + 1
        with path.open("r+b") as stream:
            stream.truncate(end)
