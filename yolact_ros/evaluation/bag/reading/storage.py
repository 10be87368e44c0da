"""One bag: through rosbags where it is sound, through the salvage readers where it is not."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from yolact_ros.dependencies import require
from yolact_ros.errors import DataError, StorageError, YolactError
from yolact_ros.evaluation.bag.problems import ProblemLog
from yolact_ros.evaluation.bag.reading.compression import decompress_file, decompress_zstd, is_zstd
from yolact_ros.evaluation.bag.reading.local_copy import local_copies
from yolact_ros.evaluation.bag.reading.location import BagPath, RemotePath
from yolact_ros.evaluation.bag.reading.messages import BagTopic, RawMessage
from yolact_ros.evaluation.bag.reading.salvage_mcap import McapSalvage
from yolact_ros.evaluation.bag.reading.salvage_sqlite import SqliteSalvage
from yolact_ros.inference.sources import natural_order

__all__ = ["Bag"]

STORAGE_SUFFIXES = (".mcap", ".db3")
FILE_COMPRESSION_SUFFIX = ".zstd"


class Bag:
    """Messages of a rosbag2 folder or of one ``.mcap`` or ``.db3`` file, in order of recording.

    A bag that is cut off, has lost its metadata.yaml or has broken parts is read as far as it
    can be; ``problems`` lists the rest with its place. Use as a context manager.

    Of a remote bag ranges are read. SQLite cannot do so: such a bag is copied (:mod:`local_copy`).

    Attributes:
        path: of the bag, or its address.
        topics: by name.
        problems: what could not be read so far.

    Raises:
        DataError: no such bag, or nothing in it can be read.
        StorageError: its storage does not answer or does not allow it; also while reading.
        DependencyError: rosbags is not installed.
    """

    def __init__(self, path: BagPath) -> None:
        self.path = path
        self._source = path
        """What is read: ``path``, or a copy of it."""
        self.problems = ProblemLog()
        self._reader: Any = None
        self._salvage: list[McapSalvage | SqliteSalvage] = []
        self._temporary = ExitStack()
        try:
            self._open()
            self.topics: dict[str, BagTopic] = self._list_topics()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        self._check_readable()
        self._copy_sqlite()
        try:
            self._open_reader()
        except YolactError:
            raise
        except OSError as error:
            raise DataError(f"{self.path}: cannot be read: {error}") from error
        except Exception as error:
            # rosbags raises its own errors for what it checks and any other for what it does not.
            self.problems.add("damaged bag", str(self.path), f"{_one_line(error)}; salvaging it")
            self._open_salvage()

    def _copy_sqlite(self) -> None:
        files = [file for file in self._storage_files() if isinstance(file, RemotePath)]
        if any(file.name.removesuffix(FILE_COMPRESSION_SUFFIX).endswith(".db3") for file in files):
            metadata = self.path / "metadata.yaml"
            if isinstance(metadata, RemotePath) and self.path.is_dir() and metadata.is_file():
                files.append(metadata)
            folder = self._temporary.enter_context(local_copies(files))
            self._source = folder if self.path.is_dir() else folder / self.path.name

    def _check_readable(self) -> None:
        if not self.path.exists():
            raise DataError(f"{self.path}: no such bag; expected a folder, a .mcap or a .db3 file")
        if not self.path.is_dir() and self.path.suffix not in STORAGE_SUFFIXES:
            cure = "convert it with rosbags-convert" if self.path.suffix == ".bag" else ""
            raise DataError(
                f"{self.path}: not a rosbag2 recording; expected a folder with metadata.yaml, a "
                f".mcap or a .db3 file{'; ' + cure if cure else ''}"
            )
        if self.path.is_dir() and not self._storage_files():
            raise DataError(f"{self.path}: no .mcap or .db3 file in this folder; is it a bag?")
        for file in self._storage_files():
            log = Path(f"{file}-wal")
            if isinstance(file, Path) and log.is_file() and log.stat().st_size:
                self.problems.add(
                    "unmerged log",
                    log.name,
                    "the recorder was killed; run `sqlite3 FILE 'PRAGMA wal_checkpoint'` to "
                    "recover the last messages",
                )

    def _open_reader(self) -> None:
        rosbag2 = require("rosbags.rosbag2", extra="bag")
        if self._source.is_dir() and not (self._source / "metadata.yaml").is_file():
            self.problems.add(
                "missing metadata",
                f"{self.path.name}/metadata.yaml",
                "reading the storage files directly; `ros2 bag reindex` writes it anew",
            )
            files = self._storage_files()
            if len(files) > 1 or files[0].suffix == FILE_COMPRESSION_SUFFIX:
                self._open_salvage()
                return
            self._reader = rosbag2.Reader(files[0])
        else:
            self._reader = rosbag2.Reader(self._source)
        self._reader.open()

    def _storage_files(self) -> list[BagPath]:
        if not self._source.is_dir():
            return [self._source]
        files = [
            file
            for file in self._source.iterdir()
            if file.name.removesuffix(FILE_COMPRESSION_SUFFIX).endswith(STORAGE_SUFFIXES)
        ]
        # bag_2.mcap before bag_10.mcap, as the recorder numbers the parts of a bag.
        return sorted(files, key=lambda file: natural_order(file.name))

    def _open_salvage(self) -> None:
        self._reader = None
        reasons = []
        for file in self._storage_files():
            try:
                self._salvage.append(self._open_file(file))
            except StorageError:
                raise
            except (DataError, OSError) as error:
                reasons.append(str(error))
                self.problems.add("unreadable file", file.name, str(error))
        if not self._salvage:
            raise DataError(f"{self.path}: nothing in it can be read: {'; '.join(reasons)}")

    def _open_file(self, file: BagPath) -> McapSalvage | SqliteSalvage:
        if file.suffix == FILE_COMPRESSION_SUFFIX:
            folder = tempfile.TemporaryDirectory(prefix="yolact_bag_")
            plain = Path(self._temporary.enter_context(folder), file.stem)
            if not decompress_file(file, plain):
                self.problems.add("truncated file", file.name, "decompressed as far as it goes")
            file = plain
        if file.suffix == ".mcap":
            return McapSalvage(file, self.problems)
        assert isinstance(file, Path)
        return SqliteSalvage(file, self.problems)

    def _list_topics(self) -> dict[str, BagTopic]:
        if self._reader is None:
            topics: dict[str, BagTopic] = {}
            for storage in self._salvage:
                for topic in storage.topics.values():
                    topics.setdefault(topic.name, topic)
            return topics
        return {
            connection.topic: self._topic_of(connection) for connection in self._reader.connections
        }

    def _topic_of(self, connection: Any) -> BagTopic:
        return BagTopic(
            connection.topic,
            connection.msgtype,
            self._reader.topics[connection.topic].msgcount,
            connection.msgdef.data,
            connection.msgdef.format.name == "IDL",
        )

    @property
    def time_range_ns(self) -> tuple[int, int] | None:
        """Log times of the first and the last message; None where damage hides them."""
        if self._reader is None:
            return None
        return int(self._reader.start_time), int(self._reader.end_time)

    def messages(
        self,
        topic_names: Collection[str],
        start_ns: int | None = None,
        stop_ns: int | None = None,
    ) -> Iterator[RawMessage]:
        """Messages of the named topics by log time, from the start on and before the stop.

        A damaged place ends neither the iteration nor the program: it is listed in ``problems``
        and reading goes on behind it.
        """
        last_ns = -1
        if self._reader is not None:
            connections = [c for c in self._reader.connections if c.topic in topic_names]
            if not connections:
                return
            # A topic may have been recorded with two types, one connection each.
            topics = {connection.id: self._topic_of(connection) for connection in connections}
            missing = Counter({c.topic: c.msgcount for c in connections})
            try:
                for connection, log_time_ns, data in self._reader.messages(
                    connections, start_ns, stop_ns
                ):
                    last_ns = log_time_ns
                    missing[connection.topic] -= 1
                    yield RawMessage(topics[connection.id], log_time_ns, data)
                if start_ns is None and stop_ns is None:
                    self._report_missing(missing)
                return
            except StorageError:
                raise
            except Exception as error:
                self.problems.add(
                    "damaged bag",
                    f"{self.path.name} after log time {last_ns} ns",
                    f"{_one_line(error)}; salvaging what follows",
                )
            if not self._salvage:
                self._close_reader()
                self._open_salvage()
        first_ns = last_ns + 1 if start_ns is None else max(last_ns + 1, start_ns)
        for message in self._salvaged_messages(topic_names, first_ns):
            if stop_ns is None or message.log_time_ns < stop_ns:
                yield message

    def _report_missing(self, missing: Mapping[str, int]) -> None:
        """Damaged records without a checksum are passed over silently; the index knows better."""
        for topic, count in missing.items():
            if count > 0:
                self.problems.add(
                    "missing messages",
                    topic,
                    f"{count} messages fewer than the bag's index says: part of it is damaged",
                )

    def _salvaged_messages(
        self, topic_names: Collection[str], first_ns: int
    ) -> Iterator[RawMessage]:
        for storage in self._salvage:
            for message in storage.messages(topic_names):
                if message.log_time_ns < first_ns:
                    continue
                if is_zstd(message.data[:4]):
                    try:
                        data = decompress_zstd(message.data)
                    except DataError as error:
                        place = f"{message.topic.name} log time {message.log_time_ns} ns"
                        self.problems.add("damaged message", place, str(error))
                        continue
                    message = RawMessage(message.topic, message.log_time_ns, data)
                yield message

    def _close_reader(self) -> None:
        if self._reader is not None and self._reader.is_open:
            self._reader.close()
        self._reader = None

    def close(self) -> None:
        """Close the files and remove what was decompressed."""
        self._close_reader()
        self._salvage = []
        self._temporary.close()

    def __enter__(self) -> Bag:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _one_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
