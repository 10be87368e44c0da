"""What the ROS graph says about a node whose results are missing."""

from __future__ import annotations

from dataclasses import dataclass

from rclpy.node import Node

__all__ = ["Situation", "look_at_graph", "why_no_results"]

IMAGE_TYPES = {"sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"}


@dataclass(frozen=True)
class Situation:
    """What the ROS graph shows while results are missing.

    Attributes:
        image_topic: the node's input.
        image_publishers: of it.
        image_subscribers: of it; the node is one when it is active.
        result_publishers: of the node's instances.
        image_topics: topics with images, raw or compressed, without the node's own.
        other_type: type that is published on the image topic instead; empty if none.
    """

    image_topic: str
    image_publishers: int
    image_subscribers: int
    result_publishers: int
    image_topics: tuple[str, ...] = ()
    other_type: str = ""


def why_no_results(situation: Situation) -> str:
    """The likeliest reason in one sentence, with what to look at."""
    topic = situation.image_topic
    if situation.result_publishers == 0:
        return "the node has not come up"
    if situation.image_subscribers == 0:
        return f"the node is up but not active: it has not subscribed to {topic}"
    if situation.other_type:
        return f"{topic} is of the type {situation.other_type}, expected sensor_msgs/msg/Image"
    if situation.image_publishers == 0:
        there = ", ".join(situation.image_topics) or "no topic at all"
        return (
            f"nobody publishes images on {topic}; images are published on {there} (a camera on "
            "another machine needs the same ROS_DOMAIN_ID, and ROS_AUTOMATIC_DISCOVERY_RANGE "
            "other than LOCALHOST)"
        )
    return (
        f"images are published on {topic} and the node has subscribed, but no result came: the "
        "images may not arrive (reliability, shared memory) or may be refused"
    )


def look_at_graph(node: Node, image_topic: str, result_topic: str, own_topic: str) -> Situation:
    """The situation now, as far as ``node`` has discovered it.

    Args:
        node: that asks.
        image_topic: the segmentation node's input.
        result_topic: its instances.
        own_topic: its overlay, which is no camera.
    """
    types = {info.topic_type for info in node.get_publishers_info_by_topic(image_topic)}
    return Situation(
        image_topic=image_topic,
        image_publishers=node.count_publishers(image_topic),
        image_subscribers=node.count_subscribers(image_topic),
        result_publishers=node.count_publishers(result_topic),
        image_topics=tuple(
            name
            for name, kinds in node.get_topic_names_and_types()
            if IMAGE_TYPES & set(kinds) and name != own_topic and node.count_publishers(name)
        ),
        other_type=min(types - IMAGE_TYPES, default=""),
    )
