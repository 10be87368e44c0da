"""Pixels of every supported image encoding as 8-bit BGR."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from yolact_ros.errors import FrameFault
from yolact_ros.inference.bit_depth import FULL_BITS, BitDepth
from yolact_ros.inference.cdr import CompressedImageMessage, ImageMessage

__all__ = ["SUPPORTED_ENCODINGS", "compressed_to_bgr", "image_to_bgr", "observe_depth"]

Pixels = NDArray[np.uint8]
PNG_START = b"\x89PNG\r\n\x1a\n"
PNG_BITS_OFFSET = 24  # where its header says how many bits a channel has
JPEG_START = b"\xff\xd8"
JPEG_END = b"\xff\xd9"
JPEG_TAIL_BYTES = 64  # some encoders pad after the end marker


@dataclass(frozen=True)
class _Encoding:
    """How one encoding is stored and turned into BGR.

    Attributes:
        bytes_per_pixel: 1 to 4, of the message's pixels.
        channels: of the array that ``to_bgr`` takes; 16-bit pixels arrive as 8 bits.
        to_bgr: from uint8[H, W] or uint8[H, W, channels] to uint8[H, W, 3].
        even_width: two neighbouring pixels share their colour.
    """

    bytes_per_pixel: int
    channels: int
    to_bgr: Callable[[Pixels], Pixels]
    even_width: bool = False


def _convert(code: int) -> Callable[[Pixels], Pixels]:
    def to_bgr(pixels: Pixels) -> Pixels:
        return cv2.cvtColor(pixels, code)  # type: ignore[return-value]

    return to_bgr


_BGR = _Encoding(3, 3, np.ascontiguousarray)
_RGB = _Encoding(3, 3, _convert(cv2.COLOR_RGB2BGR))
_RGBA = _Encoding(4, 4, _convert(cv2.COLOR_RGBA2BGR))
_BGRA = _Encoding(4, 4, _convert(cv2.COLOR_BGRA2BGR))
_MONO8 = _Encoding(1, 1, _convert(cv2.COLOR_GRAY2BGR))
_MONO16 = _Encoding(2, 1, _convert(cv2.COLOR_GRAY2BGR))
_YUYV = _Encoding(2, 2, _convert(cv2.COLOR_YUV2BGR_YUY2), even_width=True)
_UYVY = _Encoding(2, 2, _convert(cv2.COLOR_YUV2BGR_UYVY), even_width=True)
# OpenCV names a Bayer pattern by the second row's second and third pixel, ROS by the first four.
_BAYER_CODES = {
    "rggb": cv2.COLOR_BayerBG2BGR,
    "bggr": cv2.COLOR_BayerRG2BGR,
    "gbrg": cv2.COLOR_BayerGR2BGR,
    "grbg": cv2.COLOR_BayerGB2BGR,
}

_ENCODINGS: Mapping[str, _Encoding] = {
    "bgr8": _BGR,
    "8UC3": _BGR,
    "rgb8": _RGB,
    "bgra8": _BGRA,
    "8UC4": _BGRA,
    "rgba8": _RGBA,
    "mono8": _MONO8,
    "8UC1": _MONO8,
    "mono16": _MONO16,
    "16UC1": _MONO16,
    "yuv422_yuy2": _YUYV,
    "yuyv": _YUYV,
    "yuv422": _UYVY,
    "uyvy": _UYVY,
    **{f"bayer_{p}8": _Encoding(1, 1, _convert(code)) for p, code in _BAYER_CODES.items()},
    **{f"bayer_{p}16": _Encoding(2, 1, _convert(code)) for p, code in _BAYER_CODES.items()},
}
SUPPORTED_ENCODINGS = tuple(_ENCODINGS)


def image_to_bgr(image: ImageMessage, depth: BitDepth) -> Pixels:
    """The image as uint8[H, W, 3] in BGR; a read-only view of ``image.data`` where it is bgr8.

    YUV is BT.601 in video range, Bayer bilinear, both as
    OpenCV does them.

    Args:
        depth: of the topic: which 8 bits of 16-bit pixels are kept; others do not touch it.

    Raises:
        FrameFault: unknown encoding, a size of zero or one that the encoding cannot have, a step
            shorter than a row, or less data than step * height.
    """
    encoding, pixels = _stored_pixels(image)
    if _is_16_bit(encoding):
        pixels = depth.to_8_bits(_values(image, pixels))
    if encoding.channels > 1:
        pixels = pixels.reshape(image.height_px, image.width_px, encoding.channels)
    return encoding.to_bgr(np.ascontiguousarray(pixels))


def observe_depth(image: ImageMessage | CompressedImageMessage, depth: BitDepth) -> None:
    """Take an image into account that is not decoded, as :func:`image_to_bgr` would.

    Images of 8 bits are not touched, and those that cannot be used are passed over.
    """
    if depth.bits == FULL_BITS:
        return
    try:
        if isinstance(image, ImageMessage):
            encoding, pixels = _stored_pixels(image)
            if _is_16_bit(encoding):
                depth.observe(_values(image, pixels))
        elif _is_16_bit_png(bytes(image.data[: PNG_BITS_OFFSET + 1])):
            compressed_to_bgr(image, depth)
    except FrameFault:
        return


def _is_16_bit_png(start: bytes) -> bool:
    return start.startswith(PNG_START) and start[PNG_BITS_OFFSET:] == b"\x10"


def _is_16_bit(encoding: _Encoding) -> bool:
    return encoding.bytes_per_pixel == 2 and encoding.channels == 1


def _values(image: ImageMessage, rows: Pixels) -> NDArray[np.uint16]:
    """The 16-bit values of rows of bytes."""
    order = np.dtype(np.uint16).newbyteorder(">" if image.is_bigendian else "<")
    values: NDArray[np.uint16] = np.ascontiguousarray(rows).view(order)
    return values


def _stored_pixels(image: ImageMessage) -> tuple[_Encoding, Pixels]:
    """The encoding, and the rows of bytes without their padding: uint8[H, W * bytes_per_pixel].

    Raises as :func:`image_to_bgr`.
    """
    encoding = _ENCODINGS.get(image.encoding)
    if encoding is None:
        raise FrameFault(
            "encoding",
            f"image encoding {image.encoding!r} is not supported; publish one of "
            f"{', '.join(SUPPORTED_ENCODINGS)}",
        )
    _check_size(image, encoding)
    rows = image.data[: image.step_bytes * image.height_px].reshape(-1, image.step_bytes)
    return encoding, rows[:, : image.width_px * encoding.bytes_per_pixel]


def compressed_to_bgr(image: CompressedImageMessage, depth: BitDepth) -> Pixels:
    """Decode a JPEG or PNG image to uint8[H, W, 3] in BGR, as stored: EXIF turns nothing.

    Raises:
        FrameFault: no data, data that OpenCV cannot decode, such as video, or a JPEG file without
            its end.
    """
    # libjpeg fills what is missing with grey and only prints a warning.
    start, tail = bytes(image.data[:2]), bytes(image.data[-JPEG_TAIL_BYTES:])
    if start == JPEG_START and JPEG_END not in tail:
        raise FrameFault(
            "truncated", f"JPEG image of {image.data.size} bytes does not reach its end marker"
        )
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        bgr: NDArray[Any] | None = cv2.imdecode(image.data, flags) if image.data.size else None
    except cv2.error as error:
        raise FrameFault("decode", f"compressed image: {error.err}") from error
    if bgr is None:
        raise FrameFault(
            "decode",
            f"compressed image of {image.data.size} bytes and format {image.format!r} is no JPEG "
            "or PNG file that OpenCV can decode; of video such as H.264 let the camera publish "
            "JPEG, or have image_transport decode it into a topic of sensor_msgs/Image",
        )
    if bgr.dtype not in (np.uint8, np.uint16):
        raise FrameFault(
            "decode", f"compressed image has {bgr.dtype} pixels, expected 8 or 16 bits"
        )
    return depth.to_8_bits(bgr) if bgr.dtype == np.uint16 else bgr


def _check_size(image: ImageMessage, encoding: _Encoding) -> None:
    height_px, width_px = image.height_px, image.width_px
    if height_px == 0 or width_px == 0:
        raise FrameFault("size", f"image of {width_px}x{height_px} pixels is empty")
    if encoding.even_width and width_px % 2:
        raise FrameFault(
            "size", f"{image.encoding} image is {width_px} pixels wide, expected an even number"
        )
    if image.encoding.startswith("bayer") and min(height_px, width_px) < 2:
        raise FrameFault(
            "size", f"{image.encoding} image of {width_px}x{height_px} pixels is less than 2x2"
        )
    row_bytes = width_px * encoding.bytes_per_pixel
    if image.step_bytes < row_bytes:
        raise FrameFault(
            "size",
            f"step of {image.step_bytes} bytes is less than a row of {width_px} pixels of "
            f"{image.encoding}, {row_bytes} bytes",
        )
    expected_bytes = image.step_bytes * height_px
    if image.data.size < expected_bytes:
        raise FrameFault(
            "truncated",
            f"image data end after {image.data.size} of {expected_bytes} bytes ({width_px}x"
            f"{height_px} {image.encoding}, step {image.step_bytes})",
        )
