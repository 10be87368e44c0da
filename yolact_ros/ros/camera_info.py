"""The calibration of a camera, from the camera_info beside its image topic."""

from __future__ import annotations

from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo

from yolact_ros.depth import CameraModel
from yolact_ros.errors import DepthError
from yolact_ros.ros.qos import image_qos

__all__ = ["CameraInfoListener", "camera_info_topic", "to_camera_model"]

# image_proc publishes rectified images as image_rect and image_rect_color.
RECTIFIED_PREFIX = "image_rect"
COMPRESSED_DEPTH = "/compressedDepth"


class CameraInfoListener:
    """Listens to the camera_info of one camera while it is open.

    Open and close it from the executor's thread; the model is for one other thread.

    Args:
        topic: resolved name of the camera_info; empty is that beside the image topic.
    """

    def __init__(
        self, node: Node, image_topic: str, callback_group: CallbackGroup, topic: str = ""
    ) -> None:
        self.topic = topic or camera_info_topic(image_topic)
        self._node = node
        self._callback_group = callback_group
        name = image_topic.removesuffix(COMPRESSED_DEPTH).rpartition("/")[2]
        self._rectified = name.startswith(RECTIFIED_PREFIX)
        self._subscription: Subscription | None = None
        self._newest: CameraInfo | None = None
        # Kept while nothing changes, since a model has the rays of all pixels.
        self._known: tuple[tuple[object, ...], CameraModel] | None = None

    def set_open(self, wanted: bool) -> None:
        """Subscribe or unsubscribe; no-op where that is done."""
        if wanted and self._subscription is None:
            self._subscription = self._node.create_subscription(
                CameraInfo,
                self.topic,
                self._receive,
                image_qos(reliable=False),
                callback_group=self._callback_group,
            )
        elif not wanted and self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None
            self._newest = None

    def model(self, width_px: int, height_px: int) -> CameraModel | None:
        """The projection of an image of this size; None until a camera_info has come.

        Raises:
            DepthError: the camera is not calibrated, or its lens is not understood.
        """
        info = self._newest
        if info is None:
            return None
        key = (width_px, height_px, *_values_of(info))
        if self._known is None or self._known[0] != key:
            model = to_camera_model(info, rectified=self._rectified)
            self._known = (key, model.resized(width_px, height_px))
        return self._known[1]

    def model_or_assumed(self, width_px: int, height_px: int) -> CameraModel:
        """The projection of an image of this size, an assumed one where it is not known."""
        try:
            known = self.model(width_px, height_px)
        except DepthError:
            known = None
        return known or CameraModel.assumed(width_px, height_px)

    def _receive(self, info: CameraInfo) -> None:
        self._newest = info


def camera_info_topic(image_topic: str) -> str:
    """The sibling of an image topic, as image_pipeline has it."""
    return image_topic.removesuffix(COMPRESSED_DEPTH).rpartition("/")[0] + "/camera_info"


def to_camera_model(info: CameraInfo, *, rectified: bool) -> CameraModel:
    """The projection that a camera_info describes.

    Args:
        rectified: the image is straight already.

    Raises:
        DepthError: the camera is not calibrated, or its lens is not understood.
    """
    roi = info.roi
    return CameraModel.from_calibration(
        width_px=info.width,
        height_px=info.height,
        k=info.k.tolist(),
        d=list(info.d),
        distortion_model=info.distortion_model,
        p=info.p.tolist(),
        binning=(info.binning_x, info.binning_y),
        roi_xywh=(roi.x_offset, roi.y_offset, roi.width, roi.height),
        rectified=rectified,
    )


def _values_of(info: CameraInfo) -> tuple[object, ...]:
    roi = info.roi
    return (
        *(info.width, info.height, info.distortion_model, info.binning_x, info.binning_y),
        *(roi.x_offset, roi.y_offset, roi.width, roi.height),
        *(tuple(info.k), tuple(info.d), tuple(info.p)),
    )
