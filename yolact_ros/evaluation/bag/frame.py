"""What an evaluation knows about one frame, and its form as a line of JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = [
    "DROPPED",
    "FAILED",
    "PROCESSED",
    "UNREADABLE",
    "FoundInstance",
    "FrameRecord",
    "FrameTiming",
]

PROCESSED = "processed"
UNREADABLE = "unreadable"
FAILED = "failed"
DROPPED = "dropped"


@dataclass(frozen=True)
class FoundInstance:
    """One detection.

    Attributes:
        class_id: index in the class list of the model.
        class_name: its name there.
        score: 0..1.
        bbox_xywh: left, top, width and height in pixels.
        counts: COCO's compressed run lengths over the whole image; empty without a mask.
        track_id: of its object; 0 where it is not tracked.
        track_age: frames in which the object was found, this one included; 0 likewise.
    """

    class_id: int
    class_name: str
    score: float
    bbox_xywh: tuple[float, float, float, float]
    counts: str = ""
    track_id: int = 0
    track_age: int = 0


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
    wait_ms: float
    total_ms: float
    image_age_ms: float
    budget_ms: float
    deadline_met: bool
    degradation: int
    input_size_px: int


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

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; :meth:`from_dict` is the inverse."""
        values: dict[str, Any] = {
            key: value
            for key, value in vars(self).items()
            if key not in ("instances", "times_ms", "timing")
        }
        values["times_ms"] = {key: round(value, 3) for key, value in self.times_ms.items()}
        values["instances"] = [
            [
                *(found.class_id, found.class_name, found.score, *found.bbox_xywh, found.counts),
                *((found.track_id, found.track_age) if found.track_id else ()),
            ]
            for found in self.instances
        ]
        if self.timing is not None:
            values["timing"] = asdict(self.timing)
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> FrameRecord:
        """Build a record from :meth:`to_dict`'s result.

        Raises:
            KeyError, TypeError, ValueError: it is not such a result.
        """
        plain = dict(values)
        timing = plain.pop("timing", None)
        instances = tuple(
            FoundInstance(int(class_id), class_name, score, (x, y, width, height), counts, *track)
            for class_id, class_name, score, x, y, width, height, counts, *track in plain.pop(
                "instances"
            )
        )
        return cls(
            **plain,
            instances=instances,
            timing=None if timing is None else FrameTiming(**timing),
        )
