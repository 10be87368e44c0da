"""Serialised messages read field by field, against bytes written out by hand."""

from __future__ import annotations

import contextlib
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from yolact_ros.errors import FrameFault
from yolact_ros.inference.cdr import read_compressed_image, read_image


class Writer:
    """Writes CDR the slow way: every field pads itself to its alignment."""

    def __init__(self, *, big_endian: bool = False) -> None:
        self.order = ">" if big_endian else "<"
        self.body = bytearray()
        self.head = b"\x00\x00\x00\x00" if big_endian else b"\x00\x01\x00\x00"

    def number(self, code: str, value: int) -> Writer:
        size = struct.calcsize(code)
        while len(self.body) % size:
            self.body.append(0)
        self.body += struct.pack(self.order + code, value)
        return self

    def text(self, value: str) -> Writer:
        encoded = value.encode() + b"\0"
        self.number("I", len(encoded)).body.extend(encoded)
        return self

    def octets(self, value: bytes) -> Writer:
        self.number("I", len(value)).body.extend(value)
        return self

    @property
    def message(self) -> bytes:
        return self.head + bytes(self.body)


def image_bytes(
    frame_id: str = "camera",
    encoding: str = "bgr8",
    data: bytes = bytes(range(24)),
    *,
    big_endian: bool = False,
) -> bytes:
    writer = Writer(big_endian=big_endian)
    writer.number("i", -3).number("I", 17).text(frame_id)
    writer.number("I", 2).number("I", 4).text(encoding)
    writer.number("B", 1).number("I", 12).octets(data)
    return writer.message


@pytest.mark.parametrize("big_endian", [False, True], ids=["little", "big"])
@given(frame_id=st.text(max_size=9), encoding=st.text(max_size=9), data=st.binary(max_size=40))
def test_every_field_is_read_at_any_alignment(
    big_endian: bool, frame_id: str, encoding: str, data: bytes
) -> None:
    frame_id, encoding = frame_id.replace("\0", ""), encoding.replace("\0", "")
    image = read_image(image_bytes(frame_id, encoding, data, big_endian=big_endian))
    assert image.header.stamp_sec == -3
    assert image.header.stamp_nanosec == 17
    assert image.header.frame_id == frame_id
    assert (image.height_px, image.width_px) == (2, 4)
    assert image.encoding == encoding
    assert image.is_bigendian
    assert image.step_bytes == 12
    assert image.data.tobytes() == data


def test_the_pixels_are_a_read_only_view_of_the_message() -> None:
    message = image_bytes()
    image = read_image(message)
    assert np.shares_memory(image.data, np.frombuffer(message, np.uint8))
    assert not image.data.flags.writeable


def test_a_compressed_image_is_read() -> None:
    writer = Writer().number("i", 5).number("I", 6).text("cam").text("jpeg").octets(b"\xff\xd8!")
    image = read_compressed_image(writer.message)
    assert (image.header.stamp_ns, image.header.frame_id) == (5_000_000_006, "cam")
    assert (image.format, image.data.tobytes()) == ("jpeg", b"\xff\xd8!")


def test_a_message_cut_anywhere_is_a_fault_and_never_another_error() -> None:
    message = image_bytes()
    for length in range(len(message)):
        with pytest.raises(FrameFault) as fault:
            read_image(message[:length])
        assert fault.value.cause in ("truncated", "malformed")


@given(st.binary(max_size=80))
def test_arbitrary_bytes_are_read_or_refused(body: bytes) -> None:
    with contextlib.suppress(FrameFault):
        read_image(b"\x00\x01\x00\x00" + body)


def test_another_encapsulation_is_refused() -> None:
    with pytest.raises(FrameFault, match="starts with 00 03 00 00, expected the CDR"):
        read_image(b"\x00\x03\x00\x00" + image_bytes()[4:])
