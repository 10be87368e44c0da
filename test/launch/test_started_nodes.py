"""What the launch files start, started: the node gets its arguments as launch_ros passes them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("rclpy", reason="ROS 2 is not here")
pytest.importorskip("yolact_ros.msg", reason="needs the package built by colcon (./dev test)")

from bag_samples import image_messages, write_bag
from fake_packages import fake_rosbag2
from launch_stand_in import ExecuteProcess, Node, after_exit, launch_stand_in, launched
from recorded_replay import account
from ros_client import RosClient
from ros_processes import CameraProcess, Process
from yolact_ros.msg import InstanceArray


@pytest.fixture(autouse=True)
def stand_in() -> Iterator[None]:
    with launch_stand_in():
        yield


def command_of(node: Node, folder: Path) -> list[str]:
    """The command line that launch_ros makes of a Node action."""
    kwargs: dict[str, Any] = node.kwargs
    command = [sys.executable, "-m", "yolact_ros.ros", "node", "--ros-args"]
    command += ["-r", f"__node:={kwargs['name']}", "-r", f"__ns:=/{kwargs['namespace']}"]
    for parameters in kwargs["parameters"]:
        file = parameters
        if isinstance(parameters, dict):
            file = folder / "parameters.yaml"
            file.write_text(yaml.safe_dump({"/**": {"ros__parameters": parameters}}))
        command += ["--params-file", str(file)]
    for old, new in kwargs["remappings"]:
        command += ["-r", f"{old}:={new}"]
    return command


def test_two_cameras_have_masks_each_under_its_name(
    tiny_model: Path, client: RosClient, ros_env: dict[str, str], tmp_path: Path
) -> None:
    actions, _ = launched(
        "multi_camera.launch.py",
        cameras="left,right",
        topics="/l/image_raw,/r/image_raw",
        model=str(tiny_model),
        score_threshold="0",
        frame_budget_ms="0",
        name="eyes",
        namespace="robot",
    )
    (node,) = (action for action in actions if isinstance(action, Node))
    sizes = {"left": (64, 48), "right": (80, 60)}
    found = {
        name: client.collect(InstanceArray, f"/robot/eyes/{name}/instances") for name in sizes
    }

    def camera(topic: str, size: tuple[int, int]) -> CameraProcess:
        steady = ("--reliability", "best_effort", "--hz", 10, "--count", 600)
        return CameraProcess(tmp_path, ros_env, "--topic", topic, "--size", *size, *steady)

    with (
        Process(command_of(node, tmp_path), ros_env, tmp_path / "node.log") as process,
        camera("/l/image_raw", sizes["left"]),
        camera("/r/image_raw", sizes["right"]),
    ):
        process.wait_for_text("active on /l/image_raw, /r/image_raw")
        client.spin_until(
            lambda: all(messages for messages, _ in found.values()), "results of both cameras"
        )
    for name, (messages, _) in found.items():
        assert (messages[0].image_width, messages[0].image_height) == sizes[name]
        assert any(instance.mask.data for instance in messages[0].instances)


@pytest.mark.parametrize("rate", ["1", "8"])
def test_every_frame_of_a_replayed_bag_is_a_result_or_a_counted_drop(
    rate: str,
    tiny_model: Path,
    ros_env: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = fake_rosbag2(tmp_path / "rosbag2")
    monkeypatch.setenv("AMENT_PREFIX_PATH", found["AMENT_PREFIX_PATH"])
    frames = 40
    actions, context = launched(
        "replay.launch.py",
        bag=str(write_bag(tmp_path / "played", image_messages(frames))),
        image="/camera/image_raw",
        output=str(tmp_path / "results"),
        model=str(tiny_model),
        runtime="eager",
        rate=rate,
    )
    (node,) = (action for action in actions if isinstance(action, Node))
    recorder, player, begin = (action for action in actions if type(action) is ExecuteProcess)
    (end,) = after_exit(player, actions, context, returncode=0)

    def run(process: ExecuteProcess, name: str) -> Process:
        program = str(tmp_path / "rosbag2" / "bin" / "ros2")
        command = [program if word == "ros2" else word for word in process.command]
        return Process(command, ros_env | found, tmp_path / f"{name}.log")

    with (
        Process(command_of(node, tmp_path), ros_env, tmp_path / "node.log") as node_process,
        run(recorder, "recorder") as recording,
        run(player, "player") as playing,
        run(begin, "begin") as beginning,
    ):
        assert beginning.wait(120) == 0, beginning.output
        assert playing.wait(60) == 0, playing.output
        with run(end, "end") as ending:
            assert ending.wait(60) == 0, ending.output
        assert recording.stop() == 0
        assert node_process.stop() == 0
        # The paused player's /clock is there before the first frame.
        assert "[WARN]" not in node_process.output
    counted = account(tmp_path / "results", "yolact", "image")
    assert counted.received == frames
    assert counted.results == counted.published
    assert counted.published + counted.dropped == frames
