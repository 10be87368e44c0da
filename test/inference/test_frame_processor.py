"""What a frame's report says of its time, by a clock that only its stages let go on."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from bag_samples import ShapePredictor, ShapeSource, frame_bgr
from numpy.typing import NDArray

from yolact_ros.inference import frame_processor
from yolact_ros.inference.cdr import MessageHeader
from yolact_ros.inference.detected_frame import DetectedFrame, StageTimes
from yolact_ros.inference.frame_processor import DecodedFrame, FrameProcessor, FrameResult
from yolact_ros.inference.quality.runner import BudgetRunner
from yolact_ros.inference.settings import PredictionSettings
from yolact_ros.inference.slots import FrameSlots
from yolact_ros.prediction import Prediction

WAIT_MS, DECODE_MS, RESIZE_MS, NETWORK_MS, MASKS_MS, ENCODE_MS = 7.0, 4.0, 1.0, 20.0, 0.5, 6.0


class Clock:
    """Stands still but for the stages."""

    now_ms = 1000.0

    def __call__(self) -> float:
        return self.now_ms

    def monotonic_ns(self) -> int:
        return int(self.now_ms * 1e6)


class TimedPredictor(ShapePredictor):
    def __init__(self, clock: Clock) -> None:
        super().__init__(ShapeSource(), 320)
        self._clock = clock

    def detect(self, image_bgr: NDArray[np.uint8]) -> DetectedFrame:
        self._clock.now_ms += RESIZE_MS + NETWORK_MS
        return super().detect(image_bgr)

    def finish(self, frame: DetectedFrame, **plan: Any) -> tuple[Prediction, StageTimes]:
        self._clock.now_ms += MASKS_MS
        prediction, _ = super().finish(frame, **plan)
        return prediction, StageTimes(RESIZE_MS, NETWORK_MS, MASKS_MS)


@dataclass(frozen=True)
class Received:
    received_ms: float


class Topic:
    """Takes its time for decoding and encoding, and keeps what it was to publish."""

    name = "camera"

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.published: list[FrameResult[Received, str]] = []

    def wants_masks(self) -> bool:
        return True

    def replaced(self, frames: int) -> None:
        pass

    def decode(self, received: Received) -> DecodedFrame:
        self._clock.now_ms += DECODE_MS
        return DecodedFrame(MessageHeader(1, 0, "camera"), frame_bgr(0), 0.0)

    def encode(self, decoded: DecodedFrame, prediction: Prediction) -> str:
        self._clock.now_ms += ENCODE_MS
        return "message"

    def publish(self, result: FrameResult[Received, str]) -> None:
        self.published.append(result)


def test_waiting_and_the_stages_make_up_the_time_from_reception_to_publication(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock()
    monkeypatch.setattr(frame_processor, "time", SimpleNamespace(monotonic_ns=clock.monotonic_ns))
    predictors: Any = {320: TimedPredictor(clock)}
    runner = BudgetRunner(predictors, PredictionSettings(), budget_ms=0.0, clock_ms=clock)
    topic: Any = Topic(clock)
    processor: FrameProcessor[Received, str] = FrameProcessor(lambda masks: runner, [topic])
    received = Received(clock.now_ms)
    clock.now_ms += WAIT_MS

    processor.process(topic, received, 0, FrameSlots())

    (result,) = topic.published
    assert result.plan.wait_ms == WAIT_MS
    assert result.decode_ms == DECODE_MS
    assert result.times == (DECODE_MS + RESIZE_MS, NETWORK_MS, MASKS_MS + ENCODE_MS)
    assert result.outcome.total_ms == WAIT_MS + sum(result.times)
