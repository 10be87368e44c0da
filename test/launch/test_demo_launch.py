"""The demo's launch file starts the demo's camera and the node's launch file."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from launch_stand_in import ExecuteProcess, LaunchConfiguration, Node, launch_stand_in, launched


@pytest.fixture(autouse=True)
def stand_in() -> Iterator[None]:
    with launch_stand_in():
        yield


def test_node_camera_and_rviz_meet_on_one_topic() -> None:
    actions, context = launched("demo.launch.py", source="clip.mp4", model="yolact_im400")
    assert context.values["image"] == "/image"
    (node,) = (a for a in actions if a.kwargs.get("executable") == "yolact_node")
    assert node.kwargs["parameters"][1]["model"] == "yolact_im400"
    assert [a.kwargs["executable"] for a in actions if isinstance(a, Node)][-1] == "rviz2"


def test_the_cameras_command_is_one_that_it_understands() -> None:
    pytest.importorskip("rclpy", reason="ROS 2 is not here")
    from yolact_ros.ros.demo_camera import _parser

    actions, context = launched("demo.launch.py", source="clip.mp4", duration="5")
    (camera,) = (action for action in actions if isinstance(action, ExecuteProcess))
    command = [
        part.perform(context) if isinstance(part, LaunchConfiguration) else part
        for part in camera.command
    ]
    parsed = _parser().parse_args(command[3:])
    assert (parsed.topic, parsed.source, parsed.rate) == ("/image", "clip.mp4", 30.0)
    assert parsed.duration == 5.0
