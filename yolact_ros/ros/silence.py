"""Why a camera has no images or no results, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import SequenceMatcher

from rclpy.node import Node

from yolact_ros.ros.observer import published_images
from yolact_ros.ros.views import VIEWS

__all__ = ["image_topics_hint", "why_no_result"]

# By the cause of the drops. A frame that was replaced has a successor, which is another matter.
_REASONS = {
    "stale": (
        "older than max_image_age_ms on arrival",
        "use_sim_time for a bag or simulator, clocks that agree, or a larger max_image_age_ms",
    ),
    "late": (
        "later than frame_budget_ms, and overrun_policy is drop",
        "a longer frame_budget_ms, a smaller input_size, or overrun_policy publish",
    ),
    "skipped": (
        "not to be done within frame_budget_ms",
        "a longer frame_budget_ms, a smaller input_size or a faster runtime",
    ),
    "failed": (
        "not possible to process",
        "what the errors in the log name",
    ),
}


def why_no_result(dropped: Mapping[str, int]) -> str:
    """The main reason why images became no results, and the cure; "" where none was dropped so.

    Args:
        dropped: images by the cause of their drop, since the last result.
    """
    counts = {cause: dropped.get(cause, 0) for cause in _REASONS}
    main = max(counts, key=lambda cause: counts[cause])
    if not counts[main]:
        return ""
    reason, cure = _REASONS[main]
    return f"{counts[main]} images and no result, since they are {reason}; cure: {cure}"


def image_topics_hint(node: Node, camera: str, topic: str, *, compressed: bool) -> str:
    """The topics that the user may have meant, as the argument that names them.

    Args:
        camera: its name, empty for the only camera of a node.
        topic: the resolved name of its topic, on which nobody publishes.
    """
    kind, suffix = ("CompressedImage", "/compressed") if compressed else ("Image", "")
    views = tuple(f"/{view.topic}" for view in VIEWS)
    topics = [
        name.removesuffix(suffix)
        for name in published_images(node, [f"sensor_msgs/msg/{kind}"])
        if name.endswith(suffix) and name != topic and not name.endswith(views)
    ]
    if not topics:
        return (
            f"nobody publishes sensor_msgs/msg/{kind} at all; is the camera driver running, "
            "with the same ROS_DOMAIN_ID?"
        )
    own = topic.removesuffix(suffix)
    best = max(topics, key=lambda name: SequenceMatcher(None, own, name).ratio())
    remap = f"{camera}/image" if camera else "image"
    place = f" in the place of {camera}" if camera else ""
    return (
        f"launch with image:={best}{place}, or run with -r {remap}:={best} "
        f"(published: {', '.join(topics)})"
    )
