"""The launch files of several cameras and of a USB camera."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from launch_stand_in import Node, launch_stand_in, launched

from yolact_ros.errors import ConfigError


@pytest.fixture(autouse=True)
def stand_in() -> Iterator[None]:
    with launch_stand_in():
        yield


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
        ({"cameras": "[]"}, "image has 0 topics .* and cameras 0 names"),
        ({"cameras": "front,front"}, "expected every name once"),
        ({"cameras": "Front"}, "cannot be part of a topic name"),
        ({"topics": "/only/one"}, "image has 1 topics .* and cameras 2 names"),
    ],
)
def test_cameras_that_cannot_be_are_refused(arguments: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        launched("multi_camera.launch.py", **arguments)


def test_the_usb_camera_publishes_what_the_node_subscribes_to() -> None:
    arguments = {"video_device": "/dev/video2", "width": "1280", "height": "720"}
    camera = started("usb_camera.launch.py", "usb_cam_node_exe", **arguments)
    assert camera["parameters"] == [
        {
            "video_device": "/dev/video2",
            "image_width": 1280,
            "image_height": 720,
            "framerate": 30.0,
            "pixel_format": "mjpeg2rgb",
            "frame_id": "camera",
        }
    ]
    node = started("usb_camera.launch.py", "yolact_node", **arguments)
    # usb_cam publishes image_raw in its namespace.
    assert node["remappings"] == [("image", f"/{camera['namespace']}/image_raw")]


def test_the_driver_starts_after_the_transport_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE"):
        monkeypatch.delenv(variable, raising=False)
    actions, _ = launched("usb_camera.launch.py")
    kinds = [type(action).__name__ for action in actions]
    assert kinds.index("SetEnvironmentVariable") < kinds.index("Node")
    assert actions[-1].kwargs["package"] == "usb_cam"
