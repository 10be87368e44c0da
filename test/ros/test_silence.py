"""A camera is not called silent for the time in which nobody listened to it."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not here")

from ros_client import RosClient
from ros_processes import start_node
from sensor_msgs.msg import Image

LONGER_THAN_A_SILENCE_S = 5.5


def test_a_camera_that_is_subscribed_to_late_has_its_time_to_begin(
    client: RosClient, tiny_model: Path, ros_env: dict[str, str], tmp_path: Path
) -> None:
    node = "late"
    parameters = {"autostart": False, "model": str(tiny_model)}
    client.node.create_publisher(Image, "/late", 1)
    with start_node(node, tmp_path, ros_env, parameters, {"image": "/late"}) as process:
        assert client.change_state(node, "configure")
        client.spin_for(LONGER_THAN_A_SILENCE_S)
        assert client.change_state(node, "activate")
        values = client.wait_for_diagnostics(node, lambda v: v["delivery"] != "not subscribed")
        assert values["level"] == b"\x00"
        assert "warnings silent" not in values
        values = client.wait_for_diagnostics(node, lambda v: "warnings silent" in v)
        assert values["message"].startswith("no image for")
        assert process.stop() == 0
