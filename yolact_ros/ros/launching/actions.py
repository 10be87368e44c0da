"""What the launch files share: the node, its transport, rviz, and how they end together.

Each file makes all its actions before launch executes the first, so that a value which cannot be
is refused before anything starts: launch forgets the processes of a list in which a later action
raises, and they would go on without it.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    ExecuteProcess,
    OpaqueFunction,
    RegisterEventHandler,
    SetEnvironmentVariable,
)
from launch.event_handlers import OnProcessExit
from launch.events import matches_action
from launch.events.process import ShutdownProcess
from launch.launch_context import LaunchContext
from launch_ros.actions import Node

from yolact_ros.errors import ConfigError, YolactError
from yolact_ros.resources import find_resource
from yolact_ros.ros.launching.arguments import (
    Argument,
    argument,
    existing_path,
    is_true,
    name_part,
    parameters_file,
    program_prefix,
    read_bool,
    read_list,
    read_yaml,
)
from yolact_ros.ros.launching.packages import require_executable
from yolact_ros.ros.launching.rviz_config import for_cameras, for_one_camera
from yolact_ros.ros.launching.topics import (
    DEFAULT_IMAGE,
    camera_topics,
    depth_topics,
    image_topics,
    node_name,
)
from yolact_ros.ros.parameter_spec import check_value
from yolact_ros.ros.parameters import PARAMETERS
from yolact_ros.transport_profile import PROFILE_VARIABLES, profile_variable

__all__ = ["after", "declared", "end_with", "start_node"]

DEPTH = "depth"
# Parameters whose argument is another one: depth.
OTHER_NAMES = ("depth_image",)
RESPAWN_DELAY_S = 1.0
# What launch and ros2 launch themselves read.
LAUNCH_ARGUMENTS = ("launch-prefix", "launch-prefix-filter", "emulate_tty")


def share_file(relative: str) -> str:
    """Path of a file that is installed with the package, for example "config/yolact.yaml"."""
    path = find_resource(relative)
    if path is None:
        raise ConfigError(f"{relative} is not installed with yolact_ros: build the package again")
    return str(path)


def declared(
    file: str, own: Sequence[Argument] = (), **defaults: str
) -> list[DeclareLaunchArgument | OpaqueFunction]:
    """The arguments of a launch file that starts the node; others are refused.

    Args:
        own: arguments that only this file has.
        defaults: other defaults of the common ones.
    """
    every = [*own, *_node_arguments(), *_parameter_arguments()]
    names = [name for name, _, _ in every]

    def refuse_others(context: LaunchContext) -> list[Any]:
        # A file that includes this one may have arguments of its own.
        if Path(file).name in {Path(word).name for word in sys.argv}:
            _refuse_others(context, Path(file).name, names)
        return []

    return [
        OpaqueFunction(function=refuse_others),
        *(
            DeclareLaunchArgument(
                name, default_value=defaults.get(name, default), description=text
            )
            for name, default, text in every
        ),
    ]


def _refuse_others(context: LaunchContext, file: str, names: Sequence[str]) -> None:
    """launch itself passes over arguments that nobody declares."""
    given = [word.partition(":=")[0] for word in context.argv if ":=" in word]
    for name in given:
        if name in names or name in LAUNCH_ARGUMENTS:
            continue
        alike = get_close_matches(name, names, n=1)
        cure = f"did you mean {alike[0]}?" if alike else "--show-args lists them all"
        raise ConfigError(f"{file} has no argument {name}; {cure}")


def _node_arguments() -> tuple[Argument, ...]:
    """Those of the node that are not its parameters."""
    return (
        (
            "image",
            DEFAULT_IMAGE,
            "Topic to subscribe to; with cameras one for each (empty: /<name>/image_raw).",
        ),
        (
            "depth",
            "",
            "Topic of registered depth images, for depth_image; with cameras one for each.",
        ),
        ("name", "yolact", "Name of the node; its topics are below /<namespace>/<name>/."),
        ("namespace", "", "Namespace of the node."),
        (
            "params_file",
            share_file("config/yolact.yaml"),
            "YAML file of parameters; the arguments below override it.",
        ),
        ("rviz", "false", "Start rviz with the cameras and what was found in them."),
        ("rviz_config", "", "rviz's file; empty shows this node's topics and cameras."),
        (
            "rviz_frame",
            "",
            "Fixed frame of rviz, to which tf must lead; empty leaves that of the file.",
        ),
        ("prefix", "", "Put before the node's command, such as 'chrt --rr 1' (docs/budget.md)."),
        ("respawn", "false", "Start the node again when it dies."),
        ("use_sim_time", "false", "Compare stamps with /clock, for bags and simulators."),
        (
            "fastdds_profile",
            share_file("config/fastdds.xml"),
            "Fast DDS profile of all that is started here; empty leaves Fast DDS as it is.",
        ),
    )


def _parameter_arguments() -> list[Argument]:
    """One argument for every parameter of the node; empty leaves it to params_file."""
    return [
        (spec.name, "", f"{spec.description} {spec.constraints} (empty: as in params_file)")
        for spec in PARAMETERS
        if spec.name not in OTHER_NAMES
    ]


def _transport(context: LaunchContext) -> list[SetEnvironmentVariable]:
    """The Fast DDS profile, unless the user's environment has one."""
    profile = existing_path(context, "fastdds_profile", "a Fast DDS profile, or nothing")
    if not profile or any(os.environ.get(variable) for variable in PROFILE_VARIABLES):
        return []
    return [SetEnvironmentVariable(profile_variable(), profile)]


