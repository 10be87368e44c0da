"""The view topics of one camera, and the views that are images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import cv2
from rclpy.callback_groups import CallbackGroup
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import CompressedImage, Image

from yolact_ros.ros.camera_info import CameraInfoListener
from yolact_ros.ros.conversions import to_compressed_image_message, to_image_message
from yolact_ros.ros.qos import result_qos
from yolact_ros.ros.views.detections import DETECTION_VIEWS
from yolact_ros.ros.views.markers import MARKERS
from yolact_ros.ros.views.view import View, ViewFrame, stateless
from yolact_ros.visualization import label_image

__all__ = ["VIEWS", "ViewPublishers"]

JPEG_QUALITY = 85


def _overlay(frame: ViewFrame) -> Image:
    return to_image_message(frame.header, frame.overlay_bgr, "bgr8")


def _compressed_overlay(frame: ViewFrame) -> CompressedImage:
    _, file = cv2.imencode(".jpg", frame.overlay_bgr, (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY))
    return to_compressed_image_message(frame.header, file)


def _label_image(frame: ViewFrame) -> Image:
    labels = label_image(frame.prediction)
    return to_image_message(frame.header, labels, "mono8" if labels.itemsize == 1 else "mono16")


VIEWS: tuple[View, ...] = (
    View("overlay", Image, stateless(_overlay)),
    View("overlay/compressed", CompressedImage, stateless(_compressed_overlay)),
    View("label_image", Image, stateless(_label_image)),
    MARKERS,
    *DETECTION_VIEWS,
)


class ViewPublishers:
    """The view topics of one camera.

    :meth:`publish` is for the views' thread, the rest for the executor's, except that anybody may
    ask what is wanted.

    Args:
        camera_info: of the camera; listened to while a view uses it.
    """

    def __init__(
        self,
        node: LifecycleNode,
        prefix: str,
        camera_info: CameraInfoListener,
        callback_group: CallbackGroup,
        views: Sequence[View] = VIEWS,
    ) -> None:
        self._node = node
        self._camera_info = camera_info
        self._publishers = [
            (
                view,
                view.make_render(self._camera_info),
                node.create_lifecycle_publisher(
                    view.message_type,
                    f"{prefix}/{view.topic}",
                    result_qos(depth=1),
                    callback_group=callback_group,
                ),
            )
            for view in views
        ]

    def wanted(self) -> tuple[View, ...]:
        """The views that anybody subscribes to."""
        return tuple(
            view
            for view, _, publisher in self._publishers
            if publisher.get_subscription_count() > 0
        )

    def publish(self, frame: Any, wait: Callable[[], object] = lambda: None) -> None:
        """Render and publish the views that have subscribers.

        Args:
            wait: called before each view; returns when it may be made.
        """
        for _, render, publisher in self._publishers:
            if publisher.get_subscription_count() > 0:
                wait()
                publisher.publish(render(frame))

    def tick(self) -> None:
        """Call once a second: listens to camera_info while a view uses it."""
        self._camera_info.set_open(any(view.uses_camera_info for view in self.wanted()))

    def close(self) -> None:
        """Listen to nothing any more."""
        self._camera_info.set_open(False)

    def destroy(self) -> None:
        """Destroy the publishers."""
        self.close()
        for _, _, publisher in self._publishers:
            self._node.destroy_lifecycle_publisher(publisher)
        self._publishers = []
