"""Start yolact_node on camera topics, with the transport settings that images need.

ros2 launch yolact_ros yolact.launch.py image:=/camera/image_raw rviz:=true
"""

from __future__ import annotations

from launch.actions import OpaqueFunction

from launch import LaunchDescription
from yolact_ros.ros.launching.actions import declared, start_node


def generate_launch_description() -> LaunchDescription:
    """Arguments, environment, node and rviz."""
    return LaunchDescription([*declared(__file__), OpaqueFunction(function=start_node)])
