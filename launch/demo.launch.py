"""Play a clip as a camera and watch its instances in rviz.

ros2 launch yolact_ros demo.launch.py source:=clip.mp4
"""

from __future__ import annotations

import sys
from pathlib import Path

from launch.actions import ExecuteProcess, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration

from launch import LaunchDescription
from yolact_ros.ros.launching import Argument, declare

IMAGE_TOPIC = "/image"
HERE = Path(__file__).resolve().parent
ARGUMENTS: tuple[Argument, ...] = (
    ("source", None, "A video, an image, a folder of images or a camera index."),
    ("rate", "30", "Images a second."),
    ("duration", "3600", "Seconds to play; a clip begins again until then."),
    ("model", "bundled", "Name of a model (`yolact models list`) or path of a checkpoint."),
    ("device", "auto", "Where the network runs: auto, cpu, cuda or cuda:N."),
    ("rviz", "true", "Start rviz."),
)


def generate_launch_description() -> LaunchDescription:
    """Camera, node and rviz."""
    # The node first: it sets the transport's environment for what starts after it.
    node = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(HERE / "yolact.launch.py")),
        launch_arguments=[
            ("image", IMAGE_TOPIC),
            *((name, LaunchConfiguration(name)) for name in ("model", "device", "rviz")),
        ],
    )
    camera = ExecuteProcess(
        cmd=[
            sys.executable,
            "-m",
            "yolact_ros.ros.demo_camera",
            "--topic",
            IMAGE_TOPIC,
            "--source",
            LaunchConfiguration("source"),
            "--rate",
            LaunchConfiguration("rate"),
            "--duration",
            LaunchConfiguration("duration"),
        ],
        output="screen",
    )
    return LaunchDescription([*declare(ARGUMENTS), node, camera])
