"""The subscription of one image topic: raw bytes, newest image, reliability as offered."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.clock import Clock, ClockType
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos import ReliabilityPolicy
from rclpy.subscription import Subscription
from sensor_msgs.msg import CompressedImage, Image

from yolact_ros.ros.faults import FaultLog
from yolact_ros.ros.qos import (
    LARGE_SEGMENT_BYTES,
    ReliabilityChoice,
    choose_reliability,
    image_qos,
    shared_memory_segment_bytes,
)

__all__ = ["ImageSubscription"]

# In one second. Losing one image when a publisher starts is usual; losing several is not.
LOSSES_THAT_COUNT = 3
RECHECK_DELAY_S = 0.02


class ImageSubscription:
    """Subscribes to an image topic and follows what its publishers offer.

    Use from the executor's thread only.

    Args:
        node: to subscribe with.
        topic: resolved name of the topic.
        compressed: its type is sensor_msgs/CompressedImage instead of sensor_msgs/Image.
        reliability: the parameter: "auto", "reliable" or "best_effort".
        receive: called with the serialised bytes of every image.
        lost: called with the number of images that the transport lost.
        warnings: receives what keeps images from arriving.
    """

    def __init__(
        self,
        node: Node,
        topic: str,
        *,
        compressed: bool,
        reliability: str,
        receive: Callable[[bytes], None],
        lost: Callable[[int], None],
        warnings: FaultLog,
    ) -> None:
        self.topic = topic
        self.choice: ReliabilityChoice | None = None
        self.publisher_count = 0
        self._node = node
        self._type = CompressedImage if compressed else Image
        self._type_name = "sensor_msgs/msg/" + self._type.__name__
        self._reliability = reliability
        self._receive = receive
        self._lost = lost
        self._warnings = warnings
        self._recent_losses = 0
        self._best_effort_loses = False
        self._subscription: Subscription | None = None
        # Event callbacks must not destroy the subscription that they belong to, so they start
        # this; a guard condition would do, but EventsExecutor has none.
        self._recheck = node.create_timer(
            RECHECK_DELAY_S,
            self._on_recheck,
            clock=Clock(clock_type=ClockType.STEADY_TIME),
            autostart=False,
        )

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

    def follow_publishers(self) -> None:
        """Subscribe anew if the publishers call for another reliability; warn of wrong types."""
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
        publishers = self._node.get_publishers_info_by_topic(self.topic)
        for publisher in publishers:
            if publisher.topic_type != self._type_name:
                self._warnings.report(
                    "wrong type",
                    f"{self.topic}: node {publisher.node_name} publishes "
                    f"{publisher.topic_type}, expected {self._type_name}; remap image to an "
                    "image topic, or set image_transport",
                )
        offers = [
            publisher.qos_profile.reliability == ReliabilityPolicy.RELIABLE
            for publisher in publishers
            if publisher.topic_type == self._type_name
        ]
        self.publisher_count = len(offers)
        self._best_effort_loses = self._best_effort_loses and bool(offers)
        segment_bytes = shared_memory_segment_bytes()
        return choose_reliability(
            self._reliability,
            offers,
            large_segment=segment_bytes is not None and segment_bytes >= LARGE_SEGMENT_BYTES,
            loses_frames=self._best_effort_loses,
        )

    def _subscribe(self, choice: ReliabilityChoice) -> None:
        self.choice = choice
        self._subscription = self._node.create_subscription(
            self._type,
            self.topic,
            self._receive,
            image_qos(reliable=choice.reliable),
            raw=True,
            event_callbacks=SubscriptionEventCallbacks(
                matched=lambda _: self._recheck.reset(),
                incompatible_qos=self._on_incompatible_qos,
                message_lost=self._on_message_lost,
            ),
        )

    def _on_incompatible_qos(self, _: object) -> None:
        if self._reliability == "reliable":
            names = [
                publisher.node_name
                for publisher in self._node.get_publishers_info_by_topic(self.topic)
                if publisher.qos_profile.reliability != ReliabilityPolicy.RELIABLE
            ]
            self._warnings.report(
                "incompatible qos",
                f"{self.topic}: node {', '.join(names)} offers best effort only and the "
                "parameter reliability is 'reliable', so none of its images arrive; set it to "
                "'auto'",
            )
        self._recheck.reset()

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
