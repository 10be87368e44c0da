"""The part of ``yolact doctor`` that needs ROS: messages, middleware and image topics."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from rclpy.executors import Executor
from rclpy.node import Node
from rclpy.qos import ReliabilityPolicy
from rclpy.topic_endpoint_info import TopicEndpointInfo
from rclpy.utilities import get_rmw_implementation_identifier
from sensor_msgs.msg import CompressedImage

from yolact_ros.cli.doctor_checks import Finding, Verdict, good, notice, wrong
from yolact_ros.errors import ImageError
from yolact_ros.inference.bit_depth import FULL_BITS, BitDepth
from yolact_ros.inference.cdr import ImageMessage
from yolact_ros.ros.doctor.depth_checks import DepthTopics, check_depth
from yolact_ros.ros.doctor.node_checks import UNKNOWN_NODE, examine_node, running_nodes
from yolact_ros.ros.observer import IMAGE_TYPES, observer, published_images, spin_until
from yolact_ros.ros.qos import LARGE_SEGMENT_BYTES, image_qos, shared_memory_segment_bytes
from yolact_ros.ros.subscription import read_received, to_bgr

__all__ = ["check_graph", "check_ros"]

# Slower than this and a robot's view of the world is history.
LEAST_RATE_HZ = 1.0
OLDEST_STAMP_S = 1.0
NS_PER_S = 1e9
COMPRESSED = "/compressed"


def check_ros() -> Iterator[Finding]:
    """The package's messages, the middleware and its shared memory."""
    if importlib.util.find_spec("yolact_ros.msg") is None:
        yield wrong(
            "messages",
            "yolact_ros.msg is not built",
            "colcon build --packages-select yolact_ros, then source install/setup.bash",
        )
    else:
        yield good("messages", "yolact_ros.msg is importable")
    middleware = get_rmw_implementation_identifier()
    if "fastrtps" not in middleware:
        yield good("middleware", middleware)
        return
    segment_bytes = shared_memory_segment_bytes()
    if segment_bytes is not None and segment_bytes >= LARGE_SEGMENT_BYTES:
        yield good("middleware", f"{middleware}, segments of {segment_bytes / 1e6:.0f} MB")
        return
    yield notice(
        "middleware",
        f"{middleware} with its default shared memory, which loses camera images on best effort",
        "set FASTRTPS_DEFAULT_PROFILES_FILE to share/yolact_ros/config/fastdds.xml for the camera "
        "driver and the node; the launch files do",
    )


def check_graph(
    topics: Sequence[str], nodes: Sequence[str], listen_s: float, depth: str = ""
) -> Iterator[Finding]:
    """Running nodes, and publishers, rate, size, encoding and stamps of image topics.

    Args:
        topics: image topics; those of the nodes' cameras are added.
        nodes: names of nodes; empty takes those that are found.
        depth: topic of the depth images that belong to the first of ``topics``.
    """
    with observer("yolact_doctor") as (node, executor):
        unusable = [
            finding
            for name in (*topics, *nodes, *([depth] if depth else []))
            for finding in _judge_name(node, name)
        ]
        if unusable:
            yield from unusable
            return
        listened = [node.resolve_topic_name(topic) for topic in topics]
        pairs = [DepthTopics(listened[0], node.resolve_topic_name(depth))] if depth else []
        named = [node.resolve_topic_name(name) for name in nodes]
        for name in named or running_nodes(node, executor, listen_s):
            health = examine_node(node, executor, name, listen_s)
            yield from health.findings
            listened += health.topics
            pairs += health.depths
        if not listened:
            there = ", ".join(published_images(node)) or "none is published"
            yield good("image topics", there)
        for topic in dict.fromkeys(listened):
            yield from _check_topic(node, executor, topic, listen_s)
        for pair in pairs:
            yield from check_depth(node, executor, pair, listen_s)


def _judge_name(node: Node, name: str) -> Iterator[Finding]:
    """Nothing for what can be the name of a topic or node."""
    try:
        node.resolve_topic_name(name)
    except RuntimeError as error:  # rcl's
        reason = str(error).removeprefix("failed to resolve name: ").partition(", at /")[0]
        yield wrong(
            repr(name),
            f"no topic or node can have this name: {reason}",
            "letters, digits, _ and /, such as /camera/image_raw",
        )


@dataclass
class _Heard:
    """Serialised images with the time (ns since the epoch) at which they arrived."""

    images: list[bytes] = field(default_factory=list)
    arrivals_ns: list[int] = field(default_factory=list)

    def add(self, image: bytes) -> None:
        # Two are enough to look into; the rest is only counted.
        if len(self.images) < 2:
            self.images.append(image)
        self.arrivals_ns.append(time.time_ns())


