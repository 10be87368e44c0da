"""What people look at: pictures, rviz markers and detections, made only while somebody does."""

from yolact_ros.ros.views.detections import (
    VISION_MSGS_INSTALLED,
    LabelPublisher,
    to_detection_array,
)
from yolact_ros.ros.views.objects import OBJECT_VIEWS, LocatedFrame
from yolact_ros.ros.views.publishers import VIEWS, ViewPublishers
from yolact_ros.ros.views.view import View, ViewFrame

__all__ = [
    "OBJECT_VIEWS",
    "VIEWS",
    "VISION_MSGS_INSTALLED",
    "LabelPublisher",
    "LocatedFrame",
    "View",
    "ViewFrame",
    "ViewPublishers",
    "to_detection_array",
]
