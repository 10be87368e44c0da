"""From one serialised image to one published message."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from yolact_ros.errors import FrameFault
from yolact_ros.inference.cdr import (
    CompressedImageMessage,
    ImageMessage,
    MessageHeader,
    read_compressed_image,
    read_image,
)
from yolact_ros.inference.encodings import compressed_to_bgr, image_to_bgr
from yolact_ros.inference.postprocess import PostprocessConfig
from yolact_ros.inference.predictor import StageTimes
from yolact_ros.inference.slots import TakenItem
from yolact_ros.msg import FrameReport
from yolact_ros.ros.camera import Camera, ReceivedFrame
from yolact_ros.ros.conversions import to_instance_array
from yolact_ros.ros.engine import Engine
from yolact_ros.ros.parameters import LiveParameters
from yolact_ros.ros.views import ViewFrame
from yolact_ros.structures import Prediction

__all__ = ["FrameProcessor"]

NS_PER_MS = 1e6


@dataclass(frozen=True)
class _DecodedFrame:
    """An image ready for the network.

    Attributes:
        header: of the message.
        image_bgr (uint8[H, W, 3]): its pixels.
        age_ms: reception minus stamp.
        received_ns, begun_ns, decoded_ns: monotonic clock.
    """

    header: MessageHeader
    image_bgr: NDArray[np.uint8]
    age_ms: float
    received_ns: int
    begun_ns: int
    decoded_ns: int


class FrameProcessor:
    """Works on one frame at a time, in the worker's thread.

    Args:
        engine: the loaded network.
        live: the parameters of this moment.
        show: receives processed frames of cameras whose views are wanted.
    """

    def __init__(
        self,
        engine: Engine,
        live: Callable[[], LiveParameters],
        show: Callable[[Camera, ViewFrame], object],
    ) -> None:
        self._engine = engine
        self._live = live
        self._show = show
        self._settings_key: tuple[LiveParameters, bool] | None = None
        self._settings = PostprocessConfig()

    def process(self, taken: TakenItem[Camera, ReceivedFrame]) -> None:
        """Decode, predict and publish; what is wrong with the frame is counted and reported."""
        camera = taken.key
        camera.count_replaced(taken.replaced)
        live = self._live()
        try:
            frame = self._decode(camera, taken.item, live)
        except FrameFault as fault:
            camera.fail(fault.cause, str(fault))
            return
        if frame is None:
            camera.statistics.count_dropped("stale")
            return
        views_wanted = camera.views.wanted()
        masks = views_wanted or live.mask_encoding != "none"
        try:
            prediction, times = self._engine.predict(frame.image_bgr, self._use(live, masks))
        except Exception as error:
            # A bug, or a device that ran out of memory: the next frame may work.
            camera.fail("network", f"the network failed with {type(error).__name__}: {error}")
            return
        published = self._publish(camera, frame, prediction, times, live)
        if views_wanted and published:
            names = self._engine.class_names
            view = ViewFrame(
                frame.header, frame.image_bgr, prediction, names, live.overlay_palette
            )
            self._show(camera, view)

    def _decode(
        self, camera: Camera, received: ReceivedFrame, live: LiveParameters
    ) -> _DecodedFrame | None:
        begun_ns = time.monotonic_ns()
        message: ImageMessage | CompressedImageMessage = (
            read_compressed_image(received.data)
            if camera.compressed
            else read_image(received.data)
        )
        header = message.header
        stamp = camera.stamps.read(header.stamp_ns, received.received_clock_ns)
        if stamp.problem:
            camera.warnings.report(
                stamp.problem,
                f"{camera.topic}: {stamp.problem}, {header.stamp_ns / 1e9:.3f} s",
            )
        if 0 < live.max_image_age_ms < stamp.age_ms:
            return None
        image_bgr = (
            image_to_bgr(message)
            if isinstance(message, ImageMessage)
            else compressed_to_bgr(message)
        )
        return _DecodedFrame(
            header, image_bgr, stamp.age_ms, received.received_ns, begun_ns, time.monotonic_ns()
        )

    def _use(self, live: LiveParameters, masks: bool) -> PostprocessConfig:
        if self._settings_key != (live, masks):
            self._settings = self._engine.settings(live, masks=masks)
            self._settings_key = (live, masks)
        return self._settings

    def _publish(
        self,
        camera: Camera,
        frame: _DecodedFrame,
        prediction: Prediction,
        times: StageTimes,
        live: LiveParameters,
    ) -> bool:
        predicted_ns = time.monotonic_ns()
        message = to_instance_array(
            frame.header, prediction, self._engine.class_names, live.mask_encoding
        )
        now_ns = time.monotonic_ns()
        total_ms = (now_ns - frame.received_ns) / NS_PER_MS
        deadline_met = live.frame_budget_ms == 0 or total_ms <= live.frame_budget_ms
        decode_ms = (frame.decoded_ns - frame.begun_ns) / NS_PER_MS
        # float() because a message ends the process over anything but a Python float.
        message.report = FrameReport(
            budget_ms=float(live.frame_budget_ms),
            image_age_ms=float(frame.age_ms),
            wait_ms=float((frame.begun_ns - frame.received_ns) / NS_PER_MS),
            preprocess_ms=float(decode_ms + times.preprocess_ms),
            inference_ms=float(times.inference_ms),
            postprocess_ms=float(times.postprocess_ms + (now_ns - predicted_ns) / NS_PER_MS),
            total_ms=float(total_ms),
            frames_dropped=camera.frames_dropped_since_message,
            deadline_met=deadline_met,
            input_size=self._engine.description.input_size_px,
            degradation=FrameReport.DEGRADE_NONE,
        )
        published = deadline_met or live.overrun_policy == "publish"
        if published:
            camera.publish(message)
        camera.statistics.count_finished(total_ms, deadline_met=deadline_met, published=published)
        return published
