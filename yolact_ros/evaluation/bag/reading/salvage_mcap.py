"""Reads what is left of a damaged MCAP file: no footer, no index, broken chunks.

The layout is that of the MCAP specification (mcap.dev): records of one opcode byte, a 64-bit
length and content; messages lie in compressed chunks. Nothing here trusts the index, so that a
recording that was cut off, or that rosbags refuses, is read from its start in file order.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import BinaryIO

from yolact_ros.errors import DataError
from yolact_ros.evaluation.bag.problems import ProblemLog
from yolact_ros.evaluation.bag.reading.compression import decompress_lz4, decompress_zstd
from yolact_ros.evaluation.bag.reading.location import BagPath
from yolact_ros.evaluation.bag.reading.messages import BagTopic, RawMessage

__all__ = ["McapSalvage"]

MAGIC = b"\x89MCAP0\r\n"
SCHEMA, CHANNEL, MESSAGE, CHUNK = 0x03, 0x04, 0x05, 0x06
HEADER, FOOTER, DATA_END = 0x01, 0x02, 0x0F
RECORD_HEADER = struct.Struct("<BQ")
MESSAGE_HEADER = struct.Struct("<HIQQ")
CHUNK_HEADER = struct.Struct("<QQQI")
MAX_RECORD_BYTES = 1 << 32


class _Cut(Exception):
    """The data end inside a record."""


class McapSalvage:
    """Sequential reader of one MCAP file; ``problems`` has what it skips, with the byte offset.

    Raises:
        DataError: the file does not start as MCAP.
    """

    def __init__(self, path: BagPath, problems: ProblemLog) -> None:
        self._path = path
        self._problems = problems
        self._schemas: dict[int, tuple[str, str, str]] = {}
        self.topics: dict[int, BagTopic] = {}
        with path.open("rb") as stream:
            magic = stream.read(len(MAGIC))
        if magic != MAGIC:
            raise DataError(
                f"{path}: not an MCAP file: it starts with {magic!r}, expected {MAGIC!r}"
            )
        # One silent pass: without an index only that finds all topics, and counts messages.
        counts = Counter(message.topic.name for message in self._scan(None, ProblemLog()))
        self.topics = {
            channel_id: replace(topic, message_count=counts[topic.name])
            for channel_id, topic in self.topics.items()
        }

    def messages(self, topic_names: Collection[str]) -> Iterator[RawMessage]:
        """Messages of the named topics in file order, up to where the file ends."""
        yield from self._scan(topic_names, self._problems)

    def _scan(
        self, topic_names: Collection[str] | None, problems: ProblemLog
    ) -> Iterator[RawMessage]:
        with self._path.open("rb") as stream:
            stream.seek(len(MAGIC))
            while True:
                offset = stream.tell()
                try:
                    opcode, content = _read_record(stream)
                except _Cut as error:
                    problems.add(
                        "truncated bag",
                        f"{self._path.name} byte {offset}",
                        f"{error}; what comes before is used",
                    )
                    return
                if opcode is None or opcode in (FOOTER, DATA_END):
                    return
                if opcode == CHUNK:
                    records = self._chunk_records(content, offset, problems)
                else:
                    records = iter([(opcode, content)])
                for inner_opcode, inner in records:
                    message = self._handle(inner_opcode, inner, topic_names)
                    if message is not None:
                        yield message

    def _handle(
        self, opcode: int, content: bytes, topic_names: Collection[str] | None
    ) -> RawMessage | None:
        try:
            if opcode == SCHEMA:
                fields = io.BytesIO(content)
                (schema_id,) = struct.unpack("<H", fields.read(2))
                self._schemas[schema_id] = (_string(fields), _string(fields), _string(fields))
            elif opcode == CHANNEL:
                self._add_channel(content)
            elif opcode == MESSAGE and len(content) >= MESSAGE_HEADER.size:
                channel_id, _, log_time_ns, _ = MESSAGE_HEADER.unpack_from(content)
                topic = self.topics.get(channel_id)
                if topic is not None and (topic_names is None or topic.name in topic_names):
                    return RawMessage(topic, log_time_ns, content[MESSAGE_HEADER.size :])
        except (struct.error, UnicodeDecodeError, _Cut):
            pass  # a damaged schema or channel leaves its messages without a topic
        return None

    def _add_channel(self, content: bytes) -> None:
        fields = io.BytesIO(content)
        channel_id, schema_id = struct.unpack("<HH", fields.read(4))
        name, message_encoding = _string(fields), _string(fields)
        message_type, schema_encoding, definition = self._schemas.get(schema_id, ("", "", ""))
        if message_encoding != "cdr" or schema_encoding not in ("ros2msg", "ros2idl", "omgidl"):
            definition = ""
        if channel_id not in self.topics:
            self.topics[channel_id] = BagTopic(
                name,
                message_type
                if message_encoding == "cdr"
                else f"{message_encoding}:{message_type}",
                definition=definition,
                is_idl=schema_encoding != "ros2msg",
            )

    def _chunk_records(
        self, content: bytes, offset: int, problems: ProblemLog
    ) -> Iterator[tuple[int, bytes]]:
        place = f"{self._path.name} byte {offset}"
        try:
            data = _decompress_chunk(content)
        except (DataError, struct.error, _Cut) as error:
            problems.add("damaged chunk", place, f"{error}; its messages are lost")
            return
        stream = io.BytesIO(data)
        while True:
            try:
                opcode, record = _read_record(stream)
            except _Cut as error:
                problems.add("damaged chunk", place, f"{error}; its last messages are lost")
                return
            if opcode is None:
                return
            yield opcode, record


def _decompress_chunk(content: bytes) -> bytes:
    _, _, size, checksum = CHUNK_HEADER.unpack_from(content)
    fields = io.BytesIO(content)
    fields.seek(CHUNK_HEADER.size)
    compression = _string(fields)
    (compressed_size,) = struct.unpack("<Q", fields.read(8))
    compressed = fields.read(compressed_size)
    if compression == "zstd":
        data = decompress_zstd(compressed)
    elif compression == "lz4":
        data = decompress_lz4(compressed)
    elif compression == "":
        data = compressed
    else:
        raise DataError(f"chunk compression {compression!r} is unknown")
    if len(data) == size and checksum and zlib.crc32(data) != checksum:
        raise DataError("checksum of a chunk does not match")
    return data


def _read_record(stream: BinaryIO) -> tuple[int | None, bytes]:
    header = stream.read(RECORD_HEADER.size)
    if not header or header == MAGIC:
        return None, b""
    if len(header) < RECORD_HEADER.size:
        raise _Cut(f"{len(header)} bytes of a record's header")
    opcode, size = RECORD_HEADER.unpack(header)
    if opcode == 0 or size > MAX_RECORD_BYTES:
        raise _Cut(f"no record: opcode {opcode}, {size} bytes")
    content = stream.read(size)
    if len(content) < size:
        if opcode == CHUNK:
            return opcode, content
        raise _Cut(f"a record of {size} bytes ends after {len(content)}")
    return opcode, content


def _string(fields: BinaryIO) -> str:
    size_bytes = fields.read(4)
    if len(size_bytes) < 4:
        raise _Cut("a text without its length")
    (size,) = struct.unpack("<I", size_bytes)
    text = fields.read(size)
    if len(text) < size:
        raise _Cut(f"a text of {size} bytes ends after {len(text)}")
    return text.decode()
