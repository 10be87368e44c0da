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

"""Several cameras on one node, and so on one network.

ros2 launch yolact_ros multi_camera.launch.py cameras:=front,rear \
    topics:=/front/image_raw,/rear/image_raw rviz:=true

Arguments of yolact.launch.py can be given too.
"""

from __future__ import annotations

from typing import Any

from launch.actions import OpaqueFunction

from launch import LaunchContext, LaunchDescription
from yolact_ros.errors import ConfigError
from yolact_ros.ros.launching.actions import declared, start_node
from yolact_ros.ros.launching.arguments import Argument, argument, read_list

ARGUMENTS: tuple[Argument, ...] = (
    (
        "topics",
        "",
        "Image topic of each camera, as image:= has them; empty is /<name>/image_raw for each.",
    ),
)


def generate_launch_description() -> LaunchDescription:
    """The node on all cameras."""
    return LaunchDescription(
        [
            *declared(__file__, ARGUMENTS, cameras="front,rear", image=""),
            OpaqueFunction(function=start),
        ]
    )


def start(context: LaunchContext) -> list[Any]:
    """The node, with the topics under either name."""
    topics, image = argument(context, "topics"), argument(context, "image")
    if topics and image:
        raise ConfigError(f"topics is {topics!r} and image {image!r}; expected one of them")
    cameras = argument(context, "cameras")
    if not read_list("cameras", cameras):
        raise ConfigError(f"cameras is {cameras!r}, expected names, such as cameras:=front,rear")
    context.launch_configurations["image"] = topics or image
    return start_node(context)
