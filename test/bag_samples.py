"""Small bags and truth for the bag tests, made from moving rectangles."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from yolact_ros.evaluation.bag.definitions import (
    COMPRESSED_IMAGE,
    IMAGE,
    INSTANCE_ARRAY,
    default_typestore,
)
from yolact_ros.evaluation.bag.frame import FoundInstance
from yolact_ros.evaluation.bag.instances import InstanceMessage, serialize_instances
from yolact_ros.evaluation.bag.rle import crop_to_rle
from yolact_ros.structures import MaskCrop

START_NS = 1_700_000_000_000_000_000
PERIOD_NS = 100_000_000
WIDTH_PX, HEIGHT_PX = 96, 64
IMAGE_TOPIC = "/camera/image_raw"
TRUTH_TOPIC = "/truth"

Message = tuple[str, str, int, bytes]
"""Topic, type, log time in nanoseconds, CDR bytes."""


def stamp_ns(index: int) -> int:
    return START_NS + index * PERIOD_NS


def rectangle(index: int, number: int = 0) -> tuple[int, int, int, int]:
    """Left, top, width and height of rectangle ``number`` in frame ``index``."""
    return (4 + (3 * index + 37 * number) % 50, 6 + 9 * number, 30, 20 + 3 * number)


def frame_bgr(index: int, objects: int = 1) -> NDArray[np.uint8]:
    image = np.full((HEIGHT_PX, WIDTH_PX, 3), 90, np.uint8)
    for number in range(objects):
        x, y, width, height = rectangle(index, number)
        image[y : y + height, x : x + width] = (30, 60 + 80 * number, 220)
    return image


def box_instance(
    box: tuple[int, int, int, int], name: str = "person", score: float = 1.0, class_id: int = 0
) -> FoundInstance:
    """An instance whose mask fills its box."""
    x, y, width, height = box
    bits = np.packbits(np.ones(width * height, np.uint8))
    counts = crop_to_rle(MaskCrop(x, y, width, height, bits), (HEIGHT_PX, WIDTH_PX))
    return FoundInstance(
        class_id, name, score, (float(x), float(y), float(width), float(height)), counts
    )


def instance_message(index: int, instances: Iterable[FoundInstance]) -> bytes:
    message = InstanceMessage(stamp_ns(index), "camera", HEIGHT_PX, WIDTH_PX, tuple(instances), {})
    return bytes(serialize_instances(message))


def image_message(
    image: NDArray[np.uint8], time_ns: int, encoding: str = "bgr8", **changes: Any
) -> bytes:
    store = default_typestore()
    height, width = image.shape[:2]
    fields: dict[str, Any] = {
        "header": header(time_ns),
        "height": height,
        "width": width,
        "encoding": encoding,
        "is_bigendian": 0,
        "step": image.nbytes // height,
        "data": np.ascontiguousarray(image).reshape(-1),
    } | changes
    return bytes(store.serialize_cdr(store.types[IMAGE](**fields), IMAGE))


def compressed_message(data: NDArray[np.uint8], time_ns: int, fmt: str = "jpeg") -> bytes:
    store = default_typestore()
    message = store.types[COMPRESSED_IMAGE](
        header=header(time_ns), format=fmt, data=data.reshape(-1)
    )
    return bytes(store.serialize_cdr(message, COMPRESSED_IMAGE))


def header(time_ns: int) -> Any:
    types = default_typestore().types
    stamp = types["builtin_interfaces/msg/Time"](
        sec=time_ns // 1_000_000_000, nanosec=time_ns % 1_000_000_000
    )
    return types["std_msgs/msg/Header"](stamp=stamp, frame_id="camera")


def image_messages(num_frames: int, objects: int = 1) -> list[Message]:
    return [
        (IMAGE_TOPIC, IMAGE, stamp_ns(i), image_message(frame_bgr(i, objects), stamp_ns(i)))
        for i in range(num_frames)
    ]


def truth_messages(num_frames: int, objects: int = 1) -> list[Message]:
    return [
        (
            TRUTH_TOPIC,
            INSTANCE_ARRAY,
            stamp_ns(i) + 1,
            instance_message(i, [box_instance(rectangle(i, n)) for n in range(objects)]),
        )
        for i in range(num_frames)
    ]


def write_bag(
    path: Path,
    messages: Iterable[Message],
    *,
    storage: str = "mcap",
    compression: str = "none",
) -> Path:
    """A bag folder by rosbags' writer; ``compression`` is none, file, message or storage."""
    store = default_typestore()
    writer = Writer(path, version=9, storage_plugin=StoragePlugin[storage.upper()])
    writer.set_compression(CompressionMode[compression.upper()], CompressionFormat.ZSTD)
    connections: dict[tuple[str, str], Any] = {}
    with writer:
        for topic, message_type, log_time_ns, data in messages:
            key = (topic, message_type)
            if key not in connections:
                connections[key] = writer.add_connection(topic, message_type, typestore=store)
            writer.write(connections[key], log_time_ns, data)
    return path


def truth_json(num_frames: int, objects: int = 1, **image_fields: Any) -> dict[str, Any]:
    """COCO annotations of the same rectangles, keyed by ``stamp_ns``."""
    images, annotations = [], []
    for index in range(num_frames):
        images.append(
            {
                "id": index + 1,
                "file_name": f"{index}.png",
                "width": WIDTH_PX,
                "height": HEIGHT_PX,
                "stamp_ns": stamp_ns(index),
            }
            | image_fields
        )
        for number in range(objects):
            x, y, width, height = rectangle(index, number)
            corners = [x, y, x + width, y, x + width, y + height, x, y + height]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": index + 1,
                    "category_id": 1,
                    "bbox": [x, y, width, height],
                    "area": float(width * height),
                    "iscrowd": 0,
                    "segmentation": [[float(value) for value in corners]],
                }
            )
    return {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 1, "name": "person"}],
    }
