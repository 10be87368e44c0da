"""From one serialised image to one published message."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from yolact_ros.errors import FrameFault
from yolact_ros.inference.budgeted import BudgetedPrediction, BudgetedPredictor
from yolact_ros.inference.cdr import (
    CompressedImageMessage,
    ImageMessage,
    MessageHeader,
    read_compressed_image,
    read_image,
)
from yolact_ros.inference.detected_frame import DetectedFrame
from yolact_ros.inference.encodings import compressed_to_bgr, image_to_bgr
from yolact_ros.inference.frame_plan import FramePlan
from yolact_ros.inference.ladder import Degradation
from yolact_ros.inference.runtimes.base import DeviceMemoryError
from yolact_ros.inference.slots import TakenItem
from yolact_ros.msg import FrameReport
from yolact_ros.ros.camera import Camera, ReceivedFrame
from yolact_ros.ros.conversions import to_instance_array
from yolact_ros.ros.engine import Engine
from yolact_ros.ros.parameters import LiveParameters
from yolact_ros.ros.views import View, ViewFrame

__all__ = ["FrameProcessor"]

NS_PER_MS = 1e6
OUT_OF_MEMORY_PAUSE_MS = 10_000.0


@dataclass(frozen=True)
class _DecodedFrame:
    """An image ready for the network.

    Attributes:
        header: of the message.
        image_bgr (uint8[H, W, 3]): its pixels.
        age_ms: reception minus stamp.
        received_ns: monotonic clock.
        decode_ms: what reading the message took.
    """

    header: MessageHeader
    image_bgr: NDArray[np.uint8]
    age_ms: float
    received_ns: int
    decode_ms: float


@dataclass(frozen=True)
class _Work:
    """A frame in hand.

    Attributes:
        camera: that it came from.
        views: of the camera that are wanted.
        plan: of the budget.
        frame: its image.
    """

    camera: Camera
    views: tuple[View, ...]
    plan: FramePlan
    frame: _DecodedFrame


class FrameProcessor:
    """Works on one frame at a time, or on a batch of several cameras', in the worker's thread.

    Args:
        engine: the loaded networks.
        live: the parameters of this moment.
        cameras: of the node.
        queued: number of cameras whose frames wait.
        take_more: frames of these cameras that wait, at most so many; they are then in hand.
        show: receives processed frames of cameras whose views are wanted.
    """

    def __init__(
        self,
        engine: Engine,
        live: Callable[[], LiveParameters],
        *,
        cameras: Sequence[Camera],
        queued: Callable[[], int],
        take_more: Callable[[Collection[Camera], int], list[TakenItem[Camera, ReceivedFrame]]],
        show: Callable[[Camera, ViewFrame], object],
    ) -> None:
        self._engine = engine
        self._live = live
        self._cameras = cameras
        self._queued = queued
        self._take_more = take_more
        self._show = show

    def process(self, camera: Camera, received: ReceivedFrame, replaced: int) -> None:
        """Decode, predict and publish; what is wrong with the frame is counted and reported.

        Where the budget finds that it pays, frames of other cameras that wait are worked on in
        the same run of the network.

        Args:
            camera: that it came from.
            received: the frame.
            replaced: older frames of the camera that it replaced while it waited.
        """
        camera.count_replaced(replaced)
        live = self._live()
        views = camera.views.wanted()
        masks = _masks_needed(live, views)
        predictor = self._engine.ready(live, masks=masks)
        plan = predictor.begin(
            received.received_ns / NS_PER_MS,
            source=camera.name,
            queued=self._queued(),
            replaced=replaced,
        )
        if not plan.run:
            camera.count_gave_way()
            return
        frame = self._decode(camera, received, live)
        if frame is None:
            predictor.abandon(plan)
            return
        works = [_Work(camera, views, plan, frame)]
        if plan.together > 1:
            works += self._join(predictor, live, most=plan.together - 1, masks=masks)
        detected: Sequence[DetectedFrame | None] = (None,)
        if len(works) > 1:
            detected = self._detect_together(works, predictor)
        for work, found in zip(works, detected, strict=True):
            self._complete(work, found, predictor, live)

    def _join(
        self, predictor: BudgetedPredictor, live: LiveParameters, *, most: int, masks: bool
    ) -> Iterator[_Work]:
        """Frames that wait and can be worked on with the same settings, decoded."""
        views = {camera: camera.views.wanted() for camera in self._cameras}
        alike = [camera for camera in views if _masks_needed(live, views[camera]) == masks]
        for taken in self._take_more(alike, most):
            camera, received = taken.key, taken.item
            camera.count_replaced(taken.replaced)
            plan = predictor.join(
                received.received_ns / NS_PER_MS, source=camera.name, replaced=taken.replaced
            )
            frame = self._decode(camera, received, live)
            if frame is None:
                predictor.abandon(plan)
            else:
                yield _Work(camera, views[camera], plan, frame)

    def _detect_together(
        self, works: Sequence[_Work], predictor: BudgetedPredictor
    ) -> Sequence[DetectedFrame | None]:
        """The detections of a batch; None for each if it failed, so that each is tried alone."""
        images_bgr = [work.frame.image_bgr for work in works]
        try:
            return predictor.detect_together(works[0].plan, images_bgr)
        except Exception as error:  # what is wrong with one frame must not cost the others
            works[0].camera.warnings.report(
                "batch",
                f"a batch of {len(works)} frames failed with {type(error).__name__}: {error}; "
                "working on them one by one",
            )
            return [None] * len(works)

    def _complete(
        self,
        work: _Work,
        detected: DetectedFrame | None,
        predictor: BudgetedPredictor,
        live: LiveParameters,
    ) -> None:
        result = self._predict(work, detected, predictor)
        if result is None:
            predictor.abandon(work.plan)
            return
        published = self._publish(work, result, predictor, live, batched=detected is not None)
        if work.views and published:
            view = ViewFrame(
                work.frame.header,
                work.frame.image_bgr,
                result.prediction,
                self._engine.class_names,
                live.overlay_palette,
            )
            self._show(work.camera, view)

    def _decode(
        self, camera: Camera, received: ReceivedFrame, live: LiveParameters
    ) -> _DecodedFrame | None:
        """The image, or None if it was dropped and counted."""
        begun_ns = time.monotonic_ns()
        try:
            message: ImageMessage | CompressedImageMessage = (
                read_compressed_image(received.data)
                if camera.compressed
                else read_image(received.data)
            )
            header = message.header
            age_ms = camera.age_ms(header, received)
            if 0 < live.max_image_age_ms < age_ms:
                camera.statistics.count_dropped("stale")
                return None
            bits = camera.depth.bits
            image_bgr = (
                image_to_bgr(message, camera.depth)
                if isinstance(message, ImageMessage)
                else compressed_to_bgr(message, camera.depth)
            )
            if camera.depth.bits != bits:
                camera.tell_depth()
        except FrameFault as fault:
            camera.fail(fault.cause, str(fault))
            return None
        decode_ms = (time.monotonic_ns() - begun_ns) / NS_PER_MS
        return _DecodedFrame(header, image_bgr, age_ms, received.received_ns, decode_ms)

    def _predict(
        self, work: _Work, detected: DetectedFrame | None, predictor: BudgetedPredictor
    ) -> BudgetedPrediction | None:
        """The instances, or None if the frame was dropped and counted."""
        camera, frame, plan = work.camera, work.frame, work.plan
        try:
            result = predictor.predict(plan, frame.image_bgr, detected)
        except (DeviceMemoryError, torch.OutOfMemoryError) as error:
            predictor.abandon(plan, bar_input_for_ms=OUT_OF_MEMORY_PAUSE_MS)
            torch.cuda.empty_cache()
            camera.fail("memory", self._memory_advice(plan.rung.input_size_px, error))
            return None
        except Exception as error:
            # A bug or bad weights; the next frame may work.
            camera.fail("network", f"the network failed with {type(error).__name__}: {error}")
            return None
        if result is None:
            late_ms = (time.monotonic_ns() - frame.received_ns) / NS_PER_MS
            camera.statistics.count_finished(
                late_ms, deadline_met=False, published=False, batched=detected is not None
            )
        return result

    def _memory_advice(self, size_px: int, error: Exception) -> str:
        text = f"no device memory for an input of {size_px} px ({error})"
        if size_px == min(self._engine.input_sizes_px):
            return f"{text}; add a smaller one to input_size or end other programs on the device"
        return f"{text}; using smaller ones for {OUT_OF_MEMORY_PAUSE_MS / 1e3:g} s"

    def _publish(
        self,
        work: _Work,
        result: BudgetedPrediction,
        predictor: BudgetedPredictor,
        live: LiveParameters,
        *,
        batched: bool,
    ) -> bool:
        camera, frame = work.camera, work.frame
        begun_ns = time.monotonic_ns()
        message = to_instance_array(
            frame.header, result.prediction, self._engine.class_names, live.mask_encoding
        )
        encode_ms = (time.monotonic_ns() - begun_ns) / NS_PER_MS
        outcome = predictor.finish()
        # float() because a message ends the process over anything but a Python float.
        message.report = FrameReport(
            budget_ms=float(outcome.budget_ms),
            image_age_ms=float(frame.age_ms),
            wait_ms=float(work.plan.wait_ms),
            preprocess_ms=float(frame.decode_ms + result.times.preprocess_ms),
            inference_ms=float(result.times.inference_ms),
            postprocess_ms=float(result.times.postprocess_ms + encode_ms),
            total_ms=float(outcome.total_ms),
            frames_dropped=camera.frames_dropped_since_message,
            deadline_met=outcome.deadline_met,
            input_size=work.plan.rung.input_size_px,
            degradation=int(outcome.degradation),
        )
        if outcome.publish:
            camera.publish(message)
        camera.statistics.count_finished(
            outcome.total_ms,
            deadline_met=outcome.deadline_met,
            published=outcome.publish,
            degraded=outcome.degradation != Degradation.NONE,
            batched=batched,
        )
        return outcome.publish


def _masks_needed(live: LiveParameters, views: Collection[View]) -> bool:
    return live.mask_encoding != "none" or any(view.uses_masks for view in views)
