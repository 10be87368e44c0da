"""The messages of a bag without a ROS install: their definitions, and InstanceArray in and out."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import numpy as np

from yolact_ros.dependencies import require
from yolact_ros.errors import DataError
from yolact_ros.evaluation.bag.frame import FoundInstance, FrameInstances
from yolact_ros.masks import ENCODING_BITS, ENCODING_NONE, to_coco_rle
from yolact_ros.ops.coco_rle import decode_crop
from yolact_ros.resources import find_resource, resource_folders
from yolact_ros.structures import MaskCrop

__all__ = [
    "COMPRESSED_IMAGE",
    "IMAGE",
    "INSTANCE_ARRAY",
    "WHOLE",
    "BagTopic",
    "RawMessage",
    "Segment",
    "default_typestore",
    "message_header",
    "read_instances",
    "serialize_instances",
]

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED_IMAGE = "sensor_msgs/msg/CompressedImage"
INSTANCE_ARRAY = "yolact_ros/msg/InstanceArray"
NS_PER_S = 1_000_000_000
# Of Instance.msg; bags from before have instances without them.
TRACK_FIELDS = ("uint32 track_id", "uint32 track_age")


@dataclass(frozen=True)
class BagTopic:
    """A topic of a bag.

    Attributes:
        name: for example ``/camera/image_raw``.
        message_type: for example ``sensor_msgs/msg/Image``.
        message_count: messages stored; None where the bag must be read to know.
        definition: the recorder's text of the type; empty where the bag holds none.
        is_idl: ``definition`` is OMG IDL instead of ROS msg format.
    """

    name: str
    message_type: str
    message_count: int | None = None
    definition: str = ""
    is_idl: bool = False


@dataclass(frozen=True)
class RawMessage:
    """One message as stored.

    Attributes:
        topic: it was recorded from.
        log_time_ns: when the recorder received it, nanoseconds since the epoch.
        data: CDR with its four bytes of encapsulation.
    """

    topic: BagTopic
    log_time_ns: int
    data: bytes


@dataclass(frozen=True)
class Segment:
    """Messages of a bag by log time; by default all.

    Attributes:
        start_ns: the first is not before; None is the beginning of the bag.
        stop_ns: the last is before; None is the end of the bag.
        limit: most messages; 0 takes all.
    """

    start_ns: int | None = None
    stop_ns: int | None = None
    limit: int = 0

    @property
    def is_part(self) -> bool:
        """Others come before or after."""
        return (self.start_ns, self.stop_ns) != (None, None)


WHOLE = Segment()


@cache
def default_typestore(*, tracked: bool = True) -> Any:
    """A rosbags typestore with ROS 2 Jazzy's messages and those of this package's msg/*.msg.

    Args:
        tracked: False gives the messages as they were before objects were tracked.

    Raises:
        DependencyError: rosbags is not installed.
        DataError: this package's message definitions are missing or malformed.
    """
    typesys = require("rosbags.typesys", extra="bag")
    file = find_resource("msg/InstanceArray.msg")
    if file is None:
        looked = ", ".join(str(folder / "msg") for folder in resource_folders())
        raise DataError(f"InstanceArray.msg was not found in {looked}: reinstall yolact_ros")
    store = typesys.get_typestore(typesys.Stores.ROS2_JAZZY)
    types: dict[str, Any] = {}
    for path in sorted(file.parent.glob("*.msg")):
        lines = path.read_text(encoding="utf-8").splitlines()
        text = "\n".join(line for line in lines if tracked or line not in TRACK_FIELDS)
        name = f"yolact_ros/msg/{path.stem}"
        try:
            types.update(typesys.get_types_from_msg(text, name))
        except typesys.TypesysError as error:
            raise DataError(f"{path} is not a message definition: {error}") from error
    store.register(types)
    return store


def message_header(stamp_ns: int, frame_id: str) -> Any:
    """A std_msgs/Header."""
    types = default_typestore().types
    seconds, nanoseconds = divmod(stamp_ns, NS_PER_S)
    stamp = types["builtin_interfaces/msg/Time"](sec=seconds, nanosec=nanoseconds)
    return types["std_msgs/msg/Header"](stamp=stamp, frame_id=frame_id)


def serialize_instances(frame: FrameInstances) -> memoryview:
    """CDR bytes of an InstanceArray with bit-packed masks."""
    store = default_typestore()
    message = store.types[INSTANCE_ARRAY](
        header=message_header(frame.stamp_ns, frame.frame_id),
        image_height=frame.height_px,
        image_width=frame.width_px,
        instances=[
            _instance_message(store.types, found, frame.shape) for found in frame.instances
        ],
        report=_report_message(store.types, frame.report),
    )
    data: memoryview = store.serialize_cdr(message, INSTANCE_ARRAY)
    return data


def _instance_message(
    types: Mapping[str, Any], found: FoundInstance, shape: tuple[int, int]
) -> Any:
    x_min, y_min, width, height = found.bbox_xywh
    crop = MaskCrop(0, 0, 0, 0, np.zeros(0, np.uint8))
    if found.counts:
        crop = decode_crop(found.counts, *shape)
    mask = types["yolact_ros/msg/InstanceMask"](
        encoding=ENCODING_BITS if found.counts else ENCODING_NONE,
        x_offset=crop.x_offset,
        y_offset=crop.y_offset,
        width=crop.width,
        height=crop.height,
        counts=np.zeros(0, np.uint32),
        data=crop.bits,
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
    fields = [n for n in report_type.__dataclass_fields__ if n.islower() and n[:2] != "__"]
    return report_type(**{name: report.get(name, int(name == "deadline_met")) for name in fields})


def read_instances(message: RawMessage) -> FrameInstances:
    """The content of an InstanceArray, by the bag's own definition where it has one.

    Raises:
        DataError: of another type, cut off, or with masks that cannot be.
    """
    topic = message.topic
    if topic.message_type != INSTANCE_ARRAY:
        raise DataError(f"{topic.name} is of {topic.message_type}, expected {INSTANCE_ARRAY}")
    if topic.definition:
        return _frame_instances(_parsed(message.data, _recorded_typestore(topic)))
    return _frame_instances(_parsed_by_length(message.data))


def _parsed_by_length(data: bytes) -> Any:
    """Without a definition only the length tells: an older message is too short for today's."""
    try:
        return _parsed(data, default_typestore())
    except DataError:
        with suppress(DataError):
            return _parsed(data, default_typestore(tracked=False))
        raise


def _parsed(data: bytes, store: Any) -> Any:
    try:
        return store.deserialize_cdr(data, INSTANCE_ARRAY)
    except Exception as error:
        # rosbags checks most of what can be wrong, and fails somewhere else on the rest.
        raise DataError(f"not a readable InstanceArray: {error}") from error


def _frame_instances(parsed: Any) -> FrameInstances:
    shape = (int(parsed.image_height), int(parsed.image_width))
    stamp = parsed.header.stamp
    return FrameInstances(
        *shape,
        instances=tuple(_found_instance(row, shape) for row in parsed.instances),
        stamp_ns=int(stamp.sec) * NS_PER_S + int(stamp.nanosec),
        frame_id=str(parsed.header.frame_id),
        report={
            name: value
            for name, value in vars(parsed.report).items()
            if isinstance(value, int | float | bool)
        },
    )


@lru_cache(maxsize=8)
def _recorded_typestore(topic: BagTopic) -> Any:
    """A typestore that reads a topic's type as the bag's recorder defined it.

    Raises:
        DataError: the text cannot be parsed or does not define the type.
    """
    typesys = require("rosbags.typesys", extra="bag")
    store = typesys.get_typestore(typesys.Stores.EMPTY)
    types: dict[str, Any] = {}
    try:
        if topic.is_idl:
            # The recorder joins the files that a type depends on by lines of 80 signs.
            for part in topic.definition.split("=" * 80 + "\n"):
                text = part.partition("\n")[2] if part.startswith("IDL: ") else part
                types.update(typesys.get_types_from_idl(text) if text.strip() else {})
        else:
            types = typesys.get_types_from_msg(topic.definition, topic.message_type)
        store.register(types)
        store.get_msgdef(topic.message_type)
    except Exception as error:
        raise DataError(
            f"the bag's definition of {topic.message_type} cannot be used: {error}"
        ) from error
    return store


def _found_instance(row: Any, shape: tuple[int, int]) -> FoundInstance:
    left, top, right, bottom = (
        float(edge) for edge in (row.x_min, row.y_min, row.x_max, row.y_max)
    )
    box = (round(left, 2), round(top, 2), round(right - left, 2), round(bottom - top, 2))
    score = round(float(row.score), 6)
    without_mask = row.mask.encoding == ENCODING_NONE
    counts = "" if without_mask else to_coco_rle(row.mask, *shape)["counts"]
    # Bags from before objects were tracked have no such fields.
    track = (int(getattr(row, name, 0)) for name in ("track_id", "track_age"))
    return FoundInstance(int(row.class_id), str(row.class_name), score, box, counts, *track)
