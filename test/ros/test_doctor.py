"""``yolact doctor`` on the topics of a real camera process."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from ros_processes import CameraProcess


def doctor(environment: dict[str, str], model: Path, *topics: str) -> tuple[int, str]:
    """Exit code and report."""
    command = [sys.executable, "-m", "yolact_ros.cli", "doctor", "--model", str(model), *topics]
    done = subprocess.run(
        [*command, "--listen", "3"], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.stderr == ""
    return done.returncode, done.stdout


def test_a_running_camera_is_described(
    ros_env: dict[str, str], tiny_model: Path, tmp_path: Path
) -> None:
    quality = ("--reliability", "best_effort")
    images = ("--size", 64, 48, "--count", 90)
    with CameraProcess(tmp_path, ros_env, "--topic", "/doctor/image", *quality, *images) as camera:
        code, report = doctor(ros_env, tiny_model, "/doctor/image")
        camera.send_signal(9)
    # Discovery may tell the node's name too late for a camera that has just started.
    named = r"ok  /doctor/image: sensor_msgs/msg/Image of (camera|an unnamed node), best effort"
    assert re.search(named, report)
    assert "/doctor/image rate:" in report
    assert "ok  /doctor/image image: 64 x 48 bgr8" in report
    assert "nothing is wrong" in report
    assert code == 0


def test_a_topic_without_publisher_and_a_missing_model_are_named(
    ros_env: dict[str, str], tmp_path: Path
) -> None:
    code, report = doctor(ros_env, tmp_path / "gone.pth", "/nobody/image")
    assert "WRONG  /nobody/image: nobody publishes here" in report
    assert "gone.pth" in report
    assert "2 thing(s) to cure" in report
    assert code == 1


def test_without_the_profile_the_default_shared_memory_is_noticed(
    ros_env: dict[str, str], tiny_model: Path
) -> None:
    bare = {key: value for key, value in ros_env.items() if not key.startswith("FAST")}
    code, report = doctor(bare, tiny_model)
    assert "loses camera images on best effort" in report
    assert "config/fastdds.xml" in report
    assert code == 0
