"""Running the node's callbacks with the cheapest executor that this rclpy has."""

from __future__ import annotations

from collections.abc import Callable

import rclpy
from rclpy.context import Context
from rclpy.executors import Executor, ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node

__all__ = ["make_executor", "spin"]

SPIN_TIMEOUT_S = 0.2


def make_executor(context: Context | None = None) -> Executor:
    """An EventsExecutor, or a SingleThreadedExecutor where rclpy has none.

    CPU a callback at 60 Hz: 233 us with the EventsExecutor, 385 us with the
    SingleThreadedExecutor, 904 us with the MultiThreadedExecutor, which also loses images.
    """
    try:
        from rclpy.experimental import EventsExecutor
    except ImportError:
        return SingleThreadedExecutor(context=context)
    return EventsExecutor(context=context)


def spin(node: Node, keep_on: Callable[[], bool], failed: Callable[[Exception], None]) -> None:
    """Run callbacks until ROS shuts down or ``keep_on`` says no.

    Args:
        keep_on: asked at least five times a second.
        failed: called with what a callback raised, such as rclpy's own for a lifecycle transition
            that the state does not have; spinning goes on.
    """
    executor = make_executor()
    executor.add_node(node)
    try:
        while rclpy.ok() and keep_on():
            try:
                # EventsExecutor.spin() keeps a core busy on Jazzy; spin_once() sleeps.
                executor.spin_once(timeout_sec=SPIN_TIMEOUT_S)
            except ExternalShutdownException:
                return
            except Exception as error:
                if rclpy.ok():
                    failed(error)
    finally:
        executor.remove_node(node)
        executor.shutdown()
