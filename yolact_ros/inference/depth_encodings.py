"""Depth images of messages in metres: raw, and compressed by image_transport's compressedDepth."""

from __future__ import annotations

import struct

import cv2
import numpy as np
from numpy.typing import NDArray

from yolact_ros.depth import depth_in_metres
from yolact_ros.errors import DepthError
from yolact_ros.inference.cdr import CompressedImageMessage, ImageMessage

__all__ = ["compressed_depth_in_metres", "raw_depth_in_metres"]

# compressedDepth puts a struct before the PNG file: what the file is, and two numbers by which
# 32FC1 was made 16 bits (compressed_depth_image_transport/compression_common.h).
CONFIG = struct.Struct("<iff")
PNG_START = b"\x89PNG"


def raw_depth_in_metres(image: ImageMessage) -> NDArray[np.float32]:
    """The depth of a sensor_msgs/Image (float32[h, w], metres, NaN without a reading).

    Raises:
        DepthError: another encoding than 16UC1 and 32FC1, or sizes that do not fit each other.
    """
    kind = np.dtype(np.float32 if image.encoding == "32FC1" else np.uint16)
    row_bytes = image.width_px * kind.itemsize
    if not row_bytes or not image.height_px or image.step_bytes < row_bytes:
        raise DepthError(
            f"the depth image is {image.width_px} x {image.height_px} with rows of "
            f"{image.step_bytes} bytes, which cannot be {image.encoding}"
        )
    expected_bytes = image.step_bytes * image.height_px
    if image.data.size < expected_bytes:
        raise DepthError(
            f"the depth image's data end after {image.data.size} of {expected_bytes} bytes"
        )
    rows = image.data[:expected_bytes].reshape(-1, image.step_bytes)[:, :row_bytes]
    stored = kind.newbyteorder(">" if image.is_bigendian else "<")
    pixels = np.ascontiguousarray(rows).view(stored)
    return depth_in_metres(pixels.astype(kind, copy=False), image.encoding)


def compressed_depth_in_metres(message: CompressedImageMessage) -> NDArray[np.float32]:
    """The depth of a message of compressedDepth (float32[h, w], metres, NaN without a reading).

    16UC1 is stored as it is; of 32FC1 the file holds a / depth + b, 0 without a reading.

    Raises:
        DepthError: it is no such message, or compressed otherwise (RVL).
    """
    encoding = message.format.partition(";")[0].strip() or "16UC1"
    data = bytes(message.data)
    if not data[CONFIG.size :].startswith(PNG_START):
        raise DepthError(
            f"the compressed depth image of {len(data)} bytes and format {message.format!r} holds "
            "no PNG file after its 12 bytes: name a topic .../compressedDepth, with the format "
            "png (not rvl)"
        )
    _, quantum_a, quantum_b = CONFIG.unpack_from(data)
    try:
        stored = cv2.imdecode(message.data[CONFIG.size :], cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise DepthError(f"the compressed depth image is damaged: {error.err}") from error
    if stored is None or stored.ndim != 2 or stored.dtype != np.uint16:
        raise DepthError(
            "the compressed depth image is damaged, or has not one channel of 16 bits"
        )
    if encoding != "32FC1":
        return depth_in_metres(stored, encoding)
    with np.errstate(divide="ignore", invalid="ignore"):
        depth_m = np.float32(quantum_a) / (stored.astype(np.float32) - np.float32(quantum_b))
    depth_m[stored == 0] = np.nan
    return depth_in_metres(depth_m, encoding)