def _check_topic(node: Node, executor: Executor, topic: str, listen_s: float) -> Iterator[Finding]:
    publishers = _wait_for_publishers(node, executor, topic, listen_s)
    if not publishers:
        yield _nobody(node, topic)
        return
    types = {publisher.topic_type for publisher in publishers}
    if len(types) > 1 or not types <= set(IMAGE_TYPES):
        yield wrong(
            topic,
            f"its type is {', '.join(sorted(types))}",
            f"expected {' or '.join(IMAGE_TYPES)}: name an image topic",
        )
        return
    reliable = all(p.qos_profile.reliability == ReliabilityPolicy.RELIABLE for p in publishers)
    type_name = types.pop()
    heard = _Heard()
    subscription = node.create_subscription(
        IMAGE_TYPES[type_name], topic, heard.add, image_qos(reliable=reliable), raw=True
    )
    spin_until(executor, lambda: False, listen_s)
    node.destroy_subscription(subscription)
    # Asked again, since discovery tells the names of nodes last.
    publishers = node.get_publishers_info_by_topic(topic) or publishers
    names = sorted({publisher.node_name for publisher in publishers} - {UNKNOWN_NODE})
    delivery = "reliable" if reliable else "best effort"
    yield good(topic, f"{type_name} of {', '.join(names) or 'an unnamed node'}, {delivery}")
    yield _judge_rate(topic, heard, listen_s, reliable=reliable)
    if heard.images:
        compressed = IMAGE_TYPES[type_name] is CompressedImage
        yield _judge_image(topic, heard, compressed=compressed)


def _nobody(node: Node, topic: str) -> Finding:
    base = topic.removesuffix(COMPRESSED)
    if base != topic and node.count_publishers(base):
        return wrong(
            topic,
            f"nobody publishes here, only on {base}",
            "install ros-$ROS_DISTRO-image-transport-plugins where the camera driver runs, or "
            "set the parameter image_transport to raw",
        )
    return wrong(
        topic,
        "nobody publishes here",
        f"image topics that exist: {', '.join(published_images(node)) or 'none'}; also check that "
        "ROS_DOMAIN_ID is the same in both terminals",
    )


def _wait_for_publishers(
    node: Node, executor: Executor, topic: str, timeout_s: float
) -> list[TopicEndpointInfo]:
    publishers: list[TopicEndpointInfo] = []

    def all_named() -> bool:
        # Discovery tells of a publisher before it tells of its node.
        publishers[:] = node.get_publishers_info_by_topic(topic)
        return bool(publishers) and all(p.node_name != UNKNOWN_NODE for p in publishers)

    spin_until(executor, all_named, timeout_s)
    return publishers


def _judge_rate(topic: str, heard: _Heard, listen_s: float, *, reliable: bool) -> Finding:
    count = len(heard.arrivals_ns)
    if count < 2:
        return wrong(
            f"{topic} rate",
            f"{count} images in {listen_s:g} s",
            "is the camera running? "
            + (
                ""
                if reliable
                else "best effort loses images on Fast DDS's default shared memory: "
            )
            + ("" if reliable else "start the driver with the profile config/fastdds.xml"),
        )
    gaps_ns = heard.arrivals_ns[-1] - heard.arrivals_ns[0]
    rate_hz = (count - 1) / max(gaps_ns / NS_PER_S, 1e-9)
    verdict = Verdict.GOOD if rate_hz >= LEAST_RATE_HZ else Verdict.NOTICE
    return Finding(verdict, f"{topic} rate", f"{rate_hz:.1f} Hz")


def _judge_image(topic: str, heard: _Heard, *, compressed: bool) -> Finding:
    subject = f"{topic} image"
    depth = BitDepth()
    try:
        message = read_received(heard.images[0], compressed=compressed)
        image, header = to_bgr(message, depth), message.header
    except ImageError as error:
        return wrong(subject, f"{error}", "choose another encoding in the camera driver")
    encoding = message.encoding if isinstance(message, ImageMessage) else message.format
    detail = f"{image.shape[1]} x {image.shape[0]} {encoding}"
    if 0 < depth.bits < FULL_BITS:
        detail += f", {depth.bits} of its 16 bits in use"
    if header.stamp_ns == 0:
        return notice(
            subject,
            f"{detail}, its stamp is zero",
            "without stamps neither its age nor its place in tf is known: let the driver set them",
        )
    age_s = (heard.arrivals_ns[0] - header.stamp_ns) / NS_PER_S
    if abs(age_s) > OLDEST_STAMP_S:
        return notice(
            subject,
            f"{detail}, its stamp is {age_s:.1f} s old",
            "a bag or simulator: set use_sim_time; two computers: synchronise their clocks",
        )
    return good(subject, f"{detail}, {age_s * 1e3:.0f} ms old on arrival")
