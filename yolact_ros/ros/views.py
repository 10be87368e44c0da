"""Pictures of the results, drawn only while somebody looks at them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import CompressedImage, Image

from yolact_ros.inference.cdr import MessageHeader
from yolact_ros.palette import PaletteName
from yolact_ros.ros.conversions import to_compressed_image_message, to_image_message
from yolact_ros.ros.qos import result_qos
from yolact_ros.structures import Prediction
from yolact_ros.visualization import draw_overlay, label_image

__all__ = ["VIEWS", "View", "ViewFrame", "ViewPublishers"]

JPEG_QUALITY = 85


@dataclass
class ViewFrame:
    """A processed frame for the views.

    Attributes:
        header: of the image.
        image_bgr (uint8[H, W, 3]): the image.
        prediction: what was found, with masks.
        class_names: of the model.
        palette: of the classes' colours.
    """

    header: MessageHeader
    image_bgr: NDArray[np.uint8]
    prediction: Prediction
    class_names: Sequence[str] = field(repr=False)
    palette: PaletteName = "vivid"

    @cached_property
    def overlay_bgr(self) -> NDArray[np.uint8]:
        """The image with masks, boxes and names (uint8[H, W, 3]); drawn once for all views."""
        return draw_overlay(
            self.image_bgr, self.prediction, self.class_names, palette=self.palette
        )


@dataclass(frozen=True)
class View:
    """One lazily computed output.

    Attributes:
        topic: below the camera's prefix.
        message_type: of the topic.
        render: the message of one frame.
    """

    topic: str
    message_type: type
    render: Callable[[ViewFrame], object]


def _overlay(frame: ViewFrame) -> Image:
    return to_image_message(frame.header, frame.overlay_bgr, "bgr8")


def _compressed_overlay(frame: ViewFrame) -> CompressedImage:
    _, file = cv2.imencode(".jpg", frame.overlay_bgr, (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY))
    # The format string of image_transport, which rviz and rqt read.
    return to_compressed_image_message(frame.header, file, "bgr8; jpeg compressed bgr8")


def _label_image(frame: ViewFrame) -> Image:
    labels = label_image(frame.prediction)
    return to_image_message(frame.header, labels, "mono8" if labels.itemsize == 1 else "mono16")


VIEWS: tuple[View, ...] = (
    View("overlay", Image, _overlay),
    View("overlay/compressed", CompressedImage, _compressed_overlay),
    View("label_image", Image, _label_image),
)


class ViewPublishers:
    """The view topics of one camera.

    Args:
        node: to publish with.
        prefix: of the topics, for example "~".
    """

    def __init__(self, node: LifecycleNode, prefix: str) -> None:
        self._node = node
        self._publishers = [
            (
                view,
                node.create_lifecycle_publisher(
                    view.message_type, f"{prefix}/{view.topic}", result_qos(depth=1)
                ),
            )
            for view in VIEWS
        ]

    def wanted(self) -> bool:
        """True while anybody subscribes to any view."""
        return any(publisher.get_subscription_count() > 0 for _, publisher in self._publishers)

    def publish(self, frame: ViewFrame) -> None:
        """Render and publish the views that have subscribers."""
        for view, publisher in self._publishers:
            if publisher.get_subscription_count() > 0:
                publisher.publish(view.render(frame))

    def destroy(self) -> None:
        """Destroy the publishers."""
        for _, publisher in self._publishers:
            self._node.destroy_lifecycle_publisher(publisher)
        self._publishers = []
