"""Several cameras on one node, and so on one network.

ros2 launch yolact_ros multi_camera.launch.py cameras:=front,rear \
    topics:=/front/image_raw,/rear/image_raw rviz:=true

Arguments of yolact.launch.py can be given too.
"""

from __future__ import annotations

from pathlib import Path

from launch.actions import IncludeLaunchDescription, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource

from launch import LaunchContext, LaunchDescription
from yolact_ros.errors import ConfigError
from yolact_ros.ros.launching import Argument, argument, declare, read_list

HERE = Path(__file__).resolve().parent
ARGUMENTS: tuple[Argument, ...] = (
    ("cameras", "front,rear", "Names of the cameras; each has ~/<name>/instances and the views."),
    ("topics", "", "Image topic of each camera; empty is /<name>/image_raw for each."),
)


def generate_launch_description() -> LaunchDescription:
    """The node on all cameras."""
    return LaunchDescription([*declare(ARGUMENTS), OpaqueFunction(function=start)])


def start(context: LaunchContext) -> list[IncludeLaunchDescription]:
    """The node's launch file with the cameras and their topics.

    Raises:
        ConfigError: no camera is named.
    """
    names = read_list(argument(context, "cameras"))
    if not names:
        raise ConfigError("cameras is empty, expected names such as front,rear")
    topics = argument(context, "topics") or ",".join(f"/{name}/image_raw" for name in names)
    return [
        IncludeLaunchDescription(
            PythonLaunchDescriptionSource(str(HERE / "yolact.launch.py")),
            launch_arguments=[("cameras", ",".join(names)), ("image", topics)],
        )
    ]
