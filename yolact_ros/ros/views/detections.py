"""The boxes as vision_msgs, where that package is installed."""

from __future__ import annotations

from collections.abc import Sequence

from rclpy.callback_groups import CallbackGroup
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import DurabilityPolicy
from std_msgs.msg import Header

from yolact_ros.prediction import Prediction
from yolact_ros.ros.conversions import to_header_message
from yolact_ros.ros.qos import result_qos
from yolact_ros.ros.views.view import View, ViewFrame, stateless

try:
    from vision_msgs.msg import (
        BoundingBox2D,
        Detection2D,
        Detection2DArray,
        LabelInfo,
        ObjectHypothesisWithPose,
        VisionClass,
    )
except ImportError:
    VISION_MSGS_INSTALLED = False
else:
    VISION_MSGS_INSTALLED = True

__all__ = [
    "DETECTION_VIEWS",
    "VISION_MSGS_INSTALLED",
    "LabelPublisher",
    "to_detection_array",
]


def to_detection_array(prediction: Prediction, header: Header) -> Detection2DArray:
    """The boxes, classes and scores as a message; needs the package vision_msgs.

    Args:
        header: of that image's message.
    """
    detections = []
    for class_id, score, (left, top, right, bottom), track_id in zip(
        prediction.class_ids.tolist(),
        prediction.scores.tolist(),
        prediction.boxes_xyxy.tolist(),
        prediction.track_ids.tolist() or [0] * len(prediction),
        strict=True,
    ):
        result = ObjectHypothesisWithPose()
        # The key of LabelInfo's map, as vision_msgs asks for.
        result.hypothesis.class_id = str(class_id)
        result.hypothesis.score = score
        box = BoundingBox2D(size_x=right - left, size_y=bottom - top)
        box.center.position.x = (left + right) / 2
        box.center.position.y = (top + bottom) / 2
        # vision_msgs' id "for consistency across multiple detection messages".
        name = str(track_id) if track_id else ""
        detections.append(Detection2D(header=header, results=[result], bbox=box, id=name))
    return Detection2DArray(header=header, detections=detections)


def _detections(frame: ViewFrame) -> Detection2DArray:
    return to_detection_array(frame.prediction, to_header_message(frame.header))


DETECTION_VIEWS: tuple[View, ...] = (
    (View("detections", Detection2DArray, stateless(_detections), uses_masks=False),)
    if VISION_MSGS_INSTALLED
    else ()
)


class LabelPublisher:
    """Tells late subscribers too which class ids have which names."""

    def __init__(self, node: LifecycleNode, prefix: str, callback_group: CallbackGroup) -> None:
        self._node = node
        qos = result_qos(depth=1)
        qos.durability = DurabilityPolicy.TRANSIENT_LOCAL
        self._publisher = node.create_lifecycle_publisher(
            LabelInfo, f"{prefix}/label_info", qos, callback_group=callback_group
        )

    def publish(self, class_names: Sequence[str], score_threshold: float) -> None:
        """Announce the classes and the least score of a published instance."""
        message = LabelInfo(
            class_map=[
                VisionClass(class_id=class_id, class_name=name)
                for class_id, name in enumerate(class_names)
            ],
            threshold=score_threshold,
        )
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(message)

    def destroy(self) -> None:
        """Destroy the publisher."""
        self._node.destroy_lifecycle_publisher(self._publisher)
