"""From a received image to its published result, within the budget.

The node and the replay of a bag run this same class, so a replay does what the robot does.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from yolact_ros.errors import FrameFault
from yolact_ros.inference.cdr import MessageHeader
from yolact_ros.inference.detected_frame import DetectedFrame, StageTimes
from yolact_ros.inference.quality.plan import FrameOutcome, FramePlan
from yolact_ros.inference.quality.runner import BudgetRunner
from yolact_ros.inference.runtimes.base import DeviceMemoryError
from yolact_ros.inference.slots import FrameSlots
from yolact_ros.inference.tracking import follow_in
from yolact_ros.prediction import Prediction
from yolact_ros.tracking import Tracker, TrackerSettings

__all__ = ["DecodedFrame", "FrameProcessor", "FrameResult", "ImageTopic", "ReceivedFrame"]

NS_PER_MS, NS_PER_S, MS_PER_S = 1e6, 1e9, 1e3
OUT_OF_MEMORY_PAUSE_MS = 10_000.0


class ReceivedFrame(Protocol):
    """An image message that has arrived."""

    @property
    def received_ms(self) -> float:
        """When, in milliseconds of the monotonic clock."""


@dataclass(frozen=True)
class DecodedFrame:
    """An image ready for the network.

    Attributes:
        image_bgr (uint8[H, W, 3]): its pixels.
        age_ms: reception minus stamp.
    """

    header: MessageHeader
    image_bgr: NDArray[np.uint8]
    age_ms: float


Frame = TypeVar("Frame", bound=ReceivedFrame)
Message = TypeVar("Message")


@dataclass(frozen=True)
class FrameResult(Generic[Frame, Message]):
    """A frame that was worked on to the end.

    Attributes:
        message: as its topic encoded it.
        plan, outcome: of the budget.
        times: of the stages; decoding is part of the first, encoding of the last.
        decode_ms: of the first.
        batched: the network worked on it together with frames of other topics.
    """

    received: Frame
    decoded: DecodedFrame
    prediction: Prediction
    message: Message
    plan: FramePlan
    outcome: FrameOutcome
    times: StageTimes
    decode_ms: float
    batched: bool

    @property
    def time_s(self) -> float:
        """When the image was taken, by its stamp; without one, when it came."""
        return _time_s(self.received, self.decoded)


class ImageTopic(Protocol[Frame, Message]):
    """Where frames come from and results go to: a camera of the node, or a topic of a bag.

    All but :attr:`name` is called by the thread that works on the frames.
    """

    @property
    def name(self) -> str:
        """Distinguishes the topics of one processor."""

    def wants_masks(self) -> bool:
        """Whether anybody needs masks now."""

    def decode(self, received: Frame) -> DecodedFrame | None:
        """The pixels; None for a frame that the topic itself drops and counts.

        Raises:
            FrameFault: they cannot be had.
        """

    def encode(self, decoded: DecodedFrame, prediction: Prediction) -> Message:
        """What is to be published, without the report; its time is part of the frame's."""

    def publish(self, result: FrameResult[Frame, Message]) -> None:
        """Publish a result, unless its outcome says that it is dropped for being late."""

    def replaced(self, frames: int) -> None:
        """Newer frames replaced so many while they waited."""

    def skipped(self, received: Frame) -> None:
        """A frame was left out for the next one, which is due at once."""

    def late(self, received: Frame, *, batched: bool) -> None:
        """A frame was dropped before its masks, since it was late already."""

    def failed(self, received: Frame, cause: str, text: str) -> None:
        """A frame could not be worked on; ``cause`` is a word to count it by."""

    def warn(self, cause: str, text: str) -> None:
        """Something is wrong, and no frame is lost by it."""


@dataclass(frozen=True)
class _Work(Generic[Frame, Message]):
    """A frame in hand."""

    topic: ImageTopic[Frame, Message]
    received: Frame
    plan: FramePlan
    decoded: DecodedFrame
    decode_ms: float


