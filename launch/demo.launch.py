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

"""Play a clip as a camera and watch its instances in rviz; ends with the clip.

ros2 launch yolact_ros demo.launch.py source:=clip.mp4

Arguments of yolact.launch.py can be given too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from launch.actions import ExecuteProcess, OpaqueFunction, Shutdown

from launch import LaunchContext, LaunchDescription
from yolact_ros.errors import ConfigError
from yolact_ros.ros.launching.actions import after, declared, start_node
from yolact_ros.ros.launching.arguments import Argument, argument, number
from yolact_ros.ros.launching.topics import image_topics

ARGUMENTS: tuple[Argument, ...] = (
    ("source", None, "A video, an image, a folder of images, a camera index or a stream."),
    ("rate", "30", "Images a second."),
    ("duration", "3600", "Seconds to play; a clip begins again until then. 0 plays it once."),
)


def generate_launch_description() -> LaunchDescription:
    """Camera, node and rviz."""
    return LaunchDescription(
        [*declared(__file__, ARGUMENTS, rviz="true"), OpaqueFunction(function=start)]
    )


def start(context: LaunchContext) -> list[Any]:
    """The node and the camera on its topic."""
    topics = image_topics(context)
    if list(topics) != [""]:
        raise ConfigError(f"cameras is {', '.join(topics)!r}, and the demo has one camera")
    camera = ExecuteProcess(
        cmd=[
            *("python3", "-m", "yolact_ros.ros", "demo_camera"),
            *("--topic", topics[""]),
            *("--source", existing_source(context)),
            *("--rate", f"{number(context, 'rate', least=0.01):g}"),
            *("--duration", f"{number(context, 'duration'):g}"),
        ],
        output="screen",
        on_exit=after(
            "the camera ended with code {code}; it said why above",
            [Shutdown(reason="the clip has ended")],
        ),
    )
    return start_node(context, camera)


def existing_source(context: LaunchContext) -> str:
    """The source, which the camera opens."""
    source = argument(context, "source")
    if not source.isdecimal() and "://" not in source and not Path(source).expanduser().exists():
        raise ConfigError(
            f"source {source} does not exist; expected a video, an image, a folder of images, a "
            "camera index or a stream's address"
        )
    return source
