"""Reading image messages from their serialised bytes, without a copy of the pixels.

A raw subscription hands over the bytes of the wire; turning them into a Python message first
would copy every pixel. The format is CDR as in the OMG's DDSI-RTPS and DDS-XTypes documents:
four bytes that name the byte order, then the fields, each aligned to its own size.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from yolact_ros.errors import FrameFault

__all__ = [
    "CdrReader",
    "CompressedImageMessage",
    "ImageMessage",
    "MessageHeader",
    "read_compressed_image",
    "read_image",
]

ENCAPSULATION_BYTES = 4
BYTE_ORDERS = {b"\x00\x00": ">", b"\x00\x01": "<"}


@dataclass(frozen=True)
class MessageHeader:
    """The fields of std_msgs/Header."""

    stamp_sec: int
    stamp_nanosec: int
    frame_id: str

    @property
    def stamp_ns(self) -> int:
        return self.stamp_sec * 1_000_000_000 + self.stamp_nanosec


@dataclass(frozen=True)
class ImageMessage:
    """The fields of sensor_msgs/Image; ``data`` is a read-only view of the message's bytes.

    ``is_bigendian`` is the byte order of pixels of more than one byte, ``step_bytes`` the length
    of a row with its padding.
    """

    header: MessageHeader
    height_px: int
    width_px: int
    encoding: str
    is_bigendian: bool
    step_bytes: int
    data: NDArray[np.uint8]


@dataclass(frozen=True)
class CompressedImageMessage:
    """The fields of sensor_msgs/CompressedImage; ``data`` is a read-only view of the file.

    ``format`` is as the publisher describes it, for example "bgr8; jpeg compressed bgr8".
    """

    header: MessageHeader
    format: str
    data: NDArray[np.uint8]


class CdrReader:
    """Reads one serialised message field by field; every read checks the message's bounds.

    Raises:
        FrameFault: fewer than four bytes, or an encapsulation other than plain CDR.
    """

    def __init__(self, data: bytes) -> None:
        order = BYTE_ORDERS.get(bytes(data[:2])) if len(data) >= ENCAPSULATION_BYTES else None
        if order is None:
            raise FrameFault(
                "malformed",
                f"message of {len(data)} bytes starts with {bytes(data[:4]).hex(' ') or 'nothing'}"
                ", expected the CDR encapsulation 00 00 or 00 01",
            )
        self._data = data
        self._offset = ENCAPSULATION_BYTES
        self._uint32 = struct.Struct(order + "I")
        self._int32 = struct.Struct(order + "i")

    def read_uint8(self) -> int:
        return int(self._data[self._advance(1, alignment=1)])

    def read_uint32(self) -> int:
        return int(self._uint32.unpack_from(self._data, self._advance(4, alignment=4))[0])

    def read_int32(self) -> int:
        return int(self._int32.unpack_from(self._data, self._advance(4, alignment=4))[0])

    def read_string(self) -> str:
        """The next string; bytes that are not UTF-8 become replacement characters."""
        length = self.read_uint32()
        start = self._advance(length, alignment=1)
        return bytes(self._data[start : start + length]).rstrip(b"\0").decode(errors="replace")

    def read_bytes(self) -> NDArray[np.uint8]:
        """The next sequence of octets as a read-only view (uint8[n])."""
        length = self.read_uint32()
        start = self._advance(length, alignment=1)
        return np.frombuffer(self._data, np.uint8, length, start)

    def _advance(self, size: int, *, alignment: int) -> int:
        # Alignment counts from the end of the encapsulation.
        start = self._offset + (ENCAPSULATION_BYTES - self._offset) % alignment
        if start + size > len(self._data):
            raise FrameFault(
                "truncated",
                f"message ends after {len(self._data)} bytes, a field needs bytes {start} to "
                f"{start + size}",
            )
        self._offset = start + size
        return start


def read_image(data: bytes) -> ImageMessage:
    """Read a serialised sensor_msgs/Image; its pixels stay where they are.

    Raises:
        FrameFault: not CDR, or it ends before its last field does.
    """
    reader = CdrReader(data)
    return ImageMessage(
        header=_read_header(reader),
        height_px=reader.read_uint32(),
        width_px=reader.read_uint32(),
        encoding=reader.read_string(),
        is_bigendian=reader.read_uint8() != 0,
        step_bytes=reader.read_uint32(),
        data=reader.read_bytes(),
    )


def read_compressed_image(data: bytes) -> CompressedImageMessage:
    """Read a serialised sensor_msgs/CompressedImage; its data stay where they are.

    Raises:
        FrameFault: not CDR, or it ends before its last field does.
    """
    reader = CdrReader(data)
    return CompressedImageMessage(
        header=_read_header(reader), format=reader.read_string(), data=reader.read_bytes()
    )


def _read_header(reader: CdrReader) -> MessageHeader:
    return MessageHeader(
        stamp_sec=reader.read_int32(),
        stamp_nanosec=reader.read_uint32(),
        frame_id=reader.read_string(),
    )