class FrameProcessor(Generic[Frame, Message]):
    """Works on one frame at a time, or on a batch of several topics', in one thread.

    Args:
        runner: what runs the networks for the next frame, with masks or without.
        tracker: how the objects of the next frame are followed; None follows none.
        track_ids: new ids come from it; no two objects of any topic have the same.
    """

    def __init__(
        self,
        runner: Callable[[bool], BudgetRunner],
        topics: Sequence[ImageTopic[Frame, Message]],
        *,
        tracker: Callable[[], TrackerSettings | None] = lambda: None,
        track_ids: Iterator[int] | None = None,
    ) -> None:
        self._runner = runner
        self._topics = topics
        self._tracker_settings = tracker
        self._track_ids = itertools.count(1) if track_ids is None else track_ids
        self._trackers: dict[str, Tracker] = {}

    def process(
        self,
        topic: ImageTopic[Frame, Message],
        received: Frame,
        replaced: int,
        slots: FrameSlots[Any, Any],
    ) -> None:
        """Plan, decode, predict, encode and publish; what is wrong with a frame is reported.

        Where the budget finds that it pays, frames of other topics that wait are worked on in
        the same run of the network.
        """
        topic.replaced(replaced)
        masks = topic.wants_masks()
        runner = self._runner(masks)
        plan = runner.begin(
            received.received_ms,
            source=topic.name,
            queued=sum(other in slots for other in self._topics),
            replaced=replaced,
        )
        if not plan.run:
            topic.skipped(received)
            return
        works = list(self._decode(topic, received, plan, runner))
        if works and plan.batch_size > 1:
            works += self._join(runner, slots, most=plan.batch_size - 1, masks=masks)
        detected: Sequence[DetectedFrame | None] = [None] * len(works)
        if len(works) > 1:
            detected = _detect_together(works, runner)
        for work, found in zip(works, detected, strict=True):
            _complete(work, found, runner, self._tracker(work.topic.name))

    def _tracker(self, topic_name: str) -> Tracker | None:
        """The tracker of a topic, as it is asked for now; another kind begins anew."""
        settings = self._tracker_settings()
        tracker = self._trackers.pop(topic_name, None)
        if settings is None:
            return None
        if tracker is None or tracker.settings.name != settings.name:
            tracker = Tracker(settings, self._track_ids)
        tracker.settings = settings
        self._trackers[topic_name] = tracker
        return tracker

    def _join(
        self,
        runner: BudgetRunner,
        slots: FrameSlots[Any, Any],
        *,
        most: int,
        masks: bool,
    ) -> Iterator[_Work[Frame, Message]]:
        """Frames that wait and can be worked on with the same settings, decoded."""
        alike = [topic for topic in self._topics if topic.wants_masks() == masks]
        for taken in slots.take_more(alike, most):
            topic, received = taken.key, taken.item
            topic.replaced(taken.replaced)
            plan = runner.join(received.received_ms, source=topic.name, replaced=taken.replaced)
            yield from self._decode(topic, received, plan, runner)

    def _decode(
        self,
        topic: ImageTopic[Frame, Message],
        received: Frame,
        plan: FramePlan,
        runner: BudgetRunner,
    ) -> Iterator[_Work[Frame, Message]]:
        """The frame ready for the network, or nothing if it was dropped and counted."""
        begun_ns = time.monotonic_ns()
        try:
            decoded = topic.decode(received)
        except FrameFault as fault:
            topic.failed(received, fault.cause, str(fault))
            decoded = None
        if decoded is None:
            runner.abandon(plan)
            return
        decode_ms = (time.monotonic_ns() - begun_ns) / NS_PER_MS
        yield _Work(topic, received, plan, decoded, decode_ms)


def _detect_together(
    works: Sequence[_Work[Frame, Message]], runner: BudgetRunner
) -> Sequence[DetectedFrame | None]:
    """The detections of a batch; None for each if it failed, so that each is tried alone."""
    images_bgr = [work.decoded.image_bgr for work in works]
    try:
        return runner.detect_together(works[0].plan, images_bgr)
    except Exception as error:  # what is wrong with one frame must not cost the others
        works[0].topic.warn(
            "batch",
            f"a batch of {len(works)} frames failed with {type(error).__name__}: {error}; "
            "working on them one by one",
        )
        return [None] * len(works)


def _complete(
    work: _Work[Frame, Message],
    detected: DetectedFrame | None,
    runner: BudgetRunner,
    tracker: Tracker | None,
) -> None:
    """Find the instances, encode and publish."""
    result = _predict(work, detected, runner, tracker)
    if result is None:
        runner.abandon(work.plan)
        return
    prediction, stages = result
    begun_ns = time.monotonic_ns()
    message = work.topic.encode(work.decoded, prediction)
    encode_ms = (time.monotonic_ns() - begun_ns) / NS_PER_MS
    outcome = runner.finish()
    times = StageTimes(
        work.decode_ms + stages.preprocess_ms,
        stages.inference_ms,
        stages.postprocess_ms + encode_ms,
    )
    work.topic.publish(
        FrameResult(
            received=work.received,
            decoded=work.decoded,
            prediction=prediction,
            message=message,
            plan=work.plan,
            outcome=outcome,
            times=times,
            decode_ms=work.decode_ms,
            batched=detected is not None,
        )
    )


def _predict(
    work: _Work[Frame, Message],
    detected: DetectedFrame | None,
    runner: BudgetRunner,
    tracker: Tracker | None,
) -> tuple[Prediction, StageTimes] | None:
    """The instances, or None if the frame was dropped and counted."""
    topic, received, plan = work.topic, work.received, work.plan
    image_bgr = work.decoded.image_bgr
    time_s = _time_s(received, work.decoded)
    follow = None if tracker is None else follow_in(tracker, image_bgr, time_s)
    try:
        result = runner.predict(plan, image_bgr, detected, follow)
    except (DeviceMemoryError, torch.OutOfMemoryError) as error:
        runner.abandon(plan, bar_input_for_ms=OUT_OF_MEMORY_PAUSE_MS)
        torch.cuda.empty_cache()
        topic.failed(received, "memory", _memory_advice(plan, runner, error))
        return None
    except Exception as error:
        # A bug or bad weights; the next frame may work.
        text = f"the network failed with {type(error).__name__}: {error}"
        topic.failed(received, "network", text)
        return None
    if tracker is not None and tracker.pauses > 1:
        topic.warn(
            "track buffer",
            "images come farther apart than track_buffer_ms "
            f"({tracker.settings.buffer_ms:g} ms), so that no object keeps its id; make it longer",
        )
    if result is None:
        topic.late(received, batched=detected is not None)
    return result


def _time_s(received: ReceivedFrame, decoded: DecodedFrame) -> float:
    return decoded.header.stamp_ns / NS_PER_S or received.received_ms / MS_PER_S


def _memory_advice(plan: FramePlan, runner: BudgetRunner, error: Exception) -> str:
    size_px = plan.level.input_size_px
    text = f"no device memory for an input of {size_px} px ({error})"
    if size_px == min(runner.input_sizes_px):
        return f"{text}; add a smaller one to input_size or end other programs on the device"
    return f"{text}; using smaller ones for {OUT_OF_MEMORY_PAUSE_MS / 1e3:g} s"
