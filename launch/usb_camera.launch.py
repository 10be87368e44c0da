# Copyright 2026 yolact_ros maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.

"""A USB camera (package usb_cam) and the node on it.

ros2 launch yolact_ros usb_camera.launch.py video_device:=/dev/video0 rviz:=true

Arguments of yolact.launch.py can be given too. Other drivers: docs/robot.md.
"""

from __future__ import annotations

from typing import Any

from launch.actions import OpaqueFunction
from launch_ros.actions import Node

from launch import LaunchContext, LaunchDescription
from yolact_ros.errors import ConfigError
from yolact_ros.ros.launching.actions import declared, end_with, start_node
from yolact_ros.ros.launching.arguments import (
    Argument,
    argument,
    existing_path,
    number,
    whole_number,
)
from yolact_ros.ros.launching.packages import require_executable
from yolact_ros.ros.launching.topics import image_topics

DRIVER = ("usb_cam", "usb_cam_node_exe")
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
    # Relative, so that the namespace holds for both.
    return LaunchDescription(
        [*declared(__file__, ARGUMENTS, image="camera/image_raw"), OpaqueFunction(function=start)]
    )


def start(context: LaunchContext) -> list[Any]:
    """The node, and the driver that publishes what it subscribes to; each ends with the other."""
    driver = start_driver(context)
    require_executable(*DRIVER, "usb_camera.launch.py")
    actions = start_node(context, driver)
    others = [action for action in actions if isinstance(action, Node) and action is not driver]
    return [end_with(driver, others), *actions]


def start_driver(context: LaunchContext) -> Node:
    """The driver; its images and camera_info are on the node's topic and beside it."""
    topics = image_topics(context)
    if list(topics) != [""]:
        raise ConfigError(
            f"cameras is {', '.join(topics)!r}, and usb_camera.launch.py has one camera; start "
            "the drivers by hand and multi_camera.launch.py (docs/robot.md)"
        )
    namespace, _, name = topics[""].rpartition("/")
    return Node(
        package=DRIVER[0],
        executable=DRIVER[1],
        name="usb_cam",
        namespace=namespace or "/",
        parameters=[
            {
                "video_device": existing_path(
                    context, "video_device", "one that `ls /dev/video*` lists"
                ),
                "image_width": whole_number(context, "width"),
                "image_height": whole_number(context, "height"),
                "framerate": number(context, "framerate", least=0.1),
                "pixel_format": argument(context, "pixel_format"),
                "frame_id": argument(context, "frame"),
            }
        ],
        remappings=[] if name == "image_raw" else [("image_raw", topics[""])],
        output="screen",
    )
