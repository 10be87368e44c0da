"""The demo's launch file starts the demo's camera and the node, and ends with the clip."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from launch_stand_in import ExecuteProcess, Node, Shutdown, after_exit, launched

from yolact_ros.errors import YolactError

FILE = "demo.launch.py"


@pytest.fixture(autouse=True)
def packages(stand_in: None, install: Callable[..., None]) -> None:
    install("rviz2", "rviz2")


@pytest.fixture
def clip(tmp_path: Path) -> str:
    (tmp_path / "clip.mp4").touch()
    return str(tmp_path / "clip.mp4")


def camera_of(actions: list[object]) -> ExecuteProcess:
    (camera,) = (a for a in actions if isinstance(a, ExecuteProcess) and not isinstance(a, Node))
    return camera


def test_node_camera_and_rviz_meet_on_one_topic(clip: str) -> None:
    actions, context = launched(FILE, source=clip, model="yolact_im400", top_k="3")
    assert context.launch_configurations["image"] == "image"
    node, rviz = (action for action in actions if isinstance(action, Node))
    assert (node.kwargs["executable"], rviz.kwargs["executable"]) == ("yolact_node", "rviz2")
    assert node.kwargs["parameters"][1]["model"] == "yolact_im400"
    assert node.kwargs["parameters"][1]["top_k"] == 3


@pytest.mark.parametrize(
    ("image", "topic"), [("image", "/robot/image"), ("/camera/image_raw", "/camera/image_raw")]
)
def test_the_camera_publishes_what_the_node_subscribes_to(
    clip: str, image: str, topic: str
) -> None:
    pytest.importorskip("rclpy", reason="ROS 2 is not here")
    from yolact_ros.ros.demo.camera import _parser

    actions, _ = launched(FILE, source=clip, duration="5", image=image, namespace="robot")
    command = camera_of(actions).command
    assert command[1:4] == ["-m", "yolact_ros.ros", "demo_camera"]
    parsed = _parser().parse_args(command[4:])
    assert (parsed.topic, parsed.source, parsed.rate) == (topic, clip, 30.0)
    assert parsed.duration == 5.0


def test_the_launch_ends_with_the_clip(clip: str) -> None:
    actions, context = launched(FILE, source=clip)
    (end,) = after_exit(camera_of(actions), actions, context, returncode=0)
    assert isinstance(end, Shutdown)


def test_a_camera_that_fails_ends_the_launch_with_an_error(clip: str) -> None:
    actions, context = launched(FILE, source=clip)
    with pytest.raises(YolactError, match="the camera ended with code 1"):
        after_exit(camera_of(actions), actions, context, returncode=1)
    context.is_shutdown = True
    assert after_exit(camera_of(actions), actions, context, returncode=-2) == []


def test_camera_and_rviz_end_with_the_node(clip: str) -> None:
    actions, context = launched(FILE, source=clip)
    node, rviz = (action for action in actions if isinstance(action, Node))
    ends = after_exit(node, actions, context, returncode=-11)
    for other in (camera_of(actions), rviz):
        assert any(end.ends(other) for end in ends)
