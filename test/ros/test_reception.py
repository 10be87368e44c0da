"""What a camera notes of an image when it arrives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not here")

import rclpy
from rclpy.lifecycle import LifecycleNode
from rclpy.time import Time

from yolact_ros.inference.slots import FrameSlots
from yolact_ros.ros.camera import Camera, ReceivedFrame
from yolact_ros.ros.parameters import FixedParameters, LiveParameters
from yolact_ros.ros.transforms import Transforms

MS = 1_000_000
RECEIVED_NS = 7_000_000_000
CLOCK_AHEAD_NS = 1_700_000_000_000_000_000


class InterruptedClocks:
    """The monotonic and the ROS clock; whoever reads the second loses the CPU before."""

    ros_time_is_active = False

    def __init__(self) -> None:
        self._now_ns = RECEIVED_NS

    def monotonic_ns(self) -> int:
        return self._now_ns

    def now(self) -> Any:
        self._now_ns += 50 * MS
        return Time(nanoseconds=self._now_ns + CLOCK_AHEAD_NS)


@pytest.fixture
def node(domain_id: int) -> Iterator[LifecycleNode]:
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=domain_id)
    made = LifecycleNode("receiver", context=context)
    yield made
    made.destroy_node()
    rclpy.shutdown(context=context)


def test_a_pause_between_its_two_clocks_is_not_taken_for_the_images_age(
    node: LifecycleNode, monkeypatch: pytest.MonkeyPatch
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
    clocks = InterruptedClocks()
    camera._clock = clocks
    monkeypatch.setattr("yolact_ros.ros.camera.time", clocks)
    camera._receive(b"image")
    taken = slots.take(0.0)
    assert taken is not None
    assert taken.item.received_ns == RECEIVED_NS
    assert taken.item.received_clock_ns == RECEIVED_NS + CLOCK_AHEAD_NS
    camera.destroy()
