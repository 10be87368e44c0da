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
from collections.abc import Mapping, Sequence

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.node import Node

from yolact_ros.errors import YolactError
from yolact_ros.ros.observer import (
    listen_to,
    observer,
    spin_until,
    spin_until_settled,
    values_of,
    wait_until_active,
)
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
        images: topics that the player publishes and the node subscribes to.
        recorded: topics that the recorder must subscribe to, as far as somebody publishes them.
    """
    problem = wait_until_active(node_name, stop)
    if stop.is_set():
        return
    if problem:
        raise YolactError(f"the node did not start: {problem}")
    from rosbag2_interfaces.srv import Resume

    with observer("yolact_replay") as (node, executor):
        resume = node.create_client(Resume, f"{PLAYER}/resume")

        def missing() -> str:
            if not resume.service_is_ready():
                return f"no service {PLAYER}/resume: ros2 bag play has not started"
            return _missing(node, images, recorded)

        left = spin_until_settled(
            executor,
            missing,
            settle_s=SETTLE_S,
            timeout_s=READY_TIMEOUT_S,
            stopped=stop.is_set,
        )
        if left:
            raise YolactError(f"{left}, {READY_TIMEOUT_S:g} s after the node")
        if stop.is_set():
            return
        future = resume.call_async(Resume.Request())
        executor.spin_until_future_complete(future, timeout_sec=READY_TIMEOUT_S)
        if not future.done():
            raise YolactError(f"{PLAYER}/resume did not answer within {READY_TIMEOUT_S:g} s")


def end(node_name: str, stop: StopSignal) -> None:
    """Return when a received image is either published or counted as dropped, twice in a row."""
    reports: list[bool] = []

    def read(own: Mapping[str, DiagnosticStatus]) -> None:
        cameras = [values_of(status) for name, status in own.items() if name != "node"]
        if cameras:
            reports.append(all(map(_accounted, cameras)))

    with observer("yolact_replay") as (node, executor):
        listen_to(node, node_name, read)
        if not spin_until(
            executor, lambda: reports[-2:] == [True, True] or stop.is_set(), END_TIMEOUT_S
        ):
            raise YolactError(
                f"{node_name} has not finished its last images within {END_TIMEOUT_S:g} s"
            )
        spin_until(executor, stop.is_set, RECORDED_S)


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
