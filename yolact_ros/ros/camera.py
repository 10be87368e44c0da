"""One camera of the node: what it receives, publishes and counts."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from difflib import SequenceMatcher

from rclpy.lifecycle import LifecycleNode

from yolact_ros.inference.cdr import MessageHeader
from yolact_ros.msg import InstanceArray
from yolact_ros.ros.faults import FaultLog
from yolact_ros.ros.qos import result_qos
from yolact_ros.ros.silence import why_no_result
from yolact_ros.ros.stamps import StampMonitor
from yolact_ros.ros.statistics import CameraStatistics, StatisticsSnapshot
from yolact_ros.ros.subscription import ImageSubscription
from yolact_ros.ros.views import VIEWS, ViewPublishers

__all__ = ["Camera", "FrameSink", "ReceivedFrame"]

SILENCE_WARNING_S = 5.0
WARNING_PERIOD_S = 15.0
STAMP_PROBLEMS = {
    "zero stamp": "its images have no age; let the camera's driver stamp them",
    "stamp ran backwards": "a bag that starts again? Ages count from here on",
}


@dataclass(frozen=True)
class ReceivedFrame:
    """A serialised image and when it arrived.

    Attributes:
        data: the bytes of the message.
        received_ns: monotonic clock, nanoseconds.
        received_clock_ns: the node's ROS clock, nanoseconds; what stamps are compared with.
    """

    data: bytes
    received_ns: int
    received_clock_ns: int


class Camera:
    """Subscription, publishers and counters of one camera.

    Created at configure, destroyed at cleanup, subscribed while the node is active.

    Args:
        node: that it belongs to.
        name: part of its topics' names; empty for the only camera of a node.
        compressed: subscribe to the compressed images.
        reliability: the parameter of that name.
        budget_ns: time a frame may take, in nanoseconds; read at every reception.
    """

    def __init__(
        self,
        node: LifecycleNode,
        name: str,
        *,
        compressed: bool,
        reliability: str,
        budget_ns: Callable[[], int],
    ) -> None:
        self.name = name
        self.compressed = compressed
        self.statistics = CameraStatistics()
        self.stamps = StampMonitor()
        logger = node.get_logger()
        # A line of its own for each: rclpy raises when one line logs at two severities.
        self.faults = FaultLog(lambda text: logger.error(text))
        self.warnings = FaultLog(lambda text: logger.warning(text), period_s=WARNING_PERIOD_S)
        self.frames_dropped_since_message = 0
        self._node = node
        self._clock = node.get_clock()
        self._budget_ns = budget_ns
        self._without_clock = 0
        self._last_clock_ns = 0
        self._put: FrameSink | None = None
        base = node.resolve_topic_name(f"{name}/image" if name else "image")
        prefix = f"~/{name}" if name else "~"
        self.subscription = ImageSubscription(
            node,
            f"{base}/compressed" if compressed else base,
            compressed=compressed,
            reliability=reliability,
            receive=self._receive,
            lost=self.statistics.count_lost,
            faults=self.faults,
            warnings=self.warnings,
        )
        self._instances = node.create_lifecycle_publisher(
            InstanceArray, f"{prefix}/instances", result_qos()
        )
        self.views = ViewPublishers(node, prefix, base)

    @property
    def label(self) -> str:
        """For people: the name, or "image"."""
        return self.name or "image"

    @property
    def topic(self) -> str:
        """The resolved name of the image topic."""
        return self.subscription.topic

    def open(self, put: FrameSink) -> None:
        """Subscribe.

        Args:
            put: takes this camera, every image and its deadline in nanoseconds of the monotonic
                clock, such as :meth:`FrameSlots.put`.
        """
        if self._put is None:
            self.statistics.await_images()
        self._put = put
        self.subscription.open()

    def close(self) -> None:
        """Unsubscribe."""
        self.subscription.close()
        self.views.close()
        self._put = None

    def destroy(self) -> None:
        """Unsubscribe and destroy the publishers."""
        self.close()
        self.subscription.destroy()
        self._node.destroy_lifecycle_publisher(self._instances)
        self.views.destroy()

    def publish(self, message: InstanceArray) -> None:
        """Publish the instances of one frame."""
        self._instances.publish(message)
        self.frames_dropped_since_message = 0

    def count_replaced(self, frames: int) -> None:
        """Newer images replaced these while they waited; worker thread only."""
        if frames:
            self.statistics.count_dropped("replaced", frames)
            self.frames_dropped_since_message += frames

    def count_gave_way(self) -> None:
        """A frame made room for the next one, which is due at once."""
        self.statistics.count_dropped("gave way")
        self.frames_dropped_since_message += 1

    def fail(self, cause: str, message: str) -> None:
        """A frame could not be processed."""
        self.statistics.count_dropped("failed")
        self.faults.report(cause, f"{self.topic}: {message}")

    def age_ms(self, header: MessageHeader, frame: ReceivedFrame) -> float:
        """Reception minus stamp in milliseconds; a stamp that cannot be right is reported."""
        reading = self.stamps.read(
            header.stamp_ns, frame.received_clock_ns, simulated=self._clock.ros_time_is_active
        )
        if reading.problem == "no clock":
            self._without_clock += 1  # for the next tick: the first images may be before it
        elif reading.problem:
            explanation = STAMP_PROBLEMS[reading.problem]
            self.warnings.report(
                reading.problem,
                f"{self.topic}: {reading.problem}, {header.stamp_ns / 1e9:.3f} s; {explanation}",
            )
        return reading.age_ms

    def tick(self, snapshot: StatisticsSnapshot) -> None:
        """Look after the subscription once a second; executor thread only.

        Args:
            snapshot: the counters of this moment.
        """
        self.subscription.tick()
        self.views.tick()
        if self._put is None:
            return
        self._warn_of_clock()
        if snapshot.quiet_s >= SILENCE_WARNING_S:
            self._warn_of_silence(snapshot.quiet_s)
        elif snapshot.unanswered_s >= SILENCE_WARNING_S:
            self._warn_of_unanswered(snapshot)

    def _warn_of_clock(self) -> None:
        without, self._without_clock = self._without_clock, 0
        now_ns, before_ns = self._clock.now().nanoseconds, self._last_clock_ns
        self._last_clock_ns = now_ns
        if without and now_ns == 0:
            publishers = self._node.count_publishers("/clock")
            self.warnings.report(
                "no clock",
                "use_sim_time is set and "
                + (
                    "no time has come on /clock yet; start the simulation or the bag"
                    if publishers
                    else "nobody publishes /clock; play the bag with --clock"
                ),
                count=without,
            )
        if 0 < now_ns == before_ns:
            # Simulated time stands still: a paused bag or simulation is not silent.
            self.statistics.await_images()

    def _warn_of_silence(self, quiet_s: float) -> None:
        if self.subscription.publisher_count == 0:
            self.warnings.report(
                "no publisher",
                f"nobody publishes images on {self.topic}; {self._image_topics_hint()}",
            )
        else:
            self.warnings.report(
                "silent",
                f"{self.topic}: {self.subscription.publisher_count} publisher(s) and no image "
                f"for {quiet_s:.0f} s",
            )

    def _warn_of_unanswered(self, snapshot: StatisticsSnapshot) -> None:
        """Images come and no result does: say why, unless each has an error of its own."""
        reason = why_no_result(snapshot.unanswered)
        if not reason:
            reason = (
                "images and no result, since the network is still at one; cure: a smaller "
                "input_size, a faster runtime or a smaller model"
            )
        self.warnings.report(
            "no result", f"{self.topic}: in {snapshot.unanswered_s:.0f} s {reason}"
        )

    def _image_topics_hint(self) -> str:
        """The topics that the user may have meant, as the argument that names them."""
        kind, suffix = ("CompressedImage", "/compressed") if self.compressed else ("Image", "")
        views = tuple(f"/{view.topic}" for view in VIEWS)
        topics = [
            name.removesuffix(suffix)
            for name, types in self._node.get_topic_names_and_types()
            if f"sensor_msgs/msg/{kind}" in types
            and name.endswith(suffix)
            and name != self.topic
            and not name.endswith(views)
            and self._node.count_publishers(name)
        ]
        if not topics:
            return (
                f"nobody publishes sensor_msgs/msg/{kind} at all; is the camera driver running, "
                "with the same ROS_DOMAIN_ID?"
            )
        own = self.topic.removesuffix(suffix)
        best = max(topics, key=lambda name: SequenceMatcher(None, own, name).ratio())
        remap = f"{self.name}/image" if self.name else "image"
        place = f" in the place of {self.name}" if self.name else ""
        return (
            f"launch with image:={best}{place}, or run with -r {remap}:={best} "
            f"(published: {', '.join(topics)})"
        )

    def _receive(self, data: bytes) -> None:
        received_ns = time.monotonic_ns()
        received_clock_ns = self._clock.now().nanoseconds
        if not self._clock.ros_time_is_active:
            # A busy machine may stop this thread between two clocks; that time is in total_ms, and
            # must not count as the image's age too. A simulated clock does not run meanwhile.
            received_clock_ns -= time.monotonic_ns() - received_ns
        frame = ReceivedFrame(data, received_ns, received_clock_ns)
        self.statistics.count_received()
        if self._put is not None:
            self._put(self, frame, received_ns + self._budget_ns())


FrameSink = Callable[[Camera, ReceivedFrame, float], object]
