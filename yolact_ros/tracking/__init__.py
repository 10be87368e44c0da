"""Objects that keep their identity from image to image; plain NumPy, no ROS and no torch."""

from yolact_ros.tracking.settings import TRACKERS, TrackerName, TrackerSettings
from yolact_ros.tracking.tracker import Tracker, Tracks
from yolact_ros.tracking.trails import Trails

__all__ = ["TRACKERS", "Tracker", "TrackerName", "TrackerSettings", "Tracks", "Trails"]
