"""``python -m yolact_ros.ros replay_steps begin|end NODE``: what ``replay.launch.py`` waits for.

``begin`` has the paused player play once the node works with the runtime that it keeps, subscribes
to the bag's images, and the recorder subscribes to what is to be recorded: a frame that is played
earlier would be missing in the recording. ``end`` returns once the node has accounted for every
image that it received, and its diagnostics say so. Exit code 0; 1 with the reason on standard
error.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from yolact_ros.errors import YolactError
from yolact_ros.ros.wait_active import POLL_S, wait_until_active
from yolact_ros.signals import StopSignal

__all__ = ["begin", "end", "main"]

PLAYER = "/rosbag2_player"
RECORDER = "rosbag2_recorder"
READY_TIMEOUT_S = 60.0
# What this process sees of the graph, the others see a little earlier or later.
SETTLE_S = 1.0
END_TIMEOUT_S = 30.0
"""For the last frames' way through the node."""
RECORDED_S = 0.5
"""For the last diagnostics' way into the recorder."""


def begin(
    node_name: str, images: Sequence[str], recorded: Sequence[str], stop: StopSignal
) -> None:
    """Have the player play when node and recorder are ready.

    Args:
        node_name: fully qualified.
        images: topics that the player publishes and the node subscribes to.
        recorded: topics that the recorder must subscribe to, as far as somebody publishes them.
        stop: ends the wait.

    Raises:
        YolactError: something is not there in time.
    """
    problem = wait_until_active(node_name, stop)
    if stop.is_set():
        return
    if problem:
        raise YolactError(f"the node did not start: {problem}")
    from rosbag2_interfaces.srv import Resume

    with _spun_node() as (node, executor):
        resume = node.create_client(Resume, f"{PLAYER}/resume")
        deadline_s = time.monotonic() + READY_TIMEOUT_S
        complete_s: float | None = None
        while complete_s is None or time.monotonic() - complete_s < SETTLE_S:
            if stop.is_set():
                return
            missing = _missing(node, images, recorded)
            if not resume.service_is_ready():
                missing = f"no service {PLAYER}/resume: ros2 bag play has not started"
            if missing:
                complete_s = None
                if time.monotonic() > deadline_s:
                    raise YolactError(f"{missing}, {READY_TIMEOUT_S:g} s after the node")
            elif complete_s is None:
                complete_s = time.monotonic()
            executor.spin_once(timeout_sec=POLL_S)
        future = resume.call_async(Resume.Request())
        executor.spin_until_future_complete(future, timeout_sec=READY_TIMEOUT_S)
        if not future.done():
            raise YolactError(f"{PLAYER}/resume did not answer within {READY_TIMEOUT_S:g} s")


def end(node_name: str, stop: StopSignal) -> None:
    """Return when a received image is either published or counted as dropped, twice in a row.

    Args:
        node_name: fully qualified.
        stop: ends the wait.

    Raises:
        YolactError: it does not come to that in time.
    """
    reports: list[bool] = []

    def read(message: DiagnosticArray) -> None:
        prefix = f"{node_name.lstrip('/')}: "
        cameras = [
            {item.key: item.value for item in status.values}
            for status in message.status
            if status.name.startswith(prefix) and status.name != f"{prefix}node"
        ]
        if cameras:
            reports.append(all(_accounted(values) for values in cameras))

    with _spun_node() as (node, executor):
        node.create_subscription(DiagnosticArray, "/diagnostics", read, 10)
        deadline_s = time.monotonic() + END_TIMEOUT_S
        while reports[-2:] != [True, True] and not stop.is_set():
            if time.monotonic() > deadline_s:
                raise YolactError(
                    f"{node_name} has not finished its last images within {END_TIMEOUT_S:g} s"
                )
            executor.spin_once(timeout_sec=POLL_S)
        settled_s = time.monotonic() + RECORDED_S
        while time.monotonic() < settled_s and not stop.is_set():
            executor.spin_once(timeout_sec=POLL_S)


def main(args: Sequence[str], stop: StopSignal) -> int:
    """Run the step that the command line names."""
    stop.ends_itself()
    parser = argparse.ArgumentParser(prog="replay_steps", description=__doc__)
    parser.add_argument("step", choices=["begin", "end"])
    parser.add_argument("node", help="fully qualified, for example /yolact")
    parser.add_argument("--images", nargs="*", default=[], metavar="TOPIC")
    parser.add_argument("--record", nargs="*", default=[], metavar="TOPIC")
    given = parser.parse_args(args)
    try:
        if given.step == "begin":
            begin(given.node, given.images, given.record, stop)
        else:
            end(given.node, stop)
    except YolactError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _missing(node: Node, images: Sequence[str], recorded: Sequence[str]) -> str:
    """What is not there yet, "" if nothing."""
    for topic in images:
        if not node.count_publishers(topic):
            return f"ros2 bag play does not publish {topic}"
        if not node.count_subscribers(topic):
            return f"the node does not subscribe to {topic}"
    for topic in recorded:
        names = {info.node_name for info in node.get_subscriptions_info_by_topic(topic)}
        if node.count_publishers(topic) and RECORDER not in names:
            return f"ros2 bag record does not subscribe to {topic}"
    return ""


def _accounted(values: dict[str, str]) -> bool:
    dropped = sum(int(value) for key, value in values.items() if key.startswith("dropped "))
    return int(values["received"]) == int(values["published"]) + dropped


@contextmanager
def _spun_node() -> Iterator[tuple[Node, SingleThreadedExecutor]]:
    context = rclpy.Context()
    rclpy.init(context=context, signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node("yolact_replay", context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    try:
        yield node, executor
    finally:
        executor.shutdown()
        node.destroy_node()
        rclpy.try_shutdown(context=context)
