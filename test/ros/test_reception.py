"""What a camera notes of an image when it arrives."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not here")

import rclpy
from rclpy.lifecycle import LifecycleNode

from yolact_ros.inference.slots import FrameSlots
from yolact_ros.ros.camera import Camera, ReceivedFrame
from yolact_ros.ros.parameters import FixedParameters, LiveParameters
from yolact_ros.ros.transforms import Transforms

PAUSE_S = 0.05


class InterruptedClock:
    """A ROS clock whose reader loses the CPU just before it reads."""

    def __init__(self, clock: Any) -> None:
        self._clock = clock

    def __getattr__(self, name: str) -> Any:
        return getattr(self._clock, name)

    def now(self) -> Any:
        time.sleep(PAUSE_S)
        return self._clock.now()


@pytest.fixture
def node(domain_id: int) -> Iterator[LifecycleNode]:
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=domain_id)
    made = LifecycleNode("receiver", context=context)
    yield made
    made.destroy_node()
    rclpy.shutdown(context=context)


def test_a_pause_between_its_two_clocks_is_not_taken_for_the_images_age(
    node: LifecycleNode,
) -> None:
    camera = Camera(
        node,
        "",
        fixed=FixedParameters(),
        live=LiveParameters,
        views=FrameSlots(),
        transforms=Transforms(node),
        pause=lambda: None,
        failed=lambda error: None,
    )
    slots: FrameSlots[Camera, ReceivedFrame] = FrameSlots()
    camera.open(slots.put)
    camera._clock = InterruptedClock(node.get_clock())
    before_ns = node.get_clock().now().nanoseconds
    camera._receive(b"image")
    taken = slots.take(1.0)
    assert taken is not None
    assert taken.item.received_clock_ns - before_ns < PAUSE_S * 1e9 / 2
    camera.destroy()
