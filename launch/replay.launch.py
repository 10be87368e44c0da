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

"""Play a bag into the node, watch it in rviz and record the results; ends with the bag.

ros2 launch yolact_ros replay.launch.py bag:=drive image:=/camera/image_raw output:=results

Arguments of yolact.launch.py can be given too: model, frame_budget_ms, cameras, ...
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from launch.actions import ExecuteProcess, OpaqueFunction, Shutdown

from launch import LaunchContext, LaunchDescription
from yolact_ros.errors import ConfigError
from yolact_ros.ros.launching.actions import after, declared, start_node
from yolact_ros.ros.launching.arguments import (
    Argument,
    argument,
    existing_path,
    is_true,
    number,
    read_list,
    topic_name,
)
from yolact_ros.ros.launching.packages import require_package
from yolact_ros.ros.launching.topics import RESULT_TOPICS, camera_topics, image_topics, node_name

# The recorder writes what it holds in memory when it is told to end; launch's 5 s can be too few.
FLUSH_S = "60"
# Of the image subscription. An image that DDS replaces by the next one before the node takes it is
# in nobody's count; the node itself works on the newest only.
DEPTH = 50
IMAGE_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
ARGUMENTS: tuple[Argument, ...] = (
    ("bag", None, "Folder or file of the bag to play."),
    ("rate", "1.0", "Times as fast as recorded."),
    ("start_offset", "0.0", "Seconds of the bag to leave out at its beginning."),
    ("loop", "false", "Begin again at the end, until Ctrl-C."),
    ("clock_hz", "100.0", "How often /clock is published; the node's time follows the bag."),
    ("qos_overrides", "", "YAML file for ros2 bag play's --qos-profile-overrides-path."),
    ("output", "", "Bag to record; empty records none."),
    (
        "record",
        "instances,/diagnostics",
        "Topics to record, below the node (overlay/compressed) or with a leading / (/tf).",
    ),
)


def generate_launch_description() -> LaunchDescription:
    """The node on simulated time, recorder, player and the end."""
    return LaunchDescription(
        [*declared(__file__, ARGUMENTS, use_sim_time="true"), OpaqueFunction(function=start)]
    )


def start(context: LaunchContext) -> list[Any]:
    """The node, the recorder and the paused player, and what has it play once they are ready."""
    require_package("ros2bag", "replay.launch.py")
    player = start_player(context)
    recorder = start_recorder(context)
    begin = ExecuteProcess(
        cmd=step("begin", context, "--record", *(recorded_topics(context) if recorder else [])),
        output="screen",
        on_exit=after("the bag was not played; the reason stands above", []),
    )
    depths = {
        f"qos_overrides.{topic}.subscription.depth": DEPTH for topic in subscribed_topics(context)
    }
    return start_node(context, *recorder, player, begin, parameters=depths)


def start_player(context: LaunchContext) -> ExecuteProcess:
    """``ros2 bag play``, paused."""
    bag = existing_path(context, "bag", "a folder or file of rosbag2")
    check_topics(bag, context)
    offset = number(context, "start_offset")
    qos_overrides = existing_path(context, "qos_overrides", "a YAML file of rosbag2")
    # What the bag holds of an earlier run must not mix with this one's results.
    renamed = [topic for name in RESULT_TOPICS for topic in _of_cameras(context, name)]
    renamed.append("/diagnostics")
    end = ExecuteProcess(
        cmd=step("end", context),
        output="screen",
        on_exit=after(
            "the last images were not finished; the reason stands above",
            [Shutdown(reason="the bag has ended")],
        ),
    )
    return ExecuteProcess(
        cmd=[
            # The bag comes first: options of several values would take it for one of theirs.
            *("ros2", "bag", "play", bag, "--disable-keyboard-controls", "--start-paused"),
            *("--rate", f"{number(context, 'rate', least=0.001):g}"),
            *("--clock", f"{number(context, 'clock_hz', least=0.001):g}"),
            # Only where there is one: before 0.26.4 rosbag2 refused an offset of 0.
            *(("--start-offset", f"{offset:g}") if offset else ()),
            *(("--loop",) if is_true(context, "loop") else ()),
            *(("--qos-profile-overrides-path", qos_overrides) if qos_overrides else ()),
            *("--remap", *(f"{topic}:=/recorded{topic}" for topic in renamed)),
        ],
        output="screen",
        on_exit=after("ros2 bag play ended with code {code}", [end]),
    )


def start_recorder(context: LaunchContext) -> list[ExecuteProcess]:
    """``ros2 bag record``, or nothing where no output is named."""
    output = argument(context, "output")
    if not output:
        return []
    folder = Path(output)
    if folder.exists():
        raise ConfigError(f"output {output} exists: move it away or name another")
    if not folder.absolute().parent.is_dir():
        raise ConfigError(f"output {output} cannot be made: there is no folder {folder.parent}")
    topics = recorded_topics(context)
    if not topics:
        raise ConfigError("record is empty; expected topics for output, or no output")
    return [
        ExecuteProcess(
            cmd=[
                *("ros2", "bag", "record", "--output", output),
                # Messages then lie where they belong in the bag's time.
                *(("--use-sim-time",) if is_true(context, "use_sim_time") else ()),
                *("--topics", *topics),
            ],
            output="screen",
            sigterm_timeout=FLUSH_S,
            on_exit=after("ros2 bag record ended with code {code}"),
        )
    ]


def step(name: str, context: LaunchContext, *options: str) -> list[str]:
    """The command of a step of the replay; its topics are what the node subscribes to."""
    command = ["python3", "-m", "yolact_ros.ros", "replay_steps", name, node_name(context)]
    return [*command, "--images", *subscribed_topics(context), *options]


def subscribed_topics(context: LaunchContext) -> list[str]:
    """The topics that the node subscribes to."""
    compressed = argument(context, "image_transport") == "compressed"
    suffix = "/compressed" if compressed else ""
    return [topic + suffix for topic in image_topics(context).values()]


def check_topics(bag: str, context: LaunchContext) -> None:
    """Make sure that the bag has the cameras' topics, as far as its metadata says what it has."""
    metadata = Path(bag) / "metadata.yaml"
    if not metadata.is_file():
        return
    try:
        content = yaml.safe_load(metadata.read_text())["rosbag2_bagfile_information"]
        types = {
            topic["topic_metadata"]["name"]: topic["topic_metadata"]["type"]
            for topic in content["topics_with_message_count"]
        }
    except (yaml.YAMLError, KeyError, TypeError, OSError) as error:
        raise ConfigError(f"{metadata} is no metadata of rosbag2; ros2 bag reindex") from error
    images = [name for name, kind in types.items() if kind in IMAGE_TYPES]
    for topic in subscribed_topics(context):
        if topic not in types:
            found = f"image:={images[0]}" if images else "another bag: it has no image topic"
            more = f" (it has {', '.join(images)})" if images else ""
            raise ConfigError(f"bag {bag} has no topic {topic}; give {found}{more}")


def recorded_topics(context: LaunchContext) -> list[str]:
    """What the argument record names."""
    return [
        topic
        for name in read_list("record", argument(context, "record"))
        for topic in ([name] if name.startswith("/") else _of_cameras(context, name))
        if topic_name("record", name)
    ]


def _of_cameras(context: LaunchContext, topic: str) -> list[str]:
    node = node_name(context)
    return [
        f"{node}/{camera}/{topic}" if camera else f"{node}/{topic}"
        for camera in camera_topics(context)
    ]
