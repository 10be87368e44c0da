"""Truth from a topic of InstanceArray messages, tied to frames by their stamps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from yolact_ros.datasets.coco_data import CocoCategory
from yolact_ros.errors import DataError
from yolact_ros.evaluation.bag.definitions import INSTANCE_ARRAY
from yolact_ros.evaluation.bag.instances import InstanceMessage, InstanceReader
from yolact_ros.evaluation.bag.storage import Bag
from yolact_ros.evaluation.bag.truth import Truth, TruthFrame

__all__ = ["read_truth_topic"]

# A truth instance of score 0 covers a crowd: finding something in it is neither right nor wrong.
CROWD_SCORE = 0.0


def read_truth_topic(bag: Bag, topic: str) -> Truth:
    """Read the annotations that a topic holds, one message a frame.

    Args:
        bag: that holds the topic; unreadable messages are added to its problems.
        topic: of type InstanceArray. An instance of score 0 is a crowd region, any other an
            object.

    Raises:
        DataError: no such topic, of another type, or without any class.
    """
    found = bag.topics.get(topic)
    if found is None or found.message_type != INSTANCE_ARRAY:
        candidates = [t.name for t in bag.topics.values() if t.message_type == INSTANCE_ARRAY]
        there = f"it has {', '.join(candidates)}" if candidates else "it has none"
        raise DataError(f"{bag.path}: no topic {topic} of type {INSTANCE_ARRAY}; {there}")
    ids: dict[str, int] = {}

    def frames() -> Iterator[tuple[int, TruthFrame]]:
        reader = InstanceReader()
        for number, message in enumerate(bag.messages({topic})):
            try:
                content = reader.read(message)
            except DataError as error:
                bag.problems.add(
                    "unreadable truth",
                    f"{topic} message {number}, log time {message.log_time_ns} ns",
                    str(error),
                )
                continue
            yield content.stamp_ns, _frame(content, ids)

    try:
        # The classes are known after the last message.
        truth = Truth("stamp", [CocoCategory(0, "")], frames())
    except DataError as error:
        raise DataError(f"{bag.path}: {topic}: {error}") from error
    truth.categories = [CocoCategory(number, name) for name, number in ids.items()]
    if not ids:
        truth.close()
        raise DataError(f"{bag.path}: {topic} names no class")
    return truth


def _frame(content: InstanceMessage, ids: dict[str, int]) -> TruthFrame:
    annotations = []
    for found in content.instances:
        annotation: dict[str, Any] = {
            "category_id": ids.setdefault(found.class_name, len(ids) + 1),
            "bbox": list(found.bbox_xywh),
            "iscrowd": int(found.score <= CROWD_SCORE),
        }
        if found.track_id:
            annotation["track_id"] = found.track_id
        if found.counts:
            size = [content.height_px, content.width_px]
            annotation["segmentation"] = {"size": size, "counts": found.counts}
        annotations.append(annotation)
    return {"height": content.height_px, "width": content.width_px, "annotations": annotations}
