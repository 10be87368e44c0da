"""Where objects are in space, from their masks and a depth image; no ROS and no torch."""

from yolact_ros.depth.camera_model import CameraModel
from yolact_ros.depth.depth_image import check_same_view, depth_in_metres
from yolact_ros.depth.locate import NoPlace, ObjectPlace, Place, locate_objects
from yolact_ros.depth.settings import DepthSettings
from yolact_ros.depth.velocity import Velocities

__all__ = [
    "CameraModel",
    "DepthSettings",
    "NoPlace",
    "ObjectPlace",
    "Place",
    "Velocities",
    "check_same_view",
    "depth_in_metres",
    "locate_objects",
]
