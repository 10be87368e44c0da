"""Reads what is left of a damaged SQLite bag: truncated files, broken pages."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator
from pathlib import Path

from yolact_ros.errors import DataError
from yolact_ros.evaluation.bag.problems import ProblemLog
from yolact_ros.evaluation.bag.reading.messages import BagTopic, RawMessage

__all__ = ["SqliteSalvage"]

MAX_SKIP_ROWS = 1 << 24


class SqliteSalvage:
    """Reader of one ``.db3`` file by row number, which needs no index and steps over bad pages.

    ``problems`` has what it skips, with the row number.

    Raises:
        DataError: not SQLite, or its list of topics is lost.
    """

    def __init__(self, path: Path, problems: ProblemLog) -> None:
        self._path = path
        self._problems = problems
        try:
            with path.open("rb") as stream:
                start = stream.read(16)
            if start[:15] != b"SQLite format 3":
                raise DataError(f"{path}: not an SQLite file: it starts with {start!r}")
            connection = self._connect()
            try:
                self.topics = _read_topics(connection)
            finally:
                connection.close()
        except sqlite3.Error as error:
            raise DataError(f"{path}: its list of topics cannot be read: {error}") from error

    def messages(self, topic_names: Collection[str]) -> Iterator[RawMessage]:
        """Messages of the named topics in the order of recording, over gaps, to the last row."""
        wanted = {
            topic_id: topic for topic_id, topic in self.topics.items() if topic.name in topic_names
        }
        connection = self._connect()
        connection.text_factory = bytes
        try:
            last_row = 0
            while True:
                try:
                    query = "SELECT id, topic_id, timestamp, data FROM messages WHERE id > ? "
                    for row, topic_id, timestamp_ns, data in connection.execute(
                        query + "ORDER BY id", (last_row,)
                    ):
                        last_row = row
                        if topic_id in wanted and isinstance(data, bytes):
                            yield RawMessage(wanted[topic_id], timestamp_ns, data)
                    return
                except sqlite3.Error as error:
                    next_row = _next_readable_row(connection, last_row + 1)
                    lost = (
                        "all after it" if next_row is None else f"{next_row - last_row - 1} rows"
                    )
                    self._problems.add(
                        "damaged bag",
                        f"{self._path.name} row {last_row + 1}",
                        f"{error}; lost: {lost}",
                    )
                    if next_row is None:
                        return
                    last_row = next_row - 1
        finally:
            connection.close()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"{self._path.resolve().as_uri()}?mode=ro&immutable=1", uri=True
        )
        # SQLite refuses a file shorter than its header says, except to those who repair it.
        connection.execute("PRAGMA writable_schema=ON")
        return connection


def _read_topics(connection: sqlite3.Connection) -> dict[int, BagTopic]:
    definitions: dict[str, tuple[str, str]] = {}
    try:
        for name, encoding, text in connection.execute(
            "SELECT topic_type, encoding, encoded_message_definition FROM message_definitions"
        ):
            definitions[name] = (str(encoding), str(text))
    except sqlite3.Error:
        pass  # recorders before Iron did not store definitions
    topics = {}
    for topic_id, name, message_type in connection.execute("SELECT id, name, type FROM topics"):
        encoding, text = definitions.get(message_type, ("ros2msg", ""))
        topics[int(topic_id)] = BagTopic(name, message_type, None, text, encoding != "ros2msg")
    return topics


def _next_readable_row(connection: sqlite3.Connection, bad_row: int) -> int | None:
    """First row after ``bad_row`` that can be read: steps that double, then halve."""
    step = 1
    good: int | None = None
    while step < MAX_SKIP_ROWS:
        good = _read_row_at_or_after(connection, bad_row + step)
        if good is not None:
            break
        step *= 2
    if good is None:
        return None
    low, high = bad_row + step // 2, bad_row + step
    while high - low > 1:
        middle = (low + high) // 2
        row = _read_row_at_or_after(connection, middle)
        if row is None:
            low = middle
        else:
            good, high = row, middle
    return good


def _read_row_at_or_after(connection: sqlite3.Connection, row: int) -> int | None:
    try:
        found = connection.execute(
            "SELECT id, data FROM messages WHERE id >= ? ORDER BY id LIMIT 1", (row,)
        ).fetchone()
    except sqlite3.Error:
        return None
    return None if found is None else int(found[0])
