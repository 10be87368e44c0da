"""Start yolact_node on a camera topic, with the transport settings that images need.

ros2 launch yolact_ros yolact.launch.py image:=/camera/image_raw rviz:=true
"""

from __future__ import annotations

import os
from pathlib import Path

import yaml
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from launch import LaunchContext, LaunchDescription
from yolact_ros.ros.parameter_spec import check_value
from yolact_ros.ros.parameters import PARAMETERS

SHARE = Path(__file__).resolve().parents[1]
# Fast DDS 2 (Jazzy) reads the first, Fast DDS 3 (Kilted and newer) the second.
PROFILE_VARIABLES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")


def generate_launch_description() -> LaunchDescription:
    """Arguments, environment, node and rviz."""
    return LaunchDescription(
        [
            *own_arguments(),
            *parameter_arguments(),
            OpaqueFunction(function=set_transport),
            OpaqueFunction(function=start_node),
            Node(
                package="rviz2",
                executable="rviz2",
                arguments=["-d", str(SHARE / "config" / "yolact.rviz")],
                condition=IfCondition(LaunchConfiguration("rviz")),
            ),
        ]
    )


def own_arguments() -> list[DeclareLaunchArgument]:
    """Arguments that are not parameters of the node."""
    arguments = (
        ("image", "image", "Topic to subscribe to; with cameras, each has <name>/image instead."),
        ("name", "yolact", "Name of the node; its topics are below /<namespace>/<name>/."),
        ("namespace", "", "Namespace of the node."),
        (
            "params_file",
            str(SHARE / "config" / "yolact.yaml"),
            "YAML file of parameters; the arguments below override it.",
        ),
        ("rviz", "false", "Start rviz with the camera and the overlay."),
        ("respawn", "false", "Start the node again when it dies."),
        ("use_sim_time", "false", "Compare stamps with /clock, for bags and simulators."),
        (
            "fastdds_profile",
            str(SHARE / "config" / "fastdds.xml"),
            "Fast DDS profile, for the camera driver too; empty leaves Fast DDS as it is.",
        ),
    )
    return [
        DeclareLaunchArgument(name, default_value=default, description=description)
        for name, default, description in arguments
    ]


def parameter_arguments() -> list[DeclareLaunchArgument]:
    """One argument for every parameter of the node; empty leaves it to params_file."""
    return [
        DeclareLaunchArgument(
            spec.name,
            default_value="",
            description=f"{spec.description} {spec.constraints} (empty: as in params_file)",
        )
        for spec in PARAMETERS
    ]


def set_transport(context: LaunchContext) -> list[SetEnvironmentVariable]:
    """The Fast DDS profile, unless the user's environment has one."""
    profile = LaunchConfiguration("fastdds_profile").perform(context)
    if not profile or any(os.environ.get(variable) for variable in PROFILE_VARIABLES):
        return []
    return [SetEnvironmentVariable(variable, profile) for variable in PROFILE_VARIABLES]


def start_node(context: LaunchContext) -> list[Node]:
    """The node with the parameters that were given as arguments."""

    def argument(name: str) -> str:
        return str(LaunchConfiguration(name).perform(context))

    parameters: dict[str, object] = {"use_sim_time": argument("use_sim_time").lower() == "true"}
    for spec in PARAMETERS:
        text = argument(spec.name)
        if not text:
            continue
        value = text if isinstance(spec.default, str) else yaml.safe_load(text)
        checked = check_value(spec, value)
        # launch cannot pass an empty list; the node takes [""] for one.
        parameters[spec.name] = list(checked) or [""] if isinstance(checked, tuple) else checked
    return [
        Node(
            package="yolact_ros",
            executable="yolact_node",
            name=argument("name"),
            namespace=argument("namespace"),
            parameters=[argument("params_file"), parameters],
            remappings=[("image", argument("image"))],
            respawn=argument("respawn").lower() == "true",
            respawn_delay=1.0,
            output="screen",
            emulate_tty=True,
        )
    ]
