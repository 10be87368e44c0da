"""The budget's frames on a device: a camera's images through the processor, without ROS."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from device_networks import EVERYTHING, device_predictor, picture, small_network
from devices import DEVICES

from yolact_ros.inference.cdr import MessageHeader
from yolact_ros.inference.frame_processor import DecodedFrame, FrameProcessor, FrameResult
from yolact_ros.inference.quality.runner import BudgetRunner
from yolact_ros.inference.slots import FrameSlots
from yolact_ros.prediction import Prediction
from yolact_ros.tracking import TrackerSettings

FRAMES = 50


@dataclass(frozen=True)
class Received:
    received_ms: float
    number: int


class Camera:
    """A topic with images of two sizes; everything that is not a result is a failure."""

    name = "camera"

    def __init__(self) -> None:
        self.published: list[FrameResult[Received, int]] = []

    def wants_masks(self) -> bool:
        return True

    def replaced(self, frames: int) -> None:
        assert not frames

    def decode(self, received: Received) -> DecodedFrame:
        width_px = 64 if received.number % 10 else 80
        image = picture(received.number % 3, 48, width_px)
        return DecodedFrame(MessageHeader(received.number, 0, "camera"), image, 0.0)

    def encode(self, decoded: DecodedFrame, prediction: Prediction) -> int:
        return len(prediction.mask_crops)

    def publish(self, result: FrameResult[Received, int]) -> None:
        self.published.append(result)

    def __getattr__(self, name: str) -> Any:
        def unexpected(*arguments: object, **options: object) -> None:
            raise AssertionError(f"{name}: {arguments} {options}")

        return unexpected


@pytest.fixture(params=DEVICES)
def runner(request: pytest.FixtureRequest) -> Iterator[BudgetRunner]:
    device: torch.device = request.param
    predictors = {
        size_px: device_predictor(small_network().with_input_size(size_px), device)
        for size_px in (128, 64)
    }
    settings = replace(EVERYTHING, top_k=5)
    yield BudgetRunner(predictors, settings, budget_ms=0.0)
    for predictor in predictors.values():
        predictor.close()


def process(runner: BudgetRunner, **options: Any) -> list[FrameResult[Received, int]]:
    camera: Any = Camera()
    processor: FrameProcessor[Received, int] = FrameProcessor(
        lambda masks: runner, [camera], **options
    )
    for number in range(FRAMES):
        received = Received(time.monotonic_ns() / 1e6, number)
        processor.process(camera, received, 0, FrameSlots())
    return camera.published


def test_every_frame_of_a_camera_is_published_with_its_masks(runner: BudgetRunner) -> None:
    runner.warm_up(picture())
    published = process(runner)
    assert len(published) == FRAMES
    assert {result.message for result in published} == {5}
    assert all(result.times.inference_ms > 0 for result in published)
    assert {result.plan.level.input_size_px for result in published} == {128}


def test_a_budget_that_nothing_fits_takes_the_smallest_input(runner: BudgetRunner) -> None:
    runner.warm_up(picture())
    runner.budget.set_budget(0.01)
    published = process(runner)
    assert len(published) == FRAMES
    assert published[-1].plan.level.input_size_px == 64


def test_objects_of_a_standing_camera_keep_their_ids(runner: BudgetRunner) -> None:
    published = process(runner, tracker=TrackerSettings)
    assert len(published) == FRAMES
    assert any(result.prediction.track_ids.any() for result in published)
