"""What ``yolact doctor`` learns from a running node's diagnostics."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.executors import Executor
from rclpy.node import Node

from yolact_ros.cli.doctor_checks import Finding, Verdict, wrong
from yolact_ros.ros.doctor.depth_checks import DepthTopics
from yolact_ros.ros.observer import listen_to, spin_until, values_of

__all__ = ["NodeHealth", "examine_node", "running_nodes"]

RESULT_TYPE = "yolact_ros/msg/InstanceArray"
UNKNOWN_NODE = "_NODE_NAME_UNKNOWN_"
# Diagnostics come once a second.
LEAST_LISTEN_S = 3.0
SETTLE_S = 1.5
TROUBLE = ("errors ", "warnings ")
_VERDICTS = {
    DiagnosticStatus.OK: Verdict.GOOD,
    DiagnosticStatus.WARN: Verdict.NOTICE,
    DiagnosticStatus.ERROR: Verdict.WRONG,
    DiagnosticStatus.STALE: Verdict.WRONG,
}
# The first part of a status's message that fits tells the cure.
_CURES = (
    ("nobody publishes", "remap its image topic; the topics below say what exists"),
    ("no image for", "is the camera driver alive?"),
    ("could not be processed", "the errors counted here, in docs/diagnostics.md"),
    ("the transport lost", "start the camera driver with the profile config/fastdds.xml"),
    ("were late", "smaller input_size, a faster runtime or model, or a longer frame_budget_ms"),
    ("switched off", "call ~/set_enabled with data: true"),
    ("the node is", "ros2 lifecycle set <node> configure, then activate"),
)
_SEE = "what the message names; docs/diagnostics.md"


@dataclass(frozen=True)
class NodeHealth:
    """A node as it says it is.

    Attributes:
        findings: one for the node, one for each camera.
    """

    findings: tuple[Finding, ...]
    topics: tuple[str, ...] = ()
    depths: tuple[DepthTopics, ...] = ()


def running_nodes(node: Node, executor: Executor, wait_s: float) -> list[str]:
    """Fully qualified names of the nodes that publish instances."""
    begun_s = time.monotonic()
    found: set[str] = set()
    # One that was found may not be the only one.
    while time.monotonic() - begun_s < (min(SETTLE_S, wait_s) if found else wait_s):
        executor.spin_once(timeout_sec=0.1)
        for topic, types in node.get_topic_names_and_types():
            if RESULT_TYPE in types:
                found |= _owners(node, topic)
    return sorted(found)


def _owners(node: Node, topic: str) -> set[str]:
    """Publishers in whose own namespace the topic lies; what plays a bag is none."""
    names = {
        f"{publisher.node_namespace.rstrip('/')}/{publisher.node_name}"
        for publisher in node.get_publishers_info_by_topic(topic)
        if publisher.node_name != UNKNOWN_NODE
    }
    return {name for name in names if topic.startswith(f"{name}/")}


def examine_node(node: Node, executor: Executor, name: str, listen_s: float) -> NodeHealth:
    """Listen to the diagnostics of a node.

    Args:
        name: fully qualified name of the other.
    """
    heard: list[Mapping[str, DiagnosticStatus]] = []
    subscription = listen_to(node, name, heard.append)
    spin_until(executor, lambda: bool(heard), max(listen_s, LEAST_LISTEN_S))
    node.destroy_subscription(subscription)
    if not heard:
        others = ", ".join(sorted(_names(node))) or "none"
        return NodeHealth(
            (
                wrong(
                    f"node {name}",
                    "it publishes no diagnostics",
                    f"is it running, in this ROS_DOMAIN_ID? Nodes that are: {others}",
                ),
            )
        )
    statuses = list(heard[-1].values())
    values = list(map(values_of, statuses))
    return NodeHealth(
        findings=tuple(map(_judge, statuses)),
        topics=tuple(v["topic"] for v in values if "topic" in v),
        depths=tuple(
            DepthTopics(v["topic"], v["depth topic"], v["depth camera_info"], v["target frame"])
            for v in values
            if "depth topic" in v
        ),
    )


def _judge(status: DiagnosticStatus) -> Finding:
    verdict = _VERDICTS.get(status.level, Verdict.WRONG)
    counted = [
        f"{value.key} {value.value}" for value in status.values if value.key.startswith(TROUBLE)
    ]
    detail = "; ".join((status.message, *counted))
    if verdict is Verdict.GOOD:
        return Finding(verdict, f"node {status.name}", detail)
    cures = (cure for part, cure in _CURES if part in status.message)
    return Finding(verdict, f"node {status.name}", detail, next(cures, _SEE))


def _names(node: Node) -> Iterator[str]:
    for name, namespace in node.get_node_names_and_namespaces():
        if name != node.get_name():
            yield f"{namespace.rstrip('/')}/{name}"
