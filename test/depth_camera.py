"""Depth images and calibrations made by hand, beside the colour images of ros_camera."""

from __future__ import annotations

import struct
from array import array

import cv2
import numpy as np
from ros_camera import HEIGHT_PX, WIDTH_PX, image_message
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

__all__ = ["FOCAL_PX", "calibration", "compressed_depth", "depth_message", "stamp_of"]

FOCAL_PX = 100.0
NS_PER_S = 1_000_000_000
# As compressed_depth_image_transport has them by default: 100 m at most, quantised by 100.
QUANTUM_A = 100.0 * 101.0
QUANTUM_B = 1.0 - QUANTUM_A / 100.0


def stamp_of(message: Image, stamp_ns: int) -> Image:
    """The message with another stamp."""
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, NS_PER_S)
    return message


def depth_message(depth_m: np.ndarray | float, encoding: str = "16UC1") -> Image:
    """A depth image with the header of ros_camera's images; one number is a plane."""
    depth = np.asarray(depth_m, np.float32)
    if depth.ndim == 0:
        depth = np.full((HEIGHT_PX, WIDTH_PX), depth)
    pixels = depth if encoding == "32FC1" else np.nan_to_num(depth * 1e3).round().astype(np.uint16)
    height_px, width_px = pixels.shape
    message = Image(header=image_message().header, height=height_px, width=width_px)
    message.encoding, message.step = encoding, pixels.itemsize * width_px
    message.data = array("B", np.ascontiguousarray(pixels).tobytes())
    return message


def compressed_depth(depth_m: np.ndarray, encoding: str) -> CompressedImage:
    """The same as image_transport's compressedDepth sends it."""
    if encoding == "32FC1":
        pixels = np.nan_to_num(QUANTUM_A / depth_m + QUANTUM_B, nan=0.0).astype(np.uint16)
    else:
        pixels = np.nan_to_num(depth_m * 1e3).round().astype(np.uint16)
    _, file = cv2.imencode(".png", pixels)
    data = struct.pack("<iff", 0, QUANTUM_A, QUANTUM_B) + file.tobytes()
    message = CompressedImage(header=image_message().header, data=array("B", data))
    message.format = f"{encoding}; compressedDepth png"
    return message


def calibration(**fields: object) -> CameraInfo:
    """The calibration of both cameras: the axis in the middle, no distortion."""
    info = CameraInfo(header=image_message().header, height=HEIGHT_PX, width=WIDTH_PX)
    center_px = ((WIDTH_PX - 1) / 2, (HEIGHT_PX - 1) / 2)
    info.k = [FOCAL_PX, 0.0, center_px[0], 0.0, FOCAL_PX, center_px[1], 0.0, 0.0, 1.0]
    for name, value in fields.items():
        setattr(info, name, value)
    return info
