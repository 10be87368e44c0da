"""Records of frames on disk: written as they come, found again after a kill."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from yolact_ros.errors import DataError
from yolact_ros.evaluation.bag.frame import FrameRecord

if TYPE_CHECKING:
    from typing_extensions import Self  # of typing from Python 3.11 on

__all__ = ["Journal", "JournalWriter"]

PATTERN = "frames-*.jsonl"
# The first field of every record; parsing whole lines would take seconds for a long bag.
_INDEX = re.compile(rb'\{"index":(\d+),')


class JournalWriter:
    """Appends records to one file; a process has its own file, so that none waits for another.

    Args:
        folder: of the evaluation.
        part: number of the process.
        header: what the records were made with; see :class:`Journal`.
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

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Journal:
    """All records of a folder, read one at a time by their frame's index.

    Args:
        folder: of the evaluation.
        header: expected first line of every file; None accepts any.

    Raises:
        DataError: a file was made with another header (model, settings or bag), or is damaged.
    """

    def __init__(self, folder: Path, header: Mapping[str, Any] | None = None) -> None:
        self._folder = folder
        self._places: dict[int, tuple[Path, int]] = {}
        self._open_files: dict[Path, IO[bytes]] = {}
        self.header: Mapping[str, Any] = {} if header is None else header
        for path in sorted(folder.glob(PATTERN)):
            self._index(path, header)

    def _index(self, path: Path, expected: Mapping[str, Any] | None) -> None:
        with path.open("rb") as stream:
            first = stream.readline()
            if not first.endswith(b"\n"):
                return
            header = _parse(first, path, 0)
            if expected is not None and header != json.loads(json.dumps(expected)):
                changed = sorted(
                    key for key in {*header, *expected} if header.get(key) != expected.get(key)
                )
                raise DataError(
                    f"{self._folder} holds the results of another evaluation (different: "
                    f"{', '.join(changed)}); choose another --output, or --overwrite"
                )
            self.header = header
            while True:
                offset = stream.tell()
                line = stream.readline()
                if not line.endswith(b"\n"):
                    return
                found = _INDEX.match(line)
                if found is None:
                    raise DataError(f"{path} byte {offset}: not a frame's record: {line[:40]!r}")
                self._places[int(found[1])] = (path, offset)

    @property
    def indices(self) -> frozenset[int]:
        """Frames that have a record."""
        return frozenset(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[FrameRecord]:
        """Records by index."""
        for index in sorted(self._places):
            yield self.read(index)

    def read(self, index: int) -> FrameRecord:
        """The record of one frame.

        Raises:
            KeyError: it has none.
            DataError: its line is damaged.
        """
        path, offset = self._places[index]
        stream = self._open_files.get(path)
        if stream is None:
            stream = self._open_files[path] = path.open("rb")
        stream.seek(offset)
        try:
            return FrameRecord.from_dict(_parse(stream.readline(), path, offset))
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise DataError(f"{path} byte {offset}: not a frame's record: {error}") from error

    def close(self) -> None:
        """Close the files."""
        for stream in self._open_files.values():
            stream.close()
        self._open_files.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _parse(line: bytes, path: Path, offset: int) -> dict[str, Any]:
    try:
        values = json.loads(line)
    except ValueError as error:
        raise DataError(
            f"{path} byte {offset}: damaged ({error}); delete it to evaluate its frames again"
        ) from error
    if not isinstance(values, dict):
        raise DataError(f"{path} byte {offset}: not a record")
    return values


def _cut_half_line(path: Path) -> None:
    """Remove what a killed process left of its last line."""
    with path.open("r+b") as stream:
        end = stream.seek(0, 2)
        while end > 0:
            start = max(end - 65536, 0)
            stream.seek(start)
            newline = stream.read(end - start).rfind(b"\n")
            if newline >= 0:
                stream.truncate(start + newline + 1)
                return
            end = start
        stream.truncate(0)
