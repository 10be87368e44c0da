"""Waiting for a lifecycle node that is active and has the runtime that it keeps.

No frame is then played to a node that is still loading its model, and none is worked on by a
runtime that will be replaced.
"""

from __future__ import annotations

import time

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.msg import State
from lifecycle_msgs.srv import GetState
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from yolact_ros.signals import StopSignal

__all__ = ["POLL_S", "runtime_is_chosen", "wait_until_active"]

# Choosing a runtime by measurement takes minutes at the first start.
DEFAULT_TIMEOUT_S = 600.0
POLL_S = 0.2


def runtime_is_chosen(message: DiagnosticArray, node_name: str) -> bool:
    """Whether a message of /diagnostics says that a node has the runtime that it will keep.

    Args:
        message: about any node.
        node_name: fully qualified.
    """
    return any(
        status.name == f"{node_name.lstrip('/')}: node"
        and (item.key, item.value) == ("runtime provisional", "False")
        for status in message.status
        for item in status.values
    )


def wait_until_active(
    node_name: str, stop: StopSignal | None = None, timeout_s: float = DEFAULT_TIMEOUT_S
) -> str:
    """Wait for a lifecycle node.

    Args:
        node_name: fully qualified.
        stop: ends the wait.
        timeout_s: longest wait in seconds.

    Returns:
        "" when it is active, else why it is not.
    """
    problems: list[str] = []
    status_name = f"{node_name.lstrip('/')}: node"
    chosen = False

    def read(message: DiagnosticArray) -> None:
        nonlocal chosen
        chosen = chosen or runtime_is_chosen(message, node_name)
        problems.extend(
            status.message
            for status in message.status
            if status.name == status_name and status.level == DiagnosticStatus.ERROR
        )

    context = rclpy.Context()
    rclpy.init(context=context, signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node("yolact_wait_active", context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    try:
        node.create_subscription(DiagnosticArray, "/diagnostics", read, 10)
        client = node.create_client(GetState, f"{node_name}/get_state")
        deadline_s = time.monotonic() + timeout_s
        state = "not there"
        while time.monotonic() < deadline_s and not (stop is not None and stop.is_set()):
            if problems:
                return problems[0]
            if client.service_is_ready():
                future = client.call_async(GetState.Request())
                executor.spin_until_future_complete(future, timeout_sec=1.0)
                if future.done():
                    current = future.result().current_state
                    active = current.id == State.PRIMARY_STATE_ACTIVE
                    if active and chosen:
                        return ""
                    state = "active with a provisional runtime" if active else current.label
            executor.spin_once(timeout_sec=POLL_S)
        return f"{node_name} is {state} after {timeout_s:g} s"
    finally:
        executor.shutdown()
        node.destroy_node()
        rclpy.try_shutdown(context=context)
