"""Running the node's callbacks with the cheapest executor that this rclpy has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import rclpy
from rclpy.executors import Executor, ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node

__all__ = ["make_executor", "spin", "until_shutdown"]

SPIN_TIMEOUT_S = 0.5


def make_executor() -> Executor:
    """An EventsExecutor, or a SingleThreadedExecutor where rclpy has none.

    CPU a callback at 60 Hz: 233 us with the EventsExecutor, 385 us with the
    SingleThreadedExecutor, 904 us with the MultiThreadedExecutor, which also loses images.
    """
    try:
        from rclpy.experimental import EventsExecutor
    except ImportError:
        return SingleThreadedExecutor()
    return EventsExecutor()


def spin(node: Node, keep_on: Callable[[], bool], failed: Callable[[Exception], None]) -> None:
    """Run callbacks until ROS shuts down or ``keep_on`` says no.

    Args:
        node: whose callbacks to run.
        keep_on: asked at least twice a second.
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


@contextmanager
def until_shutdown() -> Iterator[None]:
    """Let what a signal interrupts end quietly: once ROS is shut down, publishing raises.

    What is raised while ROS runs is raised on. Use it after ``rclpy.init``.
    """
    try:
        yield
    except Exception:
        if rclpy.ok():
            raise
