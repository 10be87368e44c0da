"""Small bags and truth for the bag tests, made from moving rectangles."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from yolact_ros.evaluation.bag.frame import FoundInstance, FrameInstances
from yolact_ros.evaluation.bag.options import ReplayOptions
from yolact_ros.evaluation.bag.reading.messages import (
    COMPRESSED_IMAGE,
    IMAGE,
    INSTANCE_ARRAY,
    default_typestore,
    serialize_instances,
)
from yolact_ros.evaluation.bag.reading.sources import BagSource
from yolact_ros.evaluation.bag.units.model_source import ModelSource
from yolact_ros.inference.predictor import DetectedFrame, StageTimes
from yolact_ros.inference.quality.plan import OverrunPolicy
from yolact_ros.inference.quality.runner import BudgetRunner
from yolact_ros.inference.settings import PredictionSettings
from yolact_ros.ops.coco_rle import encode_crop
from yolact_ros.ops.placement import Placement
from yolact_ros.prediction import Prediction
from yolact_ros.structures import Detections, MaskCrop
from yolact_ros.tracking import TrackerSettings

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
    """Left, top, width and height of rectangle ``number`` (0 to 2) in frame ``index``."""
    return (4 + (3 * index + 37 * number) % 50, 2 + 21 * number, 30, 16 + number)


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
    counts = encode_crop(MaskCrop(x, y, width, height, bits), HEIGHT_PX, WIDTH_PX)["counts"]
    return FoundInstance(
        class_id, name, score, (float(x), float(y), float(width), float(height)), counts
    )


def instance_message(index: int, instances: Iterable[FoundInstance]) -> bytes:
    found = FrameInstances(HEIGHT_PX, WIDTH_PX, tuple(instances), stamp_ns(index), "camera")
    return bytes(serialize_instances(found))


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


def mono16_message(image: NDArray[np.uint16], time_ns: int) -> bytes:
    rows = image.astype("<u2").view(np.uint8)
    return image_message(rows, time_ns, "mono16", width=image.shape[1])


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


def truth_messages(num_frames: int, objects: int = 1, *, tracked: bool = False) -> list[Message]:
    return [
        (
            TRUTH_TOPIC,
            INSTANCE_ARRAY,
            stamp_ns(i) + 1,
            instance_message(
                i,
                [
                    replace(box_instance(rectangle(i, n)), track_id=n + 1 if tracked else 0)
                    for n in range(objects)
                ],
            ),
        )
        for i in range(num_frames)
    ]


def sources(*bags: Path, truth: str = TRUTH_TOPIC) -> tuple[BagSource, ...]:
    """The bags as an evaluation takes them."""
    return tuple(BagSource(bag, truth=truth) for bag in bags)


def write_bag(
    path: Path,
    messages: Iterable[Message],
    *,
    storage: str = "mcap",
    compression: str = "none",
    version: int = 9,
    typestore: Any = None,
) -> Path:
    """A bag folder by rosbags' writer; ``compression`` is none, file, message or storage.

    Bags of version 8 hold no definitions of their messages.
    """
    store = typestore or default_typestore()
    writer = Writer(path, version=version, storage_plugin=StoragePlugin[storage.upper()])
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


@dataclass(frozen=True)
class ShapeSource(ModelSource):
    """A model that finds the rectangles by their red, so that every answer is known.

    Attributes:
        shift_px: every mask is moved to the right by so much.
        miss_every: every n-th frame finds nothing; 0 for none.
        fail_on: frames (counted by the segmenter) on which it raises.
        delay_ms: each frame takes so long.
        crash_after: the process is killed after so many frames; 0 for never.
    """

    shift_px: int = 0
    miss_every: int = 0
    fail_on: tuple[int, ...] = ()
    delay_ms: float = 0.0
    crash_after: int = 0

    def open(self) -> Any:
        return ShapeSegmenter(self)

    def open_runner(
        self, replay: ReplayOptions, tracker: TrackerSettings | None = None
    ) -> BudgetRunner:
        sizes = replay.input_sizes_px or (320,)
        predictors: Any = {size: ShapePredictor(self, size) for size in sizes}
        return BudgetRunner(
            predictors,
            PredictionSettings(),
            budget_ms=replay.budget_ms,
            policy=OverrunPolicy(replay.overrun_policy),
            tracker=tracker,
        )

    def describe(self) -> dict[str, Any]:
        return {"model": f"shapes moved by {self.shift_px}", "class_names": ["person", "dog"]}


class ShapeSegmenter:
    class_names = ("person", "dog")

    def __init__(self, source: ShapeSource) -> None:
        self._source = source
        self._count = 0

    def predict_timed(self, image_bgr: NDArray[np.uint8]) -> tuple[Prediction, StageTimes]:
        source, number = self._source, self._count
        self._count += 1
        if source.crash_after and number >= source.crash_after:
            os.kill(os.getpid(), signal.SIGKILL)
        if number in source.fail_on:
            raise RuntimeError("the network is broken")
        if source.delay_ms:
            time.sleep(source.delay_ms / 1e3)
        height, width = image_bgr.shape[:2]
        greens = sorted(set(image_bgr[..., 1][image_bgr[..., 2] > 200].tolist()))
        if source.miss_every and number % source.miss_every == source.miss_every - 1:
            greens = []
        boxes, masks = [], []
        for green in greens:
            mask = (image_bgr[..., 2] > 200) & (image_bgr[..., 1] == green)
            mask = np.roll(mask, source.shift_px, axis=1)
            rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            x, y = int(columns[0]), int(rows[0])
            right, bottom = int(columns[-1]) + 1, int(rows[-1]) + 1
            boxes.append((x, y, right, bottom))
            bits = np.packbits(mask[y:bottom, x:right])
            masks.append(MaskCrop(x, y, right - x, bottom - y, bits))
        count = len(boxes)
        prediction = Prediction(
            height,
            width,
            np.zeros(count, np.int64),
            np.linspace(0.9, 0.8, count, dtype=np.float32),
            np.array(boxes, np.float32).reshape(-1, 4),
            tuple(masks),
        )
        return prediction, StageTimes(0.5, 2.0, 0.25)

    def close(self) -> None:
        pass


class ShapePredictor:
    """:class:`ShapeSegmenter` in two steps; takes ``delay_ms`` at 320 px and less at less."""

    class_names = ShapeSegmenter.class_names
    rescores_masks = False

    def __init__(self, source: ShapeSource, size_px: int) -> None:
        self._delay_s = source.delay_ms / 1e3 * (size_px / 320) ** 2
        self._segmenter = ShapeSegmenter(replace(source, delay_ms=0.0))
        self._found: Prediction | None = None

    def warm_up(self) -> None:
        pass

    def detect(self, image_bgr: NDArray[np.uint8]) -> DetectedFrame:
        time.sleep(self._delay_s)
        self._found, _ = self._segmenter.predict_timed(image_bgr)
        found = self._found
        height, width = image_bgr.shape[:2]
        no_coefficients = np.zeros((len(found), 0), np.float32)
        detections = Detections(found.boxes_xyxy, found.scores, found.class_ids, no_coefficients)
        settings = PredictionSettings()
        return DetectedFrame(
            detections,
            torch.empty(0),
            height,
            width,
            Placement(height, width, 0, 0, width, height),
            settings,
            StageTimes(1.0, 2.0, 0.0),
        )

    def finish(
        self,
        frame: DetectedFrame,
        *,
        masks: bool = True,
        max_instances: int | None = None,
        mask_stride: int = 1,
    ) -> tuple[Prediction, StageTimes]:
        assert self._found is not None
        found = self._found
        return Prediction(
            found.image_height_px,
            found.image_width_px,
            found.class_ids[:max_instances],
            found.scores[:max_instances],
            found.boxes_xyxy[:max_instances],
            found.mask_crops[:max_instances] if masks else (),
        ), frame.times

    def close(self) -> None:
        pass
