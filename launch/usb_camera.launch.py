"""A USB camera (package usb_cam) and the node on it.

ros2 launch yolact_ros usb_camera.launch.py video_device:=/dev/video0 rviz:=true

Arguments of yolact.launch.py can be given too. Other drivers: docs/robot.md.
"""

from __future__ import annotations

from pathlib import Path

from launch.actions import IncludeLaunchDescription, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_ros.actions import Node

from launch import LaunchContext, LaunchDescription
from yolact_ros.ros.launching import Argument, argument, declare

HERE = Path(__file__).resolve().parent
ARGUMENTS: tuple[Argument, ...] = (
    ("video_device", "/dev/video0", "The camera (`v4l2-ctl --list-devices` shows them)."),
    ("width", "640", "Columns of the image, pixels."),
    ("height", "480", "Rows of the image, pixels."),
    ("framerate", "30.0", "Images a second."),
    ("pixel_format", "mjpeg2rgb", "What the camera sends and how it is decoded, as in usb_cam."),
    ("frame", "camera", "Frame of the images (their header.frame_id)."),
)


def generate_launch_description() -> LaunchDescription:
    """Camera and node."""
    # The node first: it sets the transport's environment for what starts after it.
    node = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(HERE / "yolact.launch.py")),
        launch_arguments=[("image", "/camera/image_raw")],
    )
    return LaunchDescription([*declare(ARGUMENTS), node, OpaqueFunction(function=start_camera)])


def start_camera(context: LaunchContext) -> list[Node]:
    """The driver, which publishes /camera/image_raw."""
    return [
        Node(
            package="usb_cam",
            executable="usb_cam_node_exe",
            name="usb_cam",
            namespace="camera",
            parameters=[
                {
                    "video_device": argument(context, "video_device"),
                    "image_width": int(argument(context, "width")),
                    "image_height": int(argument(context, "height")),
                    "framerate": float(argument(context, "framerate")),
                    "pixel_format": argument(context, "pixel_format"),
                    "frame_id": argument(context, "frame"),
                }
            ],
            output="screen",
        )
    ]
