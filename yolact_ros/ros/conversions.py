"""Results as ROS messages."""

from __future__ import annotations

import sys
from array import array
from typing import TYPE_CHECKING

import numpy as np
from builtin_interfaces.msg import Time
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from yolact_ros.inference.cdr import ImageMessage, MessageHeader
from yolact_ros.inference.quality.plan import FrameOutcome, FramePlan
from yolact_ros.msg import FrameReport, Instance, InstanceArray, InstanceMask
from yolact_ros.ops.packing import rle_encode, unpack_bits
from yolact_ros.prediction import Prediction
from yolact_ros.structures import MaskCrop

if TYPE_CHECKING:
    # The demo's camera makes messages without torch.
    from yolact_ros.inference.detected_frame import StageTimes

__all__ = [
    "from_image_message",
    "to_compressed_image_message",
    "to_header_message",
    "to_image_message",
    "to_instance_array",
    "to_mask_message",
]


def from_image_message(message: Image) -> ImageMessage:
    """The image as it is read from the wire; its pixels stay where they are."""
    stamp = message.header.stamp
    return ImageMessage(
        header=MessageHeader(stamp.sec, stamp.nanosec, message.header.frame_id),
        height_px=message.height,
        width_px=message.width,
        encoding=message.encoding,
        is_bigendian=bool(message.is_bigendian),
        step_bytes=message.step,
        data=np.frombuffer(message.data, np.uint8),
    )


def to_header_message(header: MessageHeader) -> Header:
    """The header unchanged."""
    return Header(
        stamp=Time(sec=header.stamp_sec, nanosec=header.stamp_nanosec), frame_id=header.frame_id
    )


def to_instance_array(
    header: MessageHeader,
    prediction: Prediction,
    mask_encoding: str,
) -> InstanceArray:
    """The prediction as a message with an empty report.

    Args:
        mask_encoding: "bits", "rle" or "none".
    """
    instances = []
    untracked = [0] * len(prediction)
    for index, (class_id, score, box, track_id, track_age) in enumerate(
        zip(
            prediction.class_ids.tolist(),
            prediction.scores.tolist(),
            prediction.boxes_xyxy.tolist(),
            prediction.track_ids.tolist() or untracked,
            prediction.track_ages.tolist() or untracked,
            strict=True,
        )
    ):
        with_mask = mask_encoding != "none" and index < len(prediction.mask_crops)
        instances.append(
            Instance(
                class_id=class_id,
                class_name=prediction.class_names[class_id],
                score=score,
                x_min=box[0],
                y_min=box[1],
                x_max=box[2],
                y_max=box[3],
                mask=to_mask_message(prediction.mask_crops[index], mask_encoding)
                if with_mask
                else InstanceMask(),
                track_id=track_id,
                track_age=track_age,
            )
        )
    return InstanceArray(
        header=to_header_message(header),
        image_height=prediction.image_height_px,
        image_width=prediction.image_width_px,
        instances=instances,
    )


def to_frame_report(
    plan: FramePlan, times: StageTimes, outcome: FrameOutcome, age_ms: float, frames_dropped: int
) -> FrameReport:
    """How a frame kept its budget.

    Args:
        age_ms: of the image on arrival.
        frames_dropped: frames of the camera without a message since the one before.
    """
    # float() because a message ends the process over anything but a Python float.
    return FrameReport(
        budget_ms=float(outcome.budget_ms),
        image_age_ms=float(age_ms),
        wait_ms=float(plan.wait_ms),
        preprocess_ms=float(times.preprocess_ms),
        inference_ms=float(times.inference_ms),
        postprocess_ms=float(times.postprocess_ms),
        total_ms=float(outcome.total_ms),
        frames_dropped=frames_dropped,
        deadline_met=outcome.deadline_met,
        input_size=plan.level.input_size_px,
        degradation=int(outcome.degradation),
    )


def to_mask_message(mask: MaskCrop, mask_encoding: str) -> InstanceMask:
    """The mask as bits or as run lengths ("bits" or "rle")."""
    message = InstanceMask(
        x_offset=mask.x_offset, y_offset=mask.y_offset, width=mask.width, height=mask.height
    )
    if mask_encoding == "rle":
        message.encoding = InstanceMask.RLE
        counts = rle_encode(unpack_bits(mask.bits, mask.height, mask.width))
        message.counts = _array("I", np.asarray(counts, np.uint32))
    else:
        message.encoding = InstanceMask.BITS
        message.data = _array("B", mask.bits)
    return message


def to_image_message(header: MessageHeader, pixels: NDArray[np.generic], encoding: str) -> Image:
    """An image message from [H, W] or [H, W, C] pixels of the machine's byte order."""
    pixels = np.ascontiguousarray(pixels)
    height_px, width_px = pixels.shape[:2]
    return Image(
        header=to_header_message(header),
        height=height_px,
        width=width_px,
        encoding=encoding,
        is_bigendian=int(sys.byteorder == "big"),
        step=pixels.nbytes // height_px,
        data=_array("B", pixels),
    )


def to_compressed_image_message(header: MessageHeader, jpeg: NDArray[np.uint8]) -> CompressedImage:
    """A compressed image message from the bytes of a JPEG file of colours."""
    # The format string of image_transport, which rviz and rqt read.
    text = "bgr8; jpeg compressed bgr8"
    return CompressedImage(header=to_header_message(header), format=text, data=_array("B", jpeg))


def _array(typecode: str, values: NDArray[np.generic]) -> array[int]:
    # A message takes an array.array as it is (44 us a megabyte to fill); from a NumPy array it
    # checks and converts every element (57 ms a megabyte).
    numbers: array[int] = array(typecode)
    numbers.frombytes(np.ascontiguousarray(values).reshape(-1).view(np.uint8).data)
    return numbers
