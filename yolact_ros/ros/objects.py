"""Where the objects of one camera are, from its results and the depth images of their stamps."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
from rclpy.callback_groups import CallbackGroup
from rclpy.lifecycle import LifecycleNode

from yolact_ros.depth import (
    DepthSettings,
    NoPlace,
    ObjectPlace,
    Velocities,
    locate_objects,
)
from yolact_ros.errors import ConfigError, DepthError
from yolact_ros.inference.slots import TakenItem
from yolact_ros.inference.worker import SlotWorker
from yolact_ros.ros.camera_info import COMPRESSED_DEPTH, CameraInfoListener
from yolact_ros.ros.depth_images import DepthImage, DepthImages
from yolact_ros.ros.faults import FaultLog
from yolact_ros.ros.parameters import FixedParameters, LiveParameters
from yolact_ros.ros.subscription import ImageSubscription
from yolact_ros.ros.transforms import Transform, Transforms
from yolact_ros.ros.views import OBJECT_VIEWS, LocatedFrame, ViewFrame, ViewPublishers
from yolact_ros.ros.views.objects import POINTS

__all__ = ["ObjectLocator", "depth_topics"]

MS_PER_S, NS_PER_S = 1e3, 1e9
# After the subscription begins nothing is missed for so long.
GRACE_S = 2.0
Places = Sequence[ObjectPlace | NoPlace]


def depth_topics(node: LifecycleNode, camera: str, fixed: FixedParameters) -> tuple[str, str]:
    """The resolved names of a camera's depth topic and of its camera_info.

    Returns:
        both; empty where there is no depth, and where the camera_info is that beside it.

    Raises:
        ConfigError: an absolute name, which several cameras would share.
    """
    resolved = []
    for parameter in ("depth_image", "depth_camera_info"):
        topic: str = getattr(fixed, parameter)
        if camera and topic.startswith("/"):
            raise ConfigError(
                f"{parameter} is {topic!r}, which the cameras {', '.join(fixed.cameras)} cannot "
                f"share; name it relative, such as 'depth': then {camera}/depth is subscribed, "
                "and can be remapped"
            )
        below = f"{camera}/{topic}" if camera else topic
        try:
            resolved.append(node.resolve_topic_name(below) if topic else "")
        except RuntimeError as error:  # rcl's
            raise ConfigError(f"{parameter} is {topic!r}, which cannot be a topic") from error
    return resolved[0], resolved[1]


class ObjectLocator:
    """Publishes where the objects of one camera's results are, while somebody subscribes.

    A thread of its own waits for the depth image of each result and for a pause of the network;
    the newest result counts. :meth:`put` and :meth:`wanted` are for any thread, the rest for the
    executor's.

    Args:
        topics: resolved names of the depth topic and of its camera_info (empty: beside it).
        warn: takes the cause and the text of what is wrong.
        logs: errors and warnings of the subscription.
    """

    def __init__(
        self,
        node: LifecycleNode,
        prefix: str,
        topics: tuple[str, str],
        callback_group: CallbackGroup,
        *,
        reliability: str,
        live: Callable[[], LiveParameters],
        transforms: Transforms,
        warn: Callable[[str, str], None],
        logs: tuple[FaultLog, FaultLog],
        pause: Callable[[], object],
        failed: Callable[[Exception], None],
    ) -> None:
        self.topic, info_topic = topics
        self.located = 0
        self.without_place = 0
        self._live = live
        self._transforms = transforms
        self._warn = warn
        self._pause = pause
        compressed = self.topic.endswith(COMPRESSED_DEPTH)
        self._images = DepthImages(compressed=compressed)
        self._opened_s: float | None = None
        self._subscription = ImageSubscription(
            node,
            self.topic,
            callback_group,
            compressed=compressed,
            reliability=reliability,
            receive=self._receive,
            lost=lambda _count: None,
            faults=logs[0],
            warnings=logs[1],
        )
        self._camera_info = CameraInfoListener(node, self.topic, callback_group, info_topic)
        self._publishers = ViewPublishers(
            node, prefix, self._camera_info, callback_group, OBJECT_VIEWS
        )
        self._velocities = Velocities()
        self._velocity_frame = ""
        self._worker: SlotWorker[str, ViewFrame] = SlotWorker("yolact objects", self._work, failed)
        self._worker.start()

    def wanted(self) -> bool:
        """Whether anybody subscribes to where the objects are."""
        return bool(self._publishers.wanted())

    def put(self, frame: ViewFrame) -> None:
        """Leave the newest result."""
        self._worker.slots.put("result", frame, time.monotonic())

    def tick(self) -> None:
        """Call once a second: listens to depth and camera_info while somebody subscribes."""
        wanted = self.wanted()
        self._publishers.tick()
        if wanted and self._opened_s is None:
            self._subscription.open()
            self._opened_s = time.monotonic()
        elif not wanted:
            self.close()
        if self._opened_s is not None:
            self._subscription.tick()

    def close(self) -> None:
        """Listen to nothing any more."""
        self._opened_s = None
        self._subscription.close()
        self._publishers.close()
        self._images.clear()

    def destroy(self) -> None:
        """End the thread, and destroy all that was made."""
        self._worker.stop()
        self.close()
        self._subscription.destroy()
        self._publishers.destroy()

    def values(self) -> list[tuple[str, object]]:
        """For the diagnostics."""
        return [
            ("depth topic", self.topic),
            ("depth camera_info", self._camera_info.topic),
            ("target frame", self._live().target_frame),
            ("depth images", self._images.received),
            ("objects located", self.located),
            ("objects without a place", self.without_place),
        ]

    def _receive(self, data: bytes) -> None:
        try:
            self._images.add(data)
        except DepthError as error:
            self._warn("depth image", str(error))

    def _work(self, taken: TakenItem[str, ViewFrame]) -> None:
        view = taken.item
        until_s = time.monotonic() + self._live().depth_wait_ms / MS_PER_S
        depth, missing = self._images.wait_for(view.header.stamp_ns, until_s)
        transform = self._transform(view, until_s)
        self._pause()
        if depth is None:
            self._warn_of_no_depth(missing)
            places: Places = self._nowhere(view, missing)
        else:
            places = self._locate(view, depth, transform)
        located = sum(isinstance(place, ObjectPlace) for place in places)
        self.located += located
        self.without_place += len(places) - located
        self._publishers.publish(
            LocatedFrame(
                view=view,
                places=places,
                velocities=self._follow(view, places, transform),
                depth_stamp_ns=depth.stamp_ns if depth else 0,
                velocity_frame=self._velocity_frame if transform else "",
                to_fixed=transform.rotation if transform else None,
            )
        )

    def _transform(self, view: ViewFrame, until_s: float) -> Transform | None:
        """From the camera's frame to the fixed one; a missing one is warned of."""
        target = self._live().target_frame
        if target != self._velocity_frame:
            self._velocities.reset()
            self._velocity_frame = target
        if not target:
            return None
        source, stamp_ns = view.header.frame_id, view.header.stamp_ns
        transform, problem = self._transforms.find(target, source, stamp_ns, until_s)
        if transform is None and self._settled():
            self._warn(
                "no tf",
                f"no transform from {source!r} to the target_frame {target!r}, so velocities are "
                f"unknown and boxes not upright: {problem}",
            )
        return transform

    def _locate(self, view: ViewFrame, depth: DepthImage, transform: Transform | None) -> Places:
        prediction = view.prediction
        size_px = (prediction.image_width_px, prediction.image_height_px)
        if depth.message.header.frame_id != view.header.frame_id:
            self._warn(
                "depth frame",
                f"depth images are of the frame {depth.message.header.frame_id!r}, the colour "
                f"images of {view.header.frame_id!r}: is it registered? Places are right only "
                "with depth seen from the colour camera, such as aligned_depth_to_color",
            )
        try:
            depth_m = depth.in_metres()
            camera = self._camera_info.model(*size_px)
            if camera is None:
                return self._no_calibration(view)
            if not np.isfinite(depth_m).any():
                raise DepthError(
                    "no pixel of the depth image has a reading (all are 0 or NaN): is it the "
                    "right topic, is the sensor covered or too close?"
                )
            if len(prediction.mask_crops) < len(prediction):
                return self._nowhere(view, "no mask: the frame budget had no time for it")
            return locate_objects(
                prediction.mask_crops,
                depth_m,
                camera,
                DepthSettings(max_depth_m=self._live().max_depth_m),
                gravity=None if transform is None else -transform.rotation[2],
                with_points=POINTS in self._publishers.wanted(),
            )
        except DepthError as error:
            cause = "depth calibration" if str(error).startswith("camera_info") else "depth image"
            self._warn(cause, str(error))
            return self._nowhere(view, str(error))

    def _no_calibration(self, view: ViewFrame) -> Places:
        if self._settled():
            self._warn(
                "depth calibration",
                f"no camera_info has come on {self._camera_info.topic}; let the driver publish "
                "it there, or set depth_camera_info to the topic that has it",
            )
        return self._nowhere(view, f"no camera_info on {self._camera_info.topic}")

    def _follow(
        self, view: ViewFrame, places: Places, transform: Transform | None
    ) -> Sequence[np.ndarray | None]:
        track_ids = view.prediction.track_ids.tolist() or [0] * len(places)
        if transform is None or not view.header.stamp_ns:
            return [None] * len(places)
        positions = [
            transform.rotation @ place.centroid_m + transform.translation_m
            if isinstance(place, ObjectPlace)
            else None
            for place in places
        ]
        return self._velocities.update(view.header.stamp_ns / NS_PER_S, track_ids, positions)

    def _nowhere(self, view: ViewFrame, reason: str) -> Places:
        return [NoPlace(reason)] * len(view.prediction)

    def _settled(self) -> bool:
        """Whether what is missing now is missed."""
        opened_s = self._opened_s
        return opened_s is not None and time.monotonic() - opened_s > GRACE_S

    def _warn_of_no_depth(self, missing: str) -> None:
        if not self._settled():
            return
        if self._subscription.publisher_count == 0:
            text = f"nobody publishes depth images on {self.topic}; name another in depth_image"
        elif "older" in missing:
            wait_ms = self._live().depth_wait_ms
            text = (
                f"{missing} than the colour image after depth_wait_ms ({wait_ms:g} ms); a longer "
                "wait, or a camera that takes both together"
            )
        else:
            text = (
                f"{missing}, expected at most 20 ms from the colour image's stamp; let one driver "
                "stamp both, and synchronise the clocks of two"
            )
        self._warn("no depth", text)
