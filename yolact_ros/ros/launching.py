"""What the launch files share: arguments, the node, its transport and rviz.

``ros2 launch`` runs on the system's Python, which need not have torch: nothing here imports it.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import yaml
from launch.actions import DeclareLaunchArgument, SetEnvironmentVariable
from launch.launch_context import LaunchContext
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from yolact_ros.errors import ConfigError
from yolact_ros.resources import find_resource
from yolact_ros.ros.parameter_spec import check_value
from yolact_ros.ros.parameters import PARAMETERS, spec_of
from yolact_ros.ros.rviz_config import for_cameras, for_one_camera

__all__ = [
    "RESULT_TOPICS",
    "Argument",
    "argument",
    "camera_topics",
    "declare",
    "is_true",
    "node_arguments",
    "node_name",
    "parameter_arguments",
    "read_list",
    "set_transport",
    "start_node",
    "start_rviz",
]

Argument = tuple[str, str | None, str]
"""Name, default and description of a launch argument; None where one must be given."""

DEFAULT_IMAGE = "image"
RESULT_TOPICS = (
    "instances",
    "overlay",
    "overlay/compressed",
    "label_image",
    "markers",
    "detections",
    "label_info",
)
# Fast DDS 2 (Jazzy) reads the first, Fast DDS 3 (Kilted and newer) the second.
PROFILE_VARIABLES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")


def share_file(relative: str) -> str:
    """Path of a file that is installed with the package, for example "config/yolact.yaml".

    Raises:
        ConfigError: it is not there.
    """
    path = find_resource(relative)
    if path is None:
        raise ConfigError(f"{relative} is not installed with yolact_ros: build the package again")
    return str(path)


def declare(arguments: Sequence[Argument]) -> list[DeclareLaunchArgument]:
    """The launch arguments; without a default one must be given."""
    return [
        DeclareLaunchArgument(name, default_value=default, description=description)
        for name, default, description in arguments
    ]


def node_arguments() -> list[DeclareLaunchArgument]:
    """Arguments of the node that are not its parameters."""
    return declare(
        (
            (
                "image",
                DEFAULT_IMAGE,
                "Topic to subscribe to; with cameras one for each (empty: /<name>/image_raw).",
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
            (
                "prefix",
                "",
                "Put before the node's command, such as 'chrt --rr 1' (docs/budget.md).",
            ),
            ("respawn", "false", "Start the node again when it dies."),
            ("use_sim_time", "false", "Compare stamps with /clock, for bags and simulators."),
            (
                "fastdds_profile",
                share_file("config/fastdds.xml"),
                "Fast DDS profile of all that is started here; empty leaves Fast DDS as it is.",
            ),
        )
    )


def parameter_arguments() -> list[DeclareLaunchArgument]:
    """One argument for every parameter of the node; empty leaves it to params_file."""
    return declare(
        [
            (spec.name, "", f"{spec.description} {spec.constraints} (empty: as in params_file)")
            for spec in PARAMETERS
        ]
    )


def argument(context: LaunchContext, name: str) -> str:
    """Value of a launch argument."""
    return str(LaunchConfiguration(name).perform(context))


def is_true(context: LaunchContext, name: str) -> bool:
    """Value of a launch argument that is true or false."""
    return argument(context, name).lower() == "true"


def read_list(text: str) -> list[str]:
    """The names in "[front, rear]" or "front,rear"."""
    # The base loader leaves words such as no and 007 as they are.
    is_list = text.lstrip().startswith("[")
    items = yaml.load(text, Loader=yaml.BaseLoader) if is_list else text.split(",")
    return [str(item).strip() for item in items if str(item).strip()]


def node_name(context: LaunchContext) -> str:
    """The node's fully qualified name, for example /robot/yolact."""
    return resolve(argument(context, "name"), argument(context, "namespace"))


def resolve(topic: str, namespace: str) -> str:
    """A topic's name seen from the root."""
    absolute = topic if topic.startswith("/") else f"{namespace}/{topic}"
    return "/" + "/".join(part for part in absolute.split("/") if part)


def camera_topics(context: LaunchContext) -> dict[str, str]:
    """Topic of each camera by the camera's name; "" names the only camera of a node.

    Raises:
        ConfigError: a name that cannot be one, or another number of topics than of names.
    """
    spec = spec_of("cameras")
    assert spec is not None
    checked = check_value(spec, read_list(argument(context, "cameras")))
    assert isinstance(checked, tuple)
    names = [str(name) for name in checked]
    topics = read_list(argument(context, "image"))
    if names and topics == [DEFAULT_IMAGE]:
        return {name: f"{name}/image" for name in names}
    if names and not topics:
        return {name: f"/{name}/image_raw" for name in names}
    if len(topics) != max(len(names), 1):
        raise ConfigError(
            f"image has {len(topics)} topics ({', '.join(topics)}) and cameras {len(names)} names "
            f"({', '.join(names)}), expected a topic for every camera"
        )
    return dict(zip(names or [""], topics, strict=True))


def set_transport(context: LaunchContext) -> list[SetEnvironmentVariable]:
    """The Fast DDS profile, unless the user's environment has one."""
    profile = argument(context, "fastdds_profile")
    if not profile or any(os.environ.get(variable) for variable in PROFILE_VARIABLES):
        return []
    return [SetEnvironmentVariable(variable, profile) for variable in PROFILE_VARIABLES]


def start_node(context: LaunchContext) -> list[Node]:
    """The node with the parameters that were given as arguments.

    Raises:
        ConfigError: an argument that the node would refuse.
    """
    parameters: dict[str, object] = {"use_sim_time": is_true(context, "use_sim_time")}
    for spec in PARAMETERS:
        text = argument(context, spec.name)
        if not text:
            continue
        if isinstance(spec.default, str):
            value: object = text
        else:
            value = read_list(text) if spec.default == () else yaml.safe_load(text)
        checked = check_value(spec, value)
        # launch cannot pass an empty list; the node takes [""] for one.
        parameters[spec.name] = list(checked) or [""] if isinstance(checked, tuple) else checked
    return [
        Node(
            package="yolact_ros",
            executable="yolact_node",
            name=argument(context, "name"),
            namespace=argument(context, "namespace"),
            parameters=[argument(context, "params_file"), parameters],
            remappings=[
                (f"{name}/image" if name else "image", topic)
                for name, topic in camera_topics(context).items()
            ],
            # None leaves it to launch's own --launch-prefix.
            prefix=argument(context, "prefix") or None,
            respawn=is_true(context, "respawn"),
            respawn_delay=1.0,
            output="screen",
            emulate_tty=True,
        )
    ]


def start_rviz(context: LaunchContext) -> list[Node]:
    """rviz on the topics of this node and its cameras, if it was asked for."""
    if not is_true(context, "rviz"):
        return []
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
    given = argument(context, "rviz_config")
    if given:
        return given
    node, namespace = node_name(context), argument(context, "namespace")
    topics = {name: resolve(topic, namespace) for name, topic in camera_topics(context).items()}
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
