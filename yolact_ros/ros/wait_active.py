"""``python -m yolact_ros.ros.wait_active NODE``: returns when the lifecycle node is ready.

That is active, and its runtime chosen. Exit code 0; 1 with the reason on standard error where the
node says that it cannot be configured, or is not ready in time. ``replay.launch.py`` starts the
bag after it, so that no frame is played to a node that is still loading its model, and none is
worked on by a runtime that will be replaced.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.msg import State
from lifecycle_msgs.srv import GetState
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor

__all__ = ["main", "runtime_is_chosen", "wait_until_active"]

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


def wait_until_active(node_name: str, timeout_s: float) -> str:
    """Wait for a lifecycle node.

    Args:
        node_name: fully qualified.
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
    rclpy.init(context=context)
    node = rclpy.create_node("yolact_wait_active", context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    try:
        node.create_subscription(DiagnosticArray, "/diagnostics", read, 10)
        client = node.create_client(GetState, f"{node_name}/get_state")
        deadline_s = time.monotonic() + timeout_s
        state = "not there"
        while time.monotonic() < deadline_s:
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


def main(args: Sequence[str] | None = None) -> int:
    """Wait for the node that the command line names."""
    parser = argparse.ArgumentParser(prog="wait_active", description=__doc__)
    parser.add_argument("node", help="fully qualified, for example /yolact")
    parser.add_argument("--timeout", type=float, default=DEFAULT_TIMEOUT_S, metavar="S")
    given = parser.parse_args(args)
    try:
        problem = wait_until_active(given.node, given.timeout)
    except (KeyboardInterrupt, ExternalShutdownException):
        return 1
    if problem:
        print(problem, file=sys.stderr)
    return int(bool(problem))


if __name__ == "__main__":
    sys.exit(main())
