"""int8 in the node: calibrated by itself or by yolact quantize, described, and kept."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not here")
pytest.importorskip("openvino", reason="the extra openvino is not installed")
pytest.importorskip("nncf", reason="the extra openvino is not installed")

from ros_camera import image_message
from ros_client import RosClient
from ros_processes import start_node
from sensor_msgs.msg import Image
from yolact_ros.msg import InstanceArray

from yolact_ros.cli.main import main

NODE = "eight_bits"
PHOTOS = 4


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    random = np.random.default_rng(5)
    for index in range(PHOTOS):
        coarse = random.integers(0, 256, (9, 12, 3), np.uint8)
        picture = cv2.resize(coarse, (120, 90), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / f"{index}.png"), picture)
    return folder


def test_a_node_calibrates_describes_what_int8_costs_and_starts_again_from_the_cache(
    client: RosClient,
    tiny_model: Path,
    photos: Path,
    ros_env: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One node, because starting a process is what takes the time."""
    cache = str(tmp_path / "cache")
    parameters = {
        "model": str(tiny_model),
        "device": "cpu",
        "runtime": "openvino",
        "precision": "int8",
        "calibration_folder": str(photos),
        "score_threshold": 0.0,
        "autostart": False,
    }
    environment = ros_env | {"YOLACT_ROS_CACHE": cache}
    with start_node(NODE, tmp_path, environment, parameters, {"image": f"/{NODE}"}) as process:
        client.wait_for_state(NODE, "unconfigured")
        assert client.change_state(NODE, "configure"), process.output
        assert client.diagnostics(NODE, "node")["runtime"] == (
            f"openvino int8 (int8 calibrated on {PHOTOS} images, its accuracy was not measured)"
        )
        assert client.change_state(NODE, "cleanup")

        monkeypatch.setenv("YOLACT_ROS_CACHE", cache)
        assert main(["quantize", str(tiny_model), "--images", str(photos)]) == 0
        for photo in photos.iterdir():
            photo.unlink()
        assert client.set_parameter(NODE, "calibration_folder", "").successful
        assert client.change_state(NODE, "configure"), process.output
        runtime = client.diagnostics(NODE, "node")["runtime"]
        assert runtime.startswith(f"openvino int8 (int8 calibrated on {PHOTOS} images, ")
        assert "not measured" not in runtime
        assert "instances found again" in runtime

        assert client.change_state(NODE, "activate")
        publisher = client.node.create_publisher(Image, f"/{NODE}", 1)
        answers, _ = client.collect(InstanceArray, f"/{NODE}/instances")

        def answered() -> bool:
            publisher.publish(image_message())
            client.spin_for(0.05)
            return bool(answers)

        client.spin_until(answered, "an answer to an image")
        assert answers[0].instances
        assert process.stop() == 0
        assert "Traceback" not in process.output
