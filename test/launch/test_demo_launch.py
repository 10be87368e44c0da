"""The demo's launch file starts the demo's camera and the node's launch file."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from launch_stand_in import Recorded, launch_stand_in

LAUNCH = Path(__file__).parents[2] / "launch"


def load(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name.replace(".", "_"), LAUNCH / name)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_what_it_passes_on_exists_in_the_nodes_launch_file() -> None:
    with launch_stand_in():
        entities = load("demo.launch.py").generate_launch_description().entities
        known = {
            entity.name
            for entity in load("yolact.launch.py").generate_launch_description().entities
            if hasattr(entity, "name")
        }
    (node,) = (entity for entity in entities if "launch_arguments" in entity.kwargs)
    assert {name for name, _ in node.kwargs["launch_arguments"]} <= known
    assert Path(node.args[0].args[0]).is_file()


def test_the_cameras_command_is_one_that_it_understands() -> None:
    pytest.importorskip("rclpy", reason="ROS 2 is not here")
    from yolact_ros.ros.demo_camera import _parser

    with launch_stand_in():
        entities = load("demo.launch.py").generate_launch_description().entities
        (camera,) = (entity for entity in entities if "cmd" in entity.kwargs)
        defaults = {"source": "clip.mp4", "rate": "30", "duration": "5"}
        command = [
            defaults[part.args[0]] if isinstance(part, Recorded) else part
            for part in camera.kwargs["cmd"]
        ]
    parsed = _parser().parse_args(command[3:])
    assert (parsed.topic, parsed.source, parsed.rate) == ("/image", "clip.mp4", 30.0)
