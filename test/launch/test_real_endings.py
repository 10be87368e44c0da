"""Under the real launch what was started together ends together, and nothing is left."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not here")

from ros_client import RosClient
from ros_processes import Process, is_running

ENDS_WITHIN_S = 20.0
Launch = Callable[..., Process]


def pids_of(launch: Process, program: str) -> list[int]:
    found = re.findall(rf"\[{program}-\d+\]: process started with pid \[(\d+)\]", launch.output)
    return [int(pid) for pid in found]


def assert_all_ended(launch: Process) -> None:
    pids = [int(pid) for pid in re.findall(r"started with pid \[(\d+)\]", launch.output)]
    assert pids
    deadline_s = time.monotonic() + 5
    while any(is_running(pid) for pid in pids):
        assert time.monotonic() < deadline_s, launch.output
        time.sleep(0.05)


def test_a_driver_that_dies_takes_the_node_with_it(
    launch_for_real: Launch, install: Callable[..., None], tiny_model: Path
) -> None:
    failing = "import sys, time; time.sleep(4); sys.exit('no camera')"
    install("usb_cam", "usb_cam_node_exe", sys.executable, "-c", failing)
    with launch_for_real(
        "usb_camera.launch.py", video_device="/dev/null", model=tiny_model, runtime="eager"
    ) as launch:
        launch.wait(60)
        assert "no camera" in launch.output
        assert_all_ended(launch)
        assert "SIGTERM" not in launch.output


def test_a_bad_clip_ends_the_demo_with_exit_code_1(
    launch_for_real: Launch, tiny_model: Path, tmp_path: Path
) -> None:
    (tmp_path / "clip.mp4").write_text("no video")
    with launch_for_real(
        "demo.launch.py", source=tmp_path / "clip.mp4", model=tiny_model, rviz="false"
    ) as launch:
        assert launch.wait(60) == 1
        assert "not a video or image" in launch.output
        assert_all_ended(launch)


def test_the_demo_ends_with_its_clip(
    launch_for_real: Launch, tiny_model: Path, tmp_path: Path
) -> None:
    import cv2
    import numpy as np

    cv2.imwrite(str(tmp_path / "picture.png"), np.zeros((48, 64, 3), np.uint8))
    with launch_for_real(
        "demo.launch.py",
        source=tmp_path / "picture.png",
        duration=0,
        model=tiny_model,
        runtime="eager",
        rviz="no",
    ) as launch:
        assert launch.wait(60) == 0, launch.output
        assert '{"published": 1' in launch.output
        assert_all_ended(launch)
        assert "process has died" not in launch.output


def test_respawn_is_for_a_node_that_died_and_not_for_one_that_was_shut_down(
    launch_for_real: Launch, client: RosClient, tiny_model: Path
) -> None:
    name = "phoenix"
    with launch_for_real(
        "yolact.launch.py", name=name, model=tiny_model, runtime="eager", respawn="true"
    ) as launch:
        client.wait_for_state(name, "active")
        os.kill(pids_of(launch, "yolact_node")[0], signal.SIGKILL)
        client.spin_until(lambda: len(pids_of(launch, "yolact_node")) == 2, "a second start")
        launch_output_before = len(launch.output)
        client.spin_until(
            lambda: "active on" in launch.output[launch_output_before:], "it to work again"
        )
        assert client.change_state(name, "shutdown")
        assert launch.wait(ENDS_WITHIN_S) == 0, launch.output
        assert len(pids_of(launch, "yolact_node")) == 2
        assert_all_ended(launch)


@pytest.mark.parametrize("whole_group", [False, True], ids=["launch alone", "the whole group"])
def test_control_c_ends_every_process_with_exit_code_0(
    launch_for_real: Launch,
    install: Callable[..., None],
    tiny_model: Path,
    tmp_path: Path,
    whole_group: bool,
) -> None:
    import cv2
    import numpy as np

    cv2.imwrite(str(tmp_path / "picture.png"), np.zeros((48, 64, 3), np.uint8))
    with launch_for_real(
        "demo.launch.py", source=tmp_path / "picture.png", model=tiny_model, rviz="false"
    ) as launch:
        launch.wait_for_text("active on /image")
        time.sleep(1.0)
        targets: list[Any] = [launch.pid]
        if whole_group:
            targets += [int(p) for p in re.findall(r"with pid \[(\d+)\]", launch.output)]
        for pid in targets:
            os.kill(pid, signal.SIGINT)
        assert launch.wait(ENDS_WITHIN_S) == 0
        assert_all_ended(launch)
        assert "process has died" not in launch.output
        assert "Traceback" not in launch.output
