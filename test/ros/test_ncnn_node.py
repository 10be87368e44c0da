"""ncnn in the node: a ladder of sizes under a budget, beside programs that want the cores."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not here")
pytest.importorskip("ncnn", reason="the extra ncnn is not installed")
pytest.importorskip("pnnx", reason="the extra ncnn is not installed")

from ros_camera import image_message
from ros_client import RosClient
from ros_processes import ENDING_WITH_US, start_node
from sensor_msgs.msg import Image
from yolact_ros.msg import InstanceArray

pytestmark = pytest.mark.alone

NODE = "on_ncnn"
SIZES_PX = (128, 96, 64)
# A run takes some milliseconds.
COLLAPSED_MS = 1000.0


@pytest.fixture
def hogs() -> Iterator[None]:
    """As many programs that only compute as there are cores."""
    command = [*ENDING_WITH_US, sys.executable, "-c", "while True: pass"]
    processes = [subprocess.Popen(command) for _ in range(os.cpu_count() or 1)]
    yield
    for process in processes:
        process.kill()
        process.wait()


def test_a_node_runs_every_size_on_ncnn_and_holds_beside_busy_programs(
    client: RosClient,
    tiny_model: Path,
    ros_env: dict[str, str],
    tmp_path: Path,
    hogs: None,
) -> None:
    parameters = {
        "model": str(tiny_model),
        "device": "cpu",
        "runtime": "ncnn",
        "input_size": list(SIZES_PX),
        "score_threshold": 0.0,
        "frame_budget_ms": 200.0,
    }
    environment = ros_env | {"YOLACT_ROS_CACHE": str(tmp_path / "cache")}
    with start_node(NODE, tmp_path, environment, parameters, {"image": f"/{NODE}"}) as process:
        process.wait_for_text("active on")
        assert client.diagnostics(NODE, "node")["runtime"] == "ncnn fp32"
        assert len(list((tmp_path / "cache" / "engines").glob("ncnn-*"))) == len(SIZES_PX)
        publisher = client.node.create_publisher(Image, f"/{NODE}", 1)
        answers, _ = client.collect(InstanceArray, f"/{NODE}/instances")

        def answered() -> bool:
            publisher.publish(image_message())
            client.spin_for(0.05)
            return len(answers) >= 20

        client.spin_until(answered, "20 answers")
        assert all(answer.instances for answer in answers)
        assert {answer.report.input_size for answer in answers} <= set(SIZES_PX)
        inference_ms = sorted(answer.report.inference_ms for answer in answers)
        assert inference_ms[len(answers) // 2] < COLLAPSED_MS
        assert process.stop() == 0
        assert "Traceback" not in process.output
