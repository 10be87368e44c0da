"""What an evaluation knows about one frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from yolact_ros.prediction import Prediction

__all__ = [
    "DROPPED",
    "FAILED",
    "PROCESSED",
    "UNREADABLE",
    "FoundInstance",
    "FrameInstances",
    "FrameRecord",
    "FrameTiming",
    "found_instances",
]

PROCESSED = "processed"
UNREADABLE = "unreadable"
FAILED = "failed"
DROPPED = "dropped"


@dataclass(frozen=True)
class FoundInstance:
    """One detection, or one object of a truth.

    Attributes:
        class_id: index in the class list of the model or of the truth.
        class_name: its name there.
        score: 0..1; of a truth 1 for an object and 0 for a crowd region, in which finding
            something is neither right nor wrong.
        bbox_xywh: left, top, width and height in pixels.
        counts: COCO's compressed run lengths over the whole image; empty without a mask.
        track_id: of its object; 0 where it is not tracked.
        track_age: frames in which the object was found, this one included; 0 likewise.
        area_px: as the truth's file gives it; None takes that of mask or box.
    """

    class_id: int
    class_name: str
    score: float
    bbox_xywh: tuple[float, float, float, float]
    counts: str = ""
    track_id: int = 0
    track_age: int = 0
    area_px: float | None = None

    @property
    def is_crowd(self) -> bool:
        """Of a truth: a region of many objects."""
        return self.score <= 0.0


def found_instances(
    prediction: Prediction, class_names: Sequence[str]
) -> tuple[FoundInstance, ...]:
    """A prediction as an evaluation stores it: rounded like COCO results, so AP is the same."""
    return tuple(
        FoundInstance(
            class_id=row["category_id"],
            class_name=class_names[row["category_id"]],
            score=row["score"],
            bbox_xywh=tuple(row["bbox"]),
            counts=row["segmentation"]["counts"] if "segmentation" in row else "",
            track_id=row.get("track_id", 0),
            track_age=row.get("track_age", 0),
        )
        for row in prediction.to_coco(0, range(len(class_names)))
    )


@dataclass(frozen=True)
class FrameInstances:
    """The instances of one image: the content of an InstanceArray, and what a truth knows.

    Attributes:
        height_px, width_px: of the image.
        instances: in the order of the message.
        stamp_ns, frame_id: of the header.
        report: fields of FrameReport by name.
    """

    height_px: int
    width_px: int
    instances: tuple[FoundInstance, ...]
    stamp_ns: int = 0
    frame_id: str = ""
    report: Mapping[str, Any] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the image."""
        return self.height_px, self.width_px


@dataclass(frozen=True)
class FrameTiming:
    """When a frame of a replay or of a recorded robot was worked on.

    Attributes:
        received_ms: since the first frame, by the clock of the replay.
        published_ms: likewise; when the consumer had the result.
        wait_ms: reception to start of work.
        total_ms: reception to publication.
        image_age_ms: stamp to publication where the clocks allow it, else ``total_ms``.
        budget_ms: deadline; 0 without one.
        deadline_met: ``total_ms`` is within the budget.
        degradation: bits as in FrameReport.
        input_size_px: side of the network input.
    """

    received_ms: float
    published_ms: float
    wait_ms: float = 0.0
    total_ms: float = 0.0
    image_age_ms: float = 0.0
    budget_ms: float = 0.0
    deadline_met: bool = False
    degradation: int = 0
    input_size_px: int = 0


@dataclass(frozen=True)
class FrameRecord:
    """One frame of the image topic.

    Attributes:
        index: position on the topic, from 0, unreadable messages counted.
        stamp_ns: header.stamp.
        log_time_ns: when the recorder received it.
        height_px, width_px: of the image; 0 where it could not be decoded.
        status: ``processed``, ``unreadable`` (image), ``failed`` (network) or ``dropped``.
        reason: why it was not processed.
        bits: in use by the topic's 16-bit pixels up to here; 0 where they have 8.
        instances: detections, highest score first.
        times_ms: milliseconds by stage: decode, preprocess, inference, postprocess.
        timing: in real-time mode and of recorded predictions.
    """

    index: int
    stamp_ns: int
    log_time_ns: int
    height_px: int = 0
    width_px: int = 0
    status: str = PROCESSED
    reason: str = ""
    bits: int = 0
    instances: tuple[FoundInstance, ...] = ()
    times_ms: Mapping[str, float] = field(default_factory=dict)
    timing: FrameTiming | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the image."""
        return self.height_px, self.width_px
