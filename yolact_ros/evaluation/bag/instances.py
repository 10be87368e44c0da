"""InstanceArray messages and detections, one into the other, without ROS."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from yolact_ros.errors import DataError
from yolact_ros.evaluation.bag.definitions import (
    INSTANCE_ARRAY,
    default_typestore,
    older_typestore,
    typestore_from_definition,
)
from yolact_ros.evaluation.bag.frame import FoundInstance
from yolact_ros.evaluation.bag.messages import RawMessage
from yolact_ros.evaluation.bag.rle import rle_to_crop
from yolact_ros.masks import to_coco_rle

__all__ = ["InstanceMessage", "InstanceReader", "serialize_instances"]

ENCODING_NONE, ENCODING_BITS = 0, 1
NS_PER_S = 1_000_000_000


@dataclass(frozen=True)
class InstanceMessage:
    """The content of one InstanceArray.

    Attributes:
        stamp_ns, frame_id: of the header.
        height_px, width_px: of the source image.
        instances: in the order of the message.
        report: fields of FrameReport by name.
    """

    stamp_ns: int
    frame_id: str
    height_px: int
    width_px: int
    instances: tuple[FoundInstance, ...]
    report: Mapping[str, Any]


class InstanceReader:
    """Reads a bag's InstanceArray messages by the bag's own definition, where it has one."""

    def __init__(self) -> None:
        self._stores: dict[str, Any] = {}

    def read(self, message: RawMessage) -> InstanceMessage:
        """The content of ``message``.

        Raises:
            DataError: of another type, cut off, or with masks that cannot be.
        """
        topic = message.topic
        if topic.message_type != INSTANCE_ARRAY:
            raise DataError(f"{topic.name} is of {topic.message_type}, expected {INSTANCE_ARRAY}")
        if topic.definition:
            if topic.definition not in self._stores:
                self._stores[topic.definition] = typestore_from_definition(
                    INSTANCE_ARRAY, topic.definition, is_idl=topic.is_idl
                )
            return _from_message(_parsed(message.data, self._stores[topic.definition]))
        return _from_message(_parsed_by_length(message.data))


def _parsed_by_length(data: bytes) -> Any:
    """Without a definition only the length tells: an older message is too short for today's."""
    try:
        return _parsed(data, default_typestore())
    except DataError:
        with suppress(DataError):
            return _parsed(data, older_typestore())
        raise


def _parsed(data: bytes, store: Any) -> Any:
    try:
        return store.deserialize_cdr(data, INSTANCE_ARRAY)
    except Exception as error:
        # rosbags checks most of what can be wrong, and fails somewhere else on the rest.
        raise DataError(f"not a readable InstanceArray: {error}") from error


def _from_message(message: Any) -> InstanceMessage:
    shape = (int(message.image_height), int(message.image_width))
    stamp = message.header.stamp
    report = {
        name: value
        for name, value in vars(message.report).items()
        if isinstance(value, int | float | bool)
    }
    return InstanceMessage(
        stamp_ns=int(stamp.sec) * NS_PER_S + int(stamp.nanosec),
        frame_id=str(message.header.frame_id),
        height_px=shape[0],
        width_px=shape[1],
        instances=tuple(_found_instance(row, shape) for row in message.instances),
        report=report,
    )


def _found_instance(row: Any, shape: tuple[int, int]) -> FoundInstance:
    box = (
        round(float(row.x_min), 2),
        round(float(row.y_min), 2),
        round(float(row.x_max) - float(row.x_min), 2),
        round(float(row.y_max) - float(row.y_min), 2),
    )
    score = round(float(row.score), 6)
    return FoundInstance(
        int(row.class_id),
        str(row.class_name),
        score,
        box,
        "" if row.mask.encoding == ENCODING_NONE else to_coco_rle(row.mask, *shape)["counts"],
        # Bags from before objects were tracked have no such fields.
        int(getattr(row, "track_id", 0)),
        int(getattr(row, "track_age", 0)),
    )


def serialize_instances(message: InstanceMessage) -> memoryview:
    """CDR bytes of an InstanceArray with bit-packed masks."""
    store = default_typestore()
    types = store.types
    header = types["std_msgs/msg/Header"](
        stamp=types["builtin_interfaces/msg/Time"](
            sec=message.stamp_ns // NS_PER_S, nanosec=message.stamp_ns % NS_PER_S
        ),
        frame_id=message.frame_id,
    )
    shape = (message.height_px, message.width_px)
    instances = [_instance_message(types, found, shape) for found in message.instances]
    return store.serialize_cdr(  # type: ignore[no-any-return]
        types[INSTANCE_ARRAY](
            header=header,
            image_height=message.height_px,
            image_width=message.width_px,
            instances=instances,
            report=_report_message(types, message.report),
        ),
        INSTANCE_ARRAY,
    )


def _instance_message(
    types: Mapping[str, Any], found: FoundInstance, shape: tuple[int, int]
) -> Any:
    x_min, y_min, width, height = found.bbox_xywh
    crop = rle_to_crop(found.counts, shape) if found.counts else None
    empty = np.zeros(0, np.uint8)
    mask = types["yolact_ros/msg/InstanceMask"](
        encoding=ENCODING_NONE if crop is None else ENCODING_BITS,
        x_offset=0 if crop is None else crop.x_offset,
        y_offset=0 if crop is None else crop.y_offset,
        width=0 if crop is None else crop.width,
        height=0 if crop is None else crop.height,
        counts=np.zeros(0, np.uint32),
        data=empty if crop is None else crop.bits,
    )
    return types["yolact_ros/msg/Instance"](
        class_id=found.class_id,
        class_name=found.class_name,
        score=found.score,
        x_min=x_min,
        y_min=y_min,
        x_max=x_min + width,
        y_max=y_min + height,
        mask=mask,
        track_id=found.track_id,
        track_age=found.track_age,
    )


def _report_message(types: Mapping[str, Any], report: Mapping[str, Any]) -> Any:
    report_type = types["yolact_ros/msg/FrameReport"]
    defaults = {
        name: True if name == "deadline_met" else 0
        for name in report_type.__dataclass_fields__
        if name.islower() and not name.startswith("__")
    }
    return report_type(**{name: report.get(name, value) for name, value in defaults.items()})
