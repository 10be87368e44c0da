"""The subscription of one image topic: raw bytes, newest image, reliability as offered."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from rclpy.callback_groups import CallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos import QoSCompatibility, ReliabilityPolicy, qos_check_compatible
from rclpy.subscription import Subscription
from rclpy.topic_endpoint_info import TopicEndpointInfo
from sensor_msgs.msg import CompressedImage, Image

from yolact_ros.inference.bit_depth import BitDepth
from yolact_ros.inference.cdr import (
    CompressedImageMessage,
    ImageMessage,
    read_compressed_image,
    read_image,
)
from yolact_ros.inference.encodings import compressed_to_bgr, image_to_bgr
from yolact_ros.ros.faults import FaultLog
from yolact_ros.ros.qos import (
    LARGE_SEGMENT_BYTES,
    ReliabilityChoice,
    choose_reliability,
    shared_memory_segment_bytes,
)
from yolact_ros.ros.qos_overrides import QosOverrides

__all__ = ["AnyImage", "ImageSubscription", "read_received", "to_bgr"]

AnyImage = ImageMessage | CompressedImageMessage

# In one second. Losing one image when a publisher starts is usual; losing several is not.
LOSSES_THAT_COUNT = 3
RECHECK_DELAY_S = 0.02
UNKNOWN_NODE = "_NODE_NAME_UNKNOWN_"  # of rmw


def read_received(data: bytes, *, compressed: bool) -> AnyImage:
    """The message in the bytes that an image topic gave.

    Raises:
        FrameFault: it is none of that type.
    """
    return read_compressed_image(data) if compressed else read_image(data)


def to_bgr(message: AnyImage, depth: BitDepth) -> NDArray[np.uint8]:
    """The pixels of a message (uint8[H, W, 3]); ``depth`` learns the bits of 16-bit pixels.

    Raises:
        FrameFault: they cannot be had.
    """
    if isinstance(message, ImageMessage):
        return image_to_bgr(message, depth)
    return compressed_to_bgr(message, depth)


class ImageSubscription:
    """Subscribes to an image topic and follows what its publishers offer.

    Use from the executor's thread only.

    Args:
        reliability: the parameter: "auto", "reliable" or "best_effort".
        receive: called with the serialised bytes of every image.
        faults: receives quality of service that cannot be used.
        warnings: receives what keeps images from arriving.
    """

    def __init__(
        self,
        node: Node,
        topic: str,
        callback_group: CallbackGroup,
        *,
        compressed: bool,
        reliability: str,
        receive: Callable[[bytes], None],
        lost: Callable[[int], None],
        faults: FaultLog,
        warnings: FaultLog,
    ) -> None:
        self.topic = topic
        self.choice: ReliabilityChoice | None = None
        self.publisher_count = 0
        self._node = node
        self._callback_group = callback_group
        self._type = CompressedImage if compressed else Image
        self._type_name = "sensor_msgs/msg/" + self._type.__name__
        self._reliability = reliability
        self._receive = receive
        self._lost = lost
        self._warnings = warnings
        self._overrides = QosOverrides.declare(
            node, topic, lambda policy, reason: faults.report(f"qos {policy}", reason)
        )
        self._recent_losses = 0
        self._best_effort_loses = False
        self._unnamed: set[bytes] = set()
        self._subscription: Subscription | None = None
        # Event callbacks must not destroy the subscription that they belong to, so they start
        # this; a guard condition would do, but EventsExecutor has none.
        self._recheck = node.create_timer(
            RECHECK_DELAY_S,
            self._on_recheck,
            callback_group,
            clock=Clock(clock_type=ClockType.STEADY_TIME),
            autostart=False,
        )

    @property
    def delivery(self) -> str:
        """How images are asked for and why, for people; empty while not subscribed."""
        if self.choice is None:
            return ""
        kind = "reliable" if self.choice.reliable else "best effort"
        overridden = self._overrides.in_words()
        more = f"; qos_overrides: {overridden}" if overridden else ""
        return f"{kind}: {self.choice.reason}{more}"

    def open(self) -> None:
        """Subscribe."""
        if self._subscription is None:
            self._subscribe(self._choose())

    def close(self) -> None:
        """Unsubscribe; no callback runs afterwards."""
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None
            self.choice = None

    def destroy(self) -> None:
        """Unsubscribe for good."""
        self.close()
        self._node.destroy_timer(self._recheck)

    def tick(self) -> None:
        """Call once a second."""
        self._recent_losses = 0
        self.follow_publishers()
        self._warn_of_publishers()

    def follow_publishers(self) -> None:
        """Subscribe anew if the publishers call for another reliability."""
        if self._subscription is None or self.choice is None:
            return
        choice = self._choose()
        if choice.reliable != self.choice.reliable and self.publisher_count > 0:
            self.close()
            self._subscribe(choice)
            self._node.get_logger().info(
                f"{self.topic}: {'reliable' if choice.reliable else 'best effort'} delivery, "
                f"because {choice.reason}"
            )
        elif self.publisher_count > 0:
            self.choice = choice

    def _on_recheck(self) -> None:
        self._recheck.cancel()
        self.follow_publishers()

    def _choose(self) -> ReliabilityChoice:
        offers = [
            publisher.qos_profile.reliability == ReliabilityPolicy.RELIABLE
            for publisher in self._node.get_publishers_info_by_topic(self.topic)
            if publisher.topic_type == self._type_name
        ]
        self.publisher_count = len(offers)
        self._best_effort_loses = self._best_effort_loses and bool(offers)
        asked = self._overrides.reliability
        if asked is not None:
            return ReliabilityChoice(asked == ReliabilityPolicy.RELIABLE, "set by qos_overrides")
        segment_bytes = shared_memory_segment_bytes()
        return choose_reliability(
            self._reliability,
            offers,
            large_segment=segment_bytes is not None and segment_bytes >= LARGE_SEGMENT_BYTES,
            loses_frames=self._best_effort_loses,
            latched=self._overrides.latched,
        )

    def _warn_of_publishers(self) -> None:
        """Name those whose images cannot arrive."""
        unnamed = set()
        for publisher in self._node.get_publishers_info_by_topic(self.topic):
            gid = bytes(publisher.endpoint_gid)
            if publisher.node_name == UNKNOWN_NODE:
                unnamed.add(gid)
                if gid not in self._unnamed:
                    continue  # DDS tells the name a little later, or never
            cause, problem = self._problem_of(publisher)
            if problem:
                self._warnings.report(cause, f"{self.topic}: {problem}")
        self._unnamed = unnamed

    def _problem_of(self, publisher: TopicEndpointInfo) -> tuple[str, str]:
        if publisher.topic_type != self._type_name:
            return "wrong type", (
                f"node {publisher.node_name} publishes {publisher.topic_type}, expected "
                f"{self._type_name}; remap image to an image topic, or set image_transport"
            )
        # With "auto" best effort is always possible, and chosen where it is needed.
        asked = self._overrides.profile(reliable=self._reliability == "reliable")
        compatibility, reason = qos_check_compatible(publisher.qos_profile, asked)
        if compatibility != QoSCompatibility.ERROR:
            return "", ""
        return "incompatible qos", (
            f"none of the images of node {publisher.node_name} arrive "
            f"({reason.removeprefix('ERROR: ').strip(' ;')}); set the parameter reliability to "
            f"'auto' and give no qos_overrides.{self.topic}.subscription.*, or let the node offer "
            "more"
        )

    def _subscribe(self, choice: ReliabilityChoice) -> None:
        self.choice = choice
        self._subscription = self._node.create_subscription(
            self._type,
            self.topic,
            self._receive,
            self._overrides.profile(reliable=choice.reliable),
            callback_group=self._callback_group,
            raw=True,
            event_callbacks=SubscriptionEventCallbacks(
                matched=lambda _: self._recheck.reset(),
                incompatible_qos=lambda _: self._recheck.reset(),
                message_lost=self._on_message_lost,
            ),
        )

    def _on_message_lost(self, event: object) -> None:
        frames = int(event.total_count_change)  # type: ignore[attr-defined]
        self._lost(frames)
        self._recent_losses += frames
        if self._recent_losses < LOSSES_THAT_COUNT:
            return
        if self.choice is not None and not self.choice.reliable:
            self._best_effort_loses = True
        self._warnings.report(
            "lost",
            f"{self.topic}: the transport loses images; start the publisher with Fast DDS's "
            "shared memory enlarged, FASTRTPS_DEFAULT_PROFILES_FILE=<share/yolact_ros>/config/"
            "fastdds.xml, or let it offer reliable delivery",
            count=frames,
        )
        self._recheck.reset()
