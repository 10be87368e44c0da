"""One camera of the node: what it receives, decodes, publishes and counts."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.lifecycle import LifecycleNode

from yolact_ros.inference.bit_depth import FULL_BITS, BitDepth
from yolact_ros.inference.cdr import MessageHeader
from yolact_ros.inference.frame_processor import DecodedFrame, FrameResult
from yolact_ros.inference.quality.levels import Degradation
from yolact_ros.inference.slots import FrameSlots
from yolact_ros.msg import InstanceArray
from yolact_ros.prediction import Prediction
from yolact_ros.ros.camera_info import CameraInfoListener
from yolact_ros.ros.conversions import to_frame_report, to_instance_array
from yolact_ros.ros.faults import FaultLog
from yolact_ros.ros.objects import ObjectLocator, depth_topics
from yolact_ros.ros.parameters import FixedParameters, LiveParameters
from yolact_ros.ros.qos import result_qos
from yolact_ros.ros.silence import image_topics_hint, why_no_result
from yolact_ros.ros.stamps import StampMonitor
from yolact_ros.ros.statistics import CameraStatistics, StatisticsSnapshot
from yolact_ros.ros.subscription import ImageSubscription, read_received, to_bgr
from yolact_ros.ros.transforms import Transforms
from yolact_ros.ros.views import (
    VISION_MSGS_INSTALLED,
    LabelPublisher,
    ViewFrame,
    ViewPublishers,
)
from yolact_ros.tracking import Trails

__all__ = ["Camera", "FrameSink", "ReceivedFrame"]

NS_PER_MS = 1e6
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
        received_ns: monotonic clock, nanoseconds.
        received_clock_ns: the node's ROS clock, nanoseconds; what stamps are compared with.
    """

    data: bytes
    received_ns: int
    received_clock_ns: int

    @property
    def received_ms(self) -> float:
        """Monotonic clock, milliseconds."""
        return self.received_ns / NS_PER_MS


