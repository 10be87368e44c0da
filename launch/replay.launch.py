"""Play a bag into the node, watch it in rviz and record the results; ends with the bag.

ros2 launch yolact_ros replay.launch.py bag:=drive image:=/camera/image_raw output:=results

Arguments of yolact.launch.py can be given too: model, frame_budget_ms, cameras, ...
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from launch.actions import (
    ExecuteProcess,
    IncludeLaunchDescription,
    OpaqueFunction,
    Shutdown,
    TimerAction,
)
from launch.launch_description_sources import PythonLaunchDescriptionSource

from launch import LaunchContext, LaunchDescription
from yolact_ros.errors import ConfigError
from yolact_ros.ros.bag_commands import play_command, record_command
from yolact_ros.ros.launching import (
    RESULT_TOPICS,
    Argument,
    argument,
    camera_topics,
    declare,
    is_true,
    node_name,
    read_list,
)

HERE = Path(__file__).resolve().parent
# For the last frame's way through the node and the recorder.
SETTLE_S = 2.0
# The recorder writes what it holds in memory when it is told to end; launch's 5 s can be too few.
FLUSH_S = "60"
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
    """The node on simulated time, then recorder, player and the end."""
    node = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(HERE / "yolact.launch.py")),
        launch_arguments=[("use_sim_time", "true")],
    )
    return LaunchDescription([*declare(ARGUMENTS), node, OpaqueFunction(function=start)])


def start(context: LaunchContext) -> list[ExecuteProcess]:
    """The recorder, and what starts the player once the node works.

    Raises:
        ConfigError: no such bag, an output that exists, or a number out of range.
    """
    results = result_topics(context)
    play = ExecuteProcess(
        cmd=play_command(
            existing_bag(context),
            rate=number(context, "rate", least=0.001),
            start_offset_s=number(context, "start_offset"),
            loop=is_true(context, "loop"),
            clock_hz=number(context, "clock_hz", least=0.001),
            # What the bag holds of an earlier run must not mix with this one's results.
            renamed={topic: f"/recorded{topic}" for topic in [*results, "/diagnostics"]},
            qos_overrides=argument(context, "qos_overrides"),
        ),
        output="screen",
        on_exit=after_player,
    )

    def after_wait(event: Any, context: LaunchContext) -> list[Any]:
        if context.is_shutdown:
            return []
        return [Shutdown(reason="the node did not start")] if event.returncode else [play]

    wait = ExecuteProcess(
        cmd=["python3", "-m", "yolact_ros.ros.wait_active", node_name(context)],
        output="screen",
        on_exit=after_wait,
    )
    output = argument(context, "output")
    if not output:
        return [wait]
    if Path(output).exists():
        raise ConfigError(f"output {output} exists: move it away or name another")
    record = ExecuteProcess(
        cmd=record_command(output, recorded_topics(context), sim_time=True),
        output="screen",
        sigterm_timeout=FLUSH_S,
    )
    return [record, wait]


def after_player(event: Any, context: LaunchContext) -> list[Any]:
    """End the launch, after a moment for the last frame where the bag was played to its end."""
    if context.is_shutdown:
        return []
    if event.returncode:
        return [Shutdown(reason=f"ros2 bag play ended with code {event.returncode}")]
    return [TimerAction(period=SETTLE_S, actions=[Shutdown(reason="the bag has ended")])]


def result_topics(context: LaunchContext) -> list[str]:
    """Every topic that the node may publish, of all its cameras."""
    return [topic for name in RESULT_TOPICS for topic in _of_cameras(context, name)]


def recorded_topics(context: LaunchContext) -> list[str]:
    """What the argument record names."""
    return [
        topic
        for name in read_list(argument(context, "record"))
        for topic in ([name] if name.startswith("/") else _of_cameras(context, name))
    ]


def existing_bag(context: LaunchContext) -> str:
    """The bag to play."""
    bag = argument(context, "bag")
    if not Path(bag).exists():
        raise ConfigError(f"bag {bag} does not exist; expected a folder or file of rosbag2")
    return bag


def number(context: LaunchContext, name: str, least: float = 0.0) -> float:
    """A number that is at least ``least``."""
    text = argument(context, name)
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not least <= value < math.inf:
        raise ConfigError(f"{name} is {text!r}, expected a number of at least {least:g}")
    return value


def _of_cameras(context: LaunchContext, topic: str) -> list[str]:
    node = node_name(context)
    return [
        f"{node}/{camera}/{topic}" if camera else f"{node}/{topic}"
        for camera in camera_topics(context)
    ]
