"""Looking at other nodes: a node of one's own, waiting, and what /diagnostics says."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.msg import State
from lifecycle_msgs.srv import GetState
from rclpy.executors import Executor, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from rclpy.subscription import Subscription
from sensor_msgs.msg import CompressedImage, Image

from yolact_ros.signals import StopSignal

__all__ = [
    "IMAGE_TYPES",
    "listen_to",
    "observer",
    "published_images",
    "runtime_is_chosen",
    "sees_images",
    "spin_until",
    "spin_until_settled",
    "values_of",
    "wait_until_active",
]

POLL_S = 0.05
STATE_POLL_S = 0.2
# Choosing a runtime by measurement takes minutes at the first start.
ACTIVE_TIMEOUT_S = 600.0
IMAGE_TYPES = {"sensor_msgs/msg/Image": Image, "sensor_msgs/msg/CompressedImage": CompressedImage}


@contextmanager
def observer(
    name: str, make_executor: Callable[..., Executor] = SingleThreadedExecutor
) -> Iterator[tuple[Node, Executor]]:
    """A node in a context of its own, and the executor of its callbacks, for a ``with`` block."""
    context = rclpy.Context()
    rclpy.init(context=context, signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node(name, context=context)
    executor = make_executor(context=context)
    executor.add_node(node)
    try:
        yield node, executor
    finally:
        executor.remove_node(node)
        executor.shutdown()
        node.destroy_node()
        rclpy.try_shutdown(context=context)


def spin_until(executor: Executor, done: Callable[[], bool], timeout_s: float) -> bool:
    """Run callbacks until ``done`` says so; whether it did within ``timeout_s``."""
    deadline_s = time.monotonic() + timeout_s
    while not (is_done := done()) and (left_s := deadline_s - time.monotonic()) > 0:
        executor.spin_once(timeout_sec=min(POLL_S, left_s))
    return is_done


def spin_until_settled(
    executor: Executor,
    missing: Callable[[], str],
    *,
    settle_s: float,
    timeout_s: float,
    stopped: Callable[[], bool],
) -> str:
    """Run callbacks until nothing was missing for ``settle_s``.

    Args:
        missing: what is missing now, for people; empty for nothing.
        settle_s: what this process sees of the graph, others see a little earlier or later.
        timeout_s: longest time in which something may be missing.
        stopped: whether to stop waiting.

    Returns:
        what is missing at the end; empty where nothing is, and after a stop.
    """
    deadline_s = time.monotonic() + timeout_s
    complete_s = math.inf
    while not stopped():
        now_s = time.monotonic()
        if what := missing():
            if now_s > deadline_s:
                return what
            complete_s = math.inf
        else:
            complete_s = min(complete_s, now_s)
            if now_s - complete_s >= settle_s:
                return ""
        executor.spin_once(timeout_sec=POLL_S)
    return ""


def listen_to(
    node: Node, watched: str, heard: Callable[[Mapping[str, DiagnosticStatus]], None]
) -> Subscription:
    """Subscribe to the diagnostics of one node.

    Args:
        watched: fully qualified name of the other.
        heard: called with each message's statuses of that node: "node", and its cameras by name.
    """
    prefix = f"{watched.lstrip('/')}: "

    def read(message: DiagnosticArray) -> None:
        own = [status for status in message.status if status.name.startswith(prefix)]
        if own:
            heard({status.name.removeprefix(prefix): status for status in own})

    return node.create_subscription(DiagnosticArray, "/diagnostics", read, 10)


def published_images(node: Node, types: Collection[str] = tuple(IMAGE_TYPES)) -> list[str]:
    """Topics of image types that somebody publishes, as far as ``node`` has discovered them."""
    return sorted(
        name
        for name, found in node.get_topic_names_and_types()
        if not set(found).isdisjoint(types) and node.count_publishers(name)
    )


def values_of(status: DiagnosticStatus) -> dict[str, str]:
    """The values of a status by their keys."""
    return {item.key: item.value for item in status.values}


def runtime_is_chosen(statuses: Mapping[str, DiagnosticStatus]) -> bool:
    """Whether a node says that it has the runtime that it will keep."""
    status = statuses.get("node")
    return status is not None and values_of(status).get("runtime provisional") == "False"


def sees_images(statuses: Mapping[str, DiagnosticStatus]) -> bool:
    """Whether a node says that it has found a publisher of the images of one of its cameras."""
    cameras = (values_of(status) for name, status in statuses.items() if name != "node")
    return any(int(values.get("publishers", "0")) > 0 for values in cameras)


def wait_until_active(
    node_name: str, stop: StopSignal | None = None, timeout_s: float = ACTIVE_TIMEOUT_S
) -> str:
    """Wait until a lifecycle node is active and has the runtime that it keeps.

    No frame is then played to a node that is still loading its model, and none is worked on by a
    runtime that will be replaced.

    Returns:
        "" when it is active, else why it is not.
    """
    problems: list[str] = []
    chosen = False

    def read(own: Mapping[str, DiagnosticStatus]) -> None:
        nonlocal chosen
        chosen = chosen or runtime_is_chosen(own)
        if "node" in own and own["node"].level == DiagnosticStatus.ERROR:
            problems.append(own["node"].message)

    with observer("yolact_wait_active") as (node, executor):
        listen_to(node, node_name, read)
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
            executor.spin_once(timeout_sec=STATE_POLL_S)
    return f"{node_name} is {state} after {timeout_s:g} s"