class Camera:
    """Subscription, publishers and counters of one camera.

    Created at configure, destroyed at cleanup, subscribed while the node is active.

    Args:
        name: part of its topics' names; empty for the only camera of a node.
        views: where the thread that draws takes frames from.
        pause: waits for a pause of the network.
        failed: takes what a thread of the camera raised.

    Raises:
        ConfigError: ``depth_image`` or ``depth_camera_info`` cannot be a topic of this camera.
    """

    def __init__(
        self,
        node: LifecycleNode,
        name: str,
        *,
        fixed: FixedParameters,
        live: Callable[[], LiveParameters],
        views: FrameSlots[Camera, ViewFrame],
        transforms: Transforms,
        pause: Callable[[], object],
        failed: Callable[[Exception], None],
    ) -> None:
        depth_topic, depth_info_topic = depth_topics(node, name, fixed)
        self.name = name
        self.compressed = compressed = fixed.image_transport == "compressed"
        self.statistics = CameraStatistics()
        self.stamps = StampMonitor()
        self.depth = BitDepth()
        logger = node.get_logger()
        # A line of its own for each: rclpy raises when one line logs at two severities.
        self.faults = FaultLog(lambda text: logger.error(text))
        self.warnings = FaultLog(lambda text: logger.warning(text), period_s=WARNING_PERIOD_S)
        self._dropped_since_message = 0
        self._inform = lambda text: logger.info(text)
        self._node = node
        self._clock = node.get_clock()
        self._live = live
        self._view_slots = views
        self._trails = Trails()
        self._without_clock = 0
        self._last_clock_ns = 0
        self._put: FrameSink | None = None
        base = node.resolve_topic_name(f"{name}/image" if name else "image")
        prefix = f"~/{name}" if name else "~"
        # Ends with the camera: a group keeps a weak reference to all that was ever created in it.
        group = MutuallyExclusiveCallbackGroup()
        self.subscription = ImageSubscription(
            node,
            f"{base}/compressed" if compressed else base,
            group,
            compressed=compressed,
            reliability=fixed.reliability,
            receive=self._receive,
            lost=self.statistics.count_lost,
            faults=self.faults,
            warnings=self.warnings,
        )
        self._instances = node.create_lifecycle_publisher(
            InstanceArray, f"{prefix}/instances", result_qos(), callback_group=group
        )
        self.views = ViewPublishers(node, prefix, CameraInfoListener(node, base, group), group)
        self._labels = LabelPublisher(node, prefix, group) if VISION_MSGS_INSTALLED else None
        self.objects = (
            ObjectLocator(
                node,
                prefix,
                (depth_topic, depth_info_topic),
                group,
                reliability=fixed.reliability,
                live=live,
                transforms=transforms,
                warn=self.warn,
                logs=(self.faults, self.warnings),
                pause=pause,
                failed=failed,
            )
            if depth_topic
            else None
        )
        parts = (self.subscription, self.views, self.objects)
        self._parts = [part for part in parts if part is not None]

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
        for part in self._parts:
            part.close()
        self._put = None

    def destroy(self) -> None:
        """Unsubscribe and destroy the publishers."""
        self.close()
        for part in self._parts:
            part.destroy()
        self._node.destroy_lifecycle_publisher(self._instances)
        if self._labels is not None:
            self._labels.destroy()

    def announce(self, class_names: Sequence[str], score_threshold: float) -> None:
        """Publish what the class ids mean, for subscribers of now and later."""
        if self._labels is not None:
            self._labels.publish(class_names, score_threshold)

    def wants_objects(self) -> bool:
        """Whether somebody asks where the objects are, and there is depth."""
        return self.objects is not None and self.objects.wanted()

    def wants_masks(self) -> bool:
        """Whether messages have masks, or something with a subscriber needs them."""
        wanted = self._live().mask_encoding != "none" or self.wants_objects()
        return wanted or any(view.uses_masks for view in self.views.wanted())

    def decode(self, received: ReceivedFrame) -> DecodedFrame | None:
        """The pixels; None for an image older than ``max_image_age_ms``, which is counted.

        Raises:
            FrameFault: they cannot be had.
        """
        message = read_received(received.data, compressed=self.compressed)
        age_ms = self._age_ms(message.header, received)
        if 0 < self._live().max_image_age_ms < age_ms:
            self.statistics.count_dropped("stale")
            return None
        bits = self.depth.bits
        image_bgr = to_bgr(message, self.depth)
        if self.depth.bits != bits:
            self._tell_depth()
        return DecodedFrame(message.header, image_bgr, age_ms)

    def encode(self, decoded: DecodedFrame, prediction: Prediction) -> InstanceArray:
        """The instances as a message, without its report."""
        encoding = self._live().mask_encoding
        return to_instance_array(decoded.header, prediction, encoding)

    def publish(self, result: FrameResult[ReceivedFrame, InstanceArray]) -> None:
        """Publish the instances of a frame, if it is not too late, and let its views be drawn."""
        outcome = result.outcome
        if outcome.publish:
            result.message.report = to_frame_report(
                result.plan,
                result.times,
                result.outcome,
                result.decoded.age_ms,
                self._dropped_since_message,
            )
            self._instances.publish(result.message)
            self._dropped_since_message = 0
        self.statistics.count_finished(
            outcome.total_ms,
            deadline_met=outcome.deadline_met,
            published=outcome.publish,
            degraded=outcome.degradation != Degradation.NONE,
            batched=result.batched,
        )
        if not outcome.publish:
            return
        views, objects = bool(self.views.wanted()), self.wants_objects()
        if not (views or objects):
            return
        live = self._live()
        view = ViewFrame(
            result.decoded.header,
            result.decoded.image_bgr,
            result.prediction,
            live.overlay_palette,
            live.overlay_colors,
            self._trails.add(result.prediction, result.time_s),
        )
        if objects and self.objects is not None:
            self.objects.put(view)
        if views:
            self._view_slots.put(self, view, time.monotonic())

    def replaced(self, frames: int) -> None:
        """Newer images replaced these while they waited."""
        if frames:
            self.statistics.count_dropped("replaced", frames)
            self._dropped_since_message += frames

    def skipped(self, received: ReceivedFrame) -> None:
        """A frame was left out for the next one, which is due at once."""
        self.statistics.count_dropped("skipped")
        self._dropped_since_message += 1

    def late(self, received: ReceivedFrame, *, batched: bool) -> None:
        """A frame was dropped before its masks, since it was late already."""
        late_ms = (time.monotonic_ns() - received.received_ns) / NS_PER_MS
        self.statistics.count_finished(
            late_ms, deadline_met=False, published=False, batched=batched
        )

    def failed(self, received: ReceivedFrame, cause: str, text: str) -> None:
        """A frame could not be processed."""
        self.statistics.count_dropped("failed")
        self.faults.report(cause, f"{self.topic}: {text}")

    def warn(self, cause: str, text: str) -> None:
        """Something is wrong, and no frame is lost by it."""
        self.warnings.report(cause, f"{self.topic}: {text}")

    def _tell_depth(self) -> None:
        """Say that more bits of 16-bit pixels are in use than before."""
        if self.depth.bits == FULL_BITS:
            text = "all bits; the high byte of each pixel is kept"
        else:
            text = f"{self.depth.bits} bits so far; these are scaled to 8"
        self._inform(f"{self.topic}: 16-bit pixels use {text}")

    def _age_ms(self, header: MessageHeader, frame: ReceivedFrame) -> float:
        """Reception minus stamp in milliseconds; a stamp that cannot be right is reported."""
        reading = self.stamps.read(
            header.stamp_ns, frame.received_clock_ns, simulated=self._clock.ros_time_is_active
        )
        if reading.problem == "no clock":
            self._without_clock += 1  # for the next tick: the first images may be before it
        elif reading.problem:
            explanation = STAMP_PROBLEMS[reading.problem]
            self.warn(
                reading.problem, f"{reading.problem}, {header.stamp_ns / 1e9:.3f} s; {explanation}"
            )
        return reading.age_ms

    def tick(self, snapshot: StatisticsSnapshot) -> None:
        """Look after the subscription once a second; executor thread only."""
        for part in self._parts:
            part.tick()
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
            hint = image_topics_hint(self._node, self.name, self.topic, compressed=self.compressed)
            self.warnings.report(
                "no publisher", f"nobody publishes images on {self.topic}; {hint}"
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
            budget_ns = int(self._live().frame_budget_ms * NS_PER_MS)
            self._put(self, frame, received_ns + budget_ns)


FrameSink = Callable[[Camera, ReceivedFrame, float], object]
