"""The calibration of a camera, from the camera_info beside its image topic."""

from __future__ import annotations

from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo

from yolact_ros.ops.pinhole import Pinhole
from yolact_ros.ros.qos import image_qos

__all__ = ["CameraInfoListener", "camera_info_topic", "to_pinhole"]

FISHEYE_MODEL = "equidistant"
FISHEYE_COEFFICIENTS = 4
# image_proc publishes rectified images as image_rect and image_rect_color.
RECTIFIED_PREFIX = "image_rect"


class CameraInfoListener:
    """Listens to the camera_info of one camera while it is open.

    Open and close it from the executor's thread; :meth:`pinhole` is for any thread.

    Args:
        node: to subscribe with.
        image_topic: resolved name of the raw image topic.
        callback_group: of the subscription.
    """

    def __init__(self, node: Node, image_topic: str, callback_group: CallbackGroup) -> None:
        self._node = node
        self._callback_group = callback_group
        self._topic = camera_info_topic(image_topic)
        self._rectified = image_topic.rpartition("/")[2].startswith(RECTIFIED_PREFIX)
        self._subscription: Subscription | None = None
        self._newest: CameraInfo | None = None

    def set_open(self, wanted: bool) -> None:
        """Subscribe or unsubscribe; no-op where that is done."""
        if wanted and self._subscription is None:
            self._subscription = self._node.create_subscription(
                CameraInfo,
                self._topic,
                self._receive,
                image_qos(reliable=False),
                callback_group=self._callback_group,
            )
        elif not wanted and self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None
            self._newest = None

    def pinhole(self, width_px: int, height_px: int) -> Pinhole:
        """The projection of an image of this size; an assumed one for an uncalibrated camera."""
        info = self._newest
        known = None if info is None else to_pinhole(info, width_px, rectified=self._rectified)
        return known or Pinhole.assumed(width_px, height_px)

    def _receive(self, info: CameraInfo) -> None:
        self._newest = info


def camera_info_topic(image_topic: str) -> str:
    """The sibling of an image topic, as image_pipeline has it."""
    return image_topic.rpartition("/")[0] + "/camera_info"


def to_pinhole(info: CameraInfo, width_px: int, *, rectified: bool) -> Pinhole | None:
    """The projection that a camera_info describes, None where it is not calibrated.

    Args:
        info: the message.
        width_px: of the image, which binning or resizing made smaller than the calibrated one.
        rectified: the image is straight already.
    """
    matrix, row = (info.p, 4) if rectified else (info.k, 3)
    full_width_px = info.roi.width or info.width
    if matrix[0] <= 0 or matrix[row + 1] <= 0 or full_width_px == 0:
        return None
    scale = width_px / full_width_px
    left_px, top_px = (info.roi.x_offset, info.roi.y_offset) if info.roi.width else (0, 0)
    fisheye = info.distortion_model == FISHEYE_MODEL
    distortion = () if rectified else tuple(float(value) for value in info.d)
    # The centre of the first pixel is at 0, so scaling is about the image's corner at -0.5.
    return Pinhole(
        focal_px=(matrix[0] * scale, matrix[row + 1] * scale),
        center_px=(
            (matrix[2] - left_px + 0.5) * scale - 0.5,
            (matrix[row + 2] - top_px + 0.5) * scale - 0.5,
        ),
        distortion=distortion[:FISHEYE_COEFFICIENTS] if fisheye else distortion,
        fisheye=fisheye,
    )
