"""``yolact doctor`` on a colour and a depth topic: registered, of one moment, calibrated, tf?"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not here")

from depth_camera import calibration, depth_message, stamp_of
from ros_camera import image_message
from ros_client import RosClient
from ros_processes import Process, start_node
from sensor_msgs.msg import CameraInfo, Image

COLOUR, DEPTH = "/checked/image_raw", "/checked_depth/image_raw"
LISTEN_S = 3


@pytest.fixture
def examine(
    client: RosClient, ros_env: dict[str, str], tiny_model: Path, tmp_path: Path
) -> Callable[..., tuple[int, str]]:
    """Runs the doctor while a colour and a depth camera publish; exit code and report."""

    def run(
        *arguments: str,
        depth: Image | float = 2.0,
        offset_ms: float = 0.0,
        info: CameraInfo | None = None,
    ) -> tuple[int, str]:
        publishers: list[tuple[Any, Any, int]] = [
            (client.node.create_publisher(Image, COLOUR, 5), image_message(), 0),
            (
                client.node.create_publisher(Image, DEPTH, 5),
                depth if isinstance(depth, Image) else depth_message(depth),
                int(offset_ms * 1e6),
            ),
        ]
        if info is not None:
            topic = "/checked_depth/camera_info"
            publishers.append((client.node.create_publisher(CameraInfo, topic, 5), info, 0))
        command = [sys.executable, "-m", "yolact_ros.cli", "doctor", "--model", str(tiny_model)]
        command += ["--listen", str(LISTEN_S), *arguments]
        with Process(command, ros_env, tmp_path / "doctor.log") as process:

            def ended() -> bool:
                now_ns = client.node.get_clock().now().nanoseconds
                for publisher, message, offset_ns in publishers:
                    publisher.publish(stamp_of(message, now_ns + offset_ns))
                client.spin_for(0.1)
                return not process.running

            client.spin_until(ended, "the doctor's end", timeout_s=120.0)
            return process.wait(), process.output

    return run


def test_depth_that_fits_is_described(examine: Callable[..., tuple[int, str]]) -> None:
    code, report = examine(COLOUR, "--depth", DEPTH, info=calibration())
    assert f"ok  {DEPTH}: 120 x 90, readings in 100% of the pixels" in report
    assert f"ok  {DEPTH} stamps: 0 ms from colour's" in report
    assert "ok  /checked_depth/camera_info: 120 x 90, focal length 100 px" in report
    assert "ok  trackers: bytetrack, ocsort, botsort" in report
    # Nodes of other tests may have their own faults, and make the code 1.
    wrong = [line for line in report.splitlines() if "WRONG" in line]
    assert not [line for line in wrong if "/checked" in line], report
    assert code == bool(wrong)


def test_depth_that_does_not_fit_has_a_cure_for_each_reason(
    examine: Callable[..., tuple[int, str]],
) -> None:
    depth = depth_message(np.zeros((40, 100)))
    depth.header.frame_id = "depth_optical_frame"
    code, report = examine(COLOUR, "--depth", DEPTH, depth=depth, offset_ms=500.0 / 11)
    assert f"note  {DEPTH}: 100 x 40, readings in 0% of the pixels" in report
    assert "its frame is 'depth_optical_frame', that of the colour images 'camera_opti" in report
    assert f"WRONG  {DEPTH} size: the depth image is 100 x 40, the colour image 120 x 90" in report
    assert f"WRONG  {DEPTH} stamps: " in report
    assert "WRONG  /checked_depth/camera_info: no camera_info came" in report
    assert code == 1


def test_a_colour_topic_is_no_depth_topic(examine: Callable[..., tuple[int, str]]) -> None:
    _, report = examine(COLOUR, "--depth", COLOUR)
    assert f"WRONG  {COLOUR}: the depth image's encoding is 'bgr8', expected 16UC1" in report


def test_depth_without_its_colour_topic_is_refused(
    ros_env: dict[str, str], tiny_model: Path
) -> None:
    command = [sys.executable, "-m", "yolact_ros.cli", "doctor", "--depth", DEPTH]
    done = subprocess.run(command, env=ros_env, capture_output=True, text=True)
    assert done.returncode == 2
    assert "--depth needs the colour topic that it belongs to" in done.stderr


def test_the_depth_of_a_running_node_is_examined(
    examine: Callable[..., tuple[int, str]],
    ros_env: dict[str, str],
    tiny_model: Path,
    tmp_path: Path,
) -> None:
    parameters = {"model": str(tiny_model), "depth_image": DEPTH, "target_frame": "odom"}
    with start_node("deep", tmp_path, ros_env, parameters, {"image": COLOUR}) as node:
        node.wait_for_text(f"active on {COLOUR}")
        code, report = examine("--node", "deep", info=calibration())
        node.stop()
    assert f"ok  {DEPTH} stamps" in report
    assert "note  tf: does not lead from 'camera_optical_frame' to the target_frame" in report
    assert code == 0, report
