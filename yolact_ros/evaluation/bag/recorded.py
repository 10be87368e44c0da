"""Records from InstanceArray messages that a robot published, so that no network has to run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from yolact_ros.errors import DataError
from yolact_ros.evaluation.bag.definitions import INSTANCE_ARRAY
from yolact_ros.evaluation.bag.frame import DROPPED, FoundInstance, FrameRecord, FrameTiming
from yolact_ros.evaluation.bag.images import image_frames
from yolact_ros.evaluation.bag.instances import InstanceMessage, InstanceReader
from yolact_ros.evaluation.bag.spool import Spool
from yolact_ros.evaluation.bag.storage import Bag

__all__ = ["RecordedPredictions"]

STAGES = ("preprocess", "inference", "postprocess")


class RecordedPredictions:
    """The results on a topic, found by the stamps of their images; kept on disk.

    Args:
        bag: that holds the topic; unreadable messages are added to its problems.
        topic: of type InstanceArray.
        same_clock: the images are in this bag too, so that its log times say when a consumer
            had each result; otherwise reception plus ``report.total_ms`` does.

    Attributes:
        first_budget_ms: of the first message; the deadline of frames without a result.

    Raises:
        DataError: no such topic, of another type, or without a readable message.
    """

    def __init__(self, bag: Bag, topic: str, *, same_clock: bool) -> None:
        found = bag.topics.get(topic)
        if found is None or found.message_type != INSTANCE_ARRAY:
            there = [t.name for t in bag.topics.values() if t.message_type == INSTANCE_ARRAY]
            raise DataError(
                f"{bag.path}: no topic {topic} of type {INSTANCE_ARRAY}; it has "
                f"{', '.join(there) or 'none'}"
            )
        self.first_budget_ms = 0.0
        self._topic = topic
        self._same_clock = same_clock
        self._messages = Spool()
        self._used: set[int] = set()
        reader = InstanceReader()
        for number, message in enumerate(bag.messages({topic})):
            place = f"{topic} message {number}, log time {message.log_time_ns} ns"
            try:
                content = reader.read(message)
            except DataError as error:
                bag.problems.add("unreadable result", place, str(error))
                continue
            if not self._messages:
                self.first_budget_ms = float(content.report.get("budget_ms", 0.0))
            value = {"log_time_ns": message.log_time_ns, **_to_json(content)}
            if not self._messages.put(content.stamp_ns, value):
                bag.problems.add("result given twice", place, "its stamp came before; first used")
        if not self._messages:
            raise DataError(f"{bag.path}: {topic} has no readable message")

    def of_images(self, bag: Bag, topic: str) -> Iterator[FrameRecord]:
        """A record for every image of a topic; those without a result are dropped frames."""
        first_ns: int | None = None
        for frame in image_frames(bag, topic):
            log_time_ns = frame.message.log_time_ns
            first_ns = log_time_ns if first_ns is None else first_ns
            received_ms = (log_time_ns - first_ns) / 1e6
            if frame.stamp_ns in self._messages and frame.stamp_ns not in self._used:
                self._used.add(frame.stamp_ns)
                value = self._messages.get(frame.stamp_ns)
                published_ms = (value["log_time_ns"] - first_ns) / 1e6
                yield _record(
                    frame.index,
                    value,
                    log_time_ns,
                    received_ms,
                    published_ms if self._same_clock else None,
                )
            else:
                yield FrameRecord(
                    index=frame.index,
                    stamp_ns=frame.stamp_ns,
                    log_time_ns=log_time_ns,
                    status=DROPPED,
                    reason=f"no message on {self._topic} has its stamp",
                    timing=FrameTiming(
                        received_ms, received_ms, 0.0, 0.0, 0.0, self.first_budget_ms, False, 0, 0
                    ),
                )

    def alone(self) -> Iterator[FrameRecord]:
        """A record for every message, where no images were recorded; drops cannot be seen."""
        first_ns: int | None = None
        for index, stamp_ns in enumerate(self._messages):
            value = self._messages.get(stamp_ns)
            log_time_ns = value["log_time_ns"]
            first_ns = log_time_ns if first_ns is None else first_ns
            total_ms = float(value["report"].get("total_ms", 0.0))
            published_ms = (log_time_ns - first_ns) / 1e6
            yield _record(index, value, log_time_ns, published_ms - total_ms, published_ms)

    def unmatched(self) -> list[int]:
        """Stamps of results that no image asked for."""
        return [stamp_ns for stamp_ns in self._messages if stamp_ns not in self._used]

    def close(self) -> None:
        """Remove the file."""
        self._messages.close()


def _to_json(content: InstanceMessage) -> dict[str, Any]:
    return {
        "stamp_ns": content.stamp_ns,
        "height_px": content.height_px,
        "width_px": content.width_px,
        "instances": [asdict(found) for found in content.instances],
        "report": dict(content.report),
    }


def _record(
    index: int,
    value: Mapping[str, Any],
    log_time_ns: int,
    received_ms: float,
    published_ms: float | None,
) -> FrameRecord:
    report = value["report"]
    total_ms = float(report.get("total_ms", 0.0))
    return FrameRecord(
        index=index,
        stamp_ns=int(value["stamp_ns"]),
        log_time_ns=log_time_ns,
        height_px=int(value["height_px"]),
        width_px=int(value["width_px"]),
        instances=tuple(
            FoundInstance(**{**row, "bbox_xywh": tuple(row["bbox_xywh"])})
            for row in value["instances"]
        ),
        times_ms={stage: float(report.get(f"{stage}_ms", 0.0)) for stage in STAGES},
        timing=FrameTiming(
            received_ms=received_ms,
            published_ms=received_ms + total_ms if published_ms is None else published_ms,
            wait_ms=float(report.get("wait_ms", 0.0)),
            total_ms=total_ms,
            image_age_ms=float(report.get("image_age_ms", 0.0)) + total_ms,
            budget_ms=float(report.get("budget_ms", 0.0)),
            deadline_met=bool(report.get("deadline_met", True)),
            degradation=int(report.get("degradation", 0)),
            input_size_px=int(report.get("input_size", 0)),
        ),
    )
