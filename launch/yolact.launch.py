"""Start yolact_node on camera topics, with the transport settings that images need.

ros2 launch yolact_ros yolact.launch.py image:=/camera/image_raw rviz:=true
"""

from __future__ import annotations

from launch.actions import OpaqueFunction

from launch import LaunchDescription
from yolact_ros.ros.launching import (
    node_arguments,
    parameter_arguments,
    set_transport,
    start_node,
    start_rviz,
)


def generate_launch_description() -> LaunchDescription:
    """Arguments, environment, node and rviz."""
    return LaunchDescription(
        [
            *node_arguments(),
            *parameter_arguments(),
            OpaqueFunction(function=set_transport),
            OpaqueFunction(function=start_node),
            OpaqueFunction(function=start_rviz),
        ]
    )
