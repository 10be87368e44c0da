"""The executor: the cheapest there is, and callbacks that raise do not end it."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not here")

import rclpy
from rclpy.executors import SingleThreadedExecutor

from yolact_ros.ros.spinning import make_executor, spin


@pytest.fixture
def default_context(domain_id: int) -> Iterator[None]:
    rclpy.init(domain_id=domain_id)
    yield
    rclpy.try_shutdown()


def test_without_an_events_executor_the_single_threaded_one_serves(
    default_context: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "rclpy.experimental", None)
    assert isinstance(make_executor(), SingleThreadedExecutor)


@pytest.mark.parametrize("with_events_executor", [True, False])
def test_spinning_goes_on_after_a_callback_that_raises(
    default_context: None, monkeypatch: pytest.MonkeyPatch, with_events_executor: bool
) -> None:
    if not with_events_executor:
        monkeypatch.setitem(sys.modules, "rclpy.experimental", None)
    node = rclpy.create_node("spun")
    calls: list[int] = []

    def tick() -> None:
        calls.append(len(calls))
        if len(calls) == 2:
            raise RuntimeError("second call")

    node.create_timer(0.01, tick)
    failures: list[str] = []
    spin(node, lambda: len(calls) < 5, lambda error: failures.append(str(error)))
    node.destroy_node()
    assert calls == [0, 1, 2, 3, 4]
    assert failures == ["second call"]


def test_spinning_ends_when_ros_shuts_down(default_context: None) -> None:
    node = rclpy.create_node("spun")
    # Not the function itself: Kilted's EventsExecutor cannot call one with keyword arguments.
    node.create_timer(0.01, lambda: rclpy.try_shutdown())
    spin(node, lambda: True, lambda error: pytest.fail(str(error)))
    node.destroy_node()
