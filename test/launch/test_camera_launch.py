"""The launch files of several cameras and of a USB camera."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from launch_stand_in import Node, after_exit, launched

from yolact_ros.errors import ConfigError


@pytest.fixture(autouse=True)
def packages(stand_in: None, install: Callable[..., None]) -> None:
    install("usb_cam", "usb_cam_node_exe")


def started(file: str, executable: str, **arguments: str) -> Any:
    actions, _ = launched(file, **arguments)
    (node,) = (
        action
        for action in actions
        if isinstance(action, Node) and action.kwargs["executable"] == executable
    )
    return node.kwargs


def test_two_cameras_are_there_without_arguments() -> None:
    node = started("multi_camera.launch.py", "yolact_node")
    assert node["parameters"][1]["cameras"] == ["front", "rear"]
    assert node["remappings"] == [
        ("front/image", "/front/image_raw"),
        ("rear/image", "/rear/image_raw"),
    ]


def test_cameras_and_topics_are_named_in_the_same_order() -> None:
    node = started(
        "multi_camera.launch.py",
        "yolact_node",
        cameras="[left, right, top]",
        topics="/l/image,/r/image,/t/image",
        frame_budget_ms="50",
    )
    assert dict(node["remappings"]) == {
        "left/image": "/l/image",
        "right/image": "/r/image",
        "top/image": "/t/image",
    }
    assert node["parameters"][1]["frame_budget_ms"] == 50.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cameras": "front,front"}, "expected every name once"),
        ({"cameras": "Front"}, "cannot be part of a topic name"),
    ],
)
def test_cameras_that_cannot_be_are_refused(arguments: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        launched("multi_camera.launch.py", **arguments)


def test_topics_can_be_named_as_in_every_launch_file() -> None:
    node = started("multi_camera.launch.py", "yolact_node", image="/a,/b")
    assert dict(node["remappings"]) == {"front/image": "/a", "rear/image": "/b"}


CAMERA = {"video_device": "/dev/null"}


def test_the_usb_camera_publishes_what_the_node_subscribes_to() -> None:
    arguments = CAMERA | {"width": "1280", "height": "720"}
    camera = started("usb_camera.launch.py", "usb_cam_node_exe", **arguments)
    assert camera["parameters"] == [
        {
            "video_device": "/dev/null",
            "image_width": 1280,
            "image_height": 720,
            "framerate": 30.0,
            "pixel_format": "mjpeg2rgb",
            "frame_id": "camera",
        }
    ]
    node = started("usb_camera.launch.py", "yolact_node", **arguments)
    # usb_cam publishes image_raw in its namespace.
    assert (camera["namespace"], camera["remappings"]) == ("/camera", [])
    assert node["remappings"] == [("image", "camera/image_raw")]


def test_a_namespace_holds_for_the_driver_too() -> None:
    arguments = CAMERA | {"namespace": "robot1"}
    assert started("usb_camera.launch.py", "yolact_node", **arguments)["namespace"] == "robot1"
    driver = started("usb_camera.launch.py", "usb_cam_node_exe", **arguments)
    assert driver["namespace"] == "/robot1/camera"


def test_the_driver_publishes_on_the_topic_that_is_asked_for() -> None:
    arguments = CAMERA | {"image": "/eyes/picture"}
    driver = started("usb_camera.launch.py", "usb_cam_node_exe", **arguments)
    assert driver["namespace"] == "/eyes"
    assert driver["remappings"] == [("image_raw", "/eyes/picture")]
    node = started("usb_camera.launch.py", "yolact_node", **arguments)
    assert node["remappings"] == [("image", "/eyes/picture")]


def test_the_driver_starts_after_the_transport_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE"):
        monkeypatch.delenv(variable, raising=False)
    actions, _ = launched("usb_camera.launch.py", **CAMERA)
    kinds = [type(action).__name__ for action in actions]
    assert kinds.index("SetEnvironmentVariable") < kinds.index("Node")
    assert actions[-1].kwargs["package"] == "usb_cam"


def test_driver_and_node_end_together() -> None:
    actions, context = launched("usb_camera.launch.py", **CAMERA)
    node, driver = (action for action in actions if isinstance(action, Node))
    for ended, other in ((node, driver), (driver, node)):
        (end,) = after_exit(ended, actions, context, returncode=1)
        assert end.ends(other)
        assert not end.ends(ended)
