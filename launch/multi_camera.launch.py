"""Several cameras on one node, and so on one network.

ros2 launch yolact_ros multi_camera.launch.py cameras:=front,rear \
    topics:=/front/image_raw,/rear/image_raw rviz:=true

Arguments of yolact.launch.py can be given too.
"""

from __future__ import annotations

from pathlib import Path

from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration

from launch import LaunchDescription
from yolact_ros.ros.launching import Argument, declare

HERE = Path(__file__).resolve().parent
ARGUMENTS: tuple[Argument, ...] = (
    ("cameras", "front,rear", "Names of the cameras; each has ~/<name>/instances and the views."),
    ("topics", "", "Image topic of each camera; empty is /<name>/image_raw for each."),
)


def generate_launch_description() -> LaunchDescription:
    """The node on all cameras."""
    node = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(HERE / "yolact.launch.py")),
        launch_arguments=[
            ("cameras", LaunchConfiguration("cameras")),
            ("image", LaunchConfiguration("topics")),
        ],
    )
    return LaunchDescription([*declare(ARGUMENTS), node])