def start_node(
    context: LaunchContext,
    *beside: ExecuteProcess,
    parameters: Mapping[str, object] = MappingProxyType({}),
) -> list[Any]:
    """The transport's environment, the node, rviz if asked for, and what is started beside them.

    What is beside the node, and rviz, end with it: when it dies and is not started again, and
    when its lifecycle has shut it down.
    """
    respawn = is_true(context, "respawn")
    depth = depth_topics(context)
    node = Node(
        package="yolact_ros",
        executable="yolact_node",
        name=name_part("name", argument(context, "name")),
        namespace=_checked_namespace(context),
        parameters=[
            parameters_file(context, "params_file"),
            # Of the only camera its topic, of several the name below each, which is remapped.
            _parameters(context)
            | ({"depth_image": depth.get("", DEPTH)} if depth else {})
            | dict(parameters),
        ],
        remappings=[
            (f"{name}/image" if name else "image", topic)
            for name, topic in camera_topics(context).items()
        ]
        + [(f"{name}/{DEPTH}", topic) for name, topic in depth.items() if name],
        # None leaves it to launch's own --launch-prefix.
        prefix=program_prefix(context, "prefix"),
        respawn=respawn,
        respawn_delay=RESPAWN_DELAY_S,
        output="screen",
        emulate_tty=True,
    )
    others = [*beside, *_rviz(context)]
    ended = [node, *others] if respawn else others
    return [
        *_transport(context),
        end_with(node, ended, respawn=respawn),
        node,
        *others,
    ]


def end_with(
    process: ExecuteProcess, others: Sequence[ExecuteProcess], *, respawn: bool = False
) -> RegisterEventHandler:
    """Has other processes end when one has ended.

    Args:
        others: to end; those that have ended are left alone. With ``respawn`` the process itself
            among them keeps launch from starting it again.
        respawn: launch starts the process again unless it ended with exit code 0.
    """

    def end_others(event: Any, context: LaunchContext) -> list[EmitEvent]:
        if context.is_shutdown or (respawn and event.returncode != 0):
            return []
        return [
            EmitEvent(event=ShutdownProcess(process_matcher=matches_action(other)))
            for other in others
        ]

    return RegisterEventHandler(OnProcessExit(target_action=process, on_exit=end_others))


def after(failure: str, then: Sequence[Any] | None = None) -> Callable[..., list[Any]]:
    """What a launch does when a program has ended; for its ``on_exit``.

    Args:
        failure: the error that ends the launch, with ``{code}`` for the exit code.
        then: actions to go on with after exit code 0; None where the program must not end by
            itself.
    """

    def act(event: Any, context: LaunchContext) -> list[Any]:
        if context.is_shutdown:
            return []
        if event.returncode or then is None:
            raise YolactError(failure.format(code=event.returncode))
        return list(then)

    return act


def _checked_namespace(context: LaunchContext) -> str:
    given = argument(context, "namespace")
    for part in given.strip("/").split("/") if given.strip("/") else []:
        name_part("namespace", part)
    return given


def _parameters(context: LaunchContext) -> dict[str, object]:
    parameters: dict[str, object] = {"use_sim_time": is_true(context, "use_sim_time")}
    for spec in PARAMETERS:
        text = "" if spec.name in OTHER_NAMES else argument(context, spec.name)
        if not text:
            continue
        value: object = text
        if isinstance(spec.default, bool):
            value = read_bool(spec.name, text)
        elif spec.default == ():
            value = read_list(spec.name, text)
        elif not isinstance(spec.default, str):
            value = read_yaml(spec.name, text)
        checked = check_value(spec, value)
        # launch cannot pass an empty list; the node takes [""] for one.
        parameters[spec.name] = list(checked) or [""] if isinstance(checked, tuple) else checked
    return parameters


def _rviz(context: LaunchContext) -> list[Node]:
    """rviz on the topics of this node and its cameras, if it was asked for."""
    if not is_true(context, "rviz"):
        return []
    require_executable("rviz2", "rviz2", "rviz:=true (rviz:=false starts without it)")
    frame = argument(context, "rviz_frame")
    return [
        Node(
            package="rviz2",
            executable="rviz2",
            arguments=["-d", _rviz_file(context), *(("-f", frame) if frame else ())],
            parameters=[{"use_sim_time": is_true(context, "use_sim_time")}],
        )
    ]


def _rviz_file(context: LaunchContext) -> str:
    given = existing_path(context, "rviz_config", "a file of rviz, or nothing")
    if given:
        return given
    node, topics = node_name(context), image_topics(context)
    if "" in topics:
        config = for_one_camera(_load("config/yolact.rviz"), node, topics[""])
    else:
        config = for_cameras(_load("config/multi_camera.rviz"), node, topics)
    with tempfile.NamedTemporaryFile("w", prefix="yolact_", suffix=".rviz", delete=False) as file:
        yaml.safe_dump(config, file, sort_keys=False)
    return file.name


def _load(relative: str) -> dict[str, object]:
    content: dict[str, object] = yaml.safe_load(Path(share_file(relative)).read_text())
    return content
