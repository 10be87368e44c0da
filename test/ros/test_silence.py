"""A camera that sends and has no results has a warning that says why; no warning is false."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not here")

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from ros_camera import image_message
from ros_client import RosClient
from ros_processes import start_node
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image

from yolact_ros.ros.observer import values_of

LONGER_THAN_A_SILENCE_S = 5.5


def test_a_camera_that_is_subscribed_to_late_has_its_time_to_begin(
    client: RosClient, tiny_model: Path, ros_env: dict[str, str], tmp_path: Path
) -> None:
    node = "late"
    parameters = {"autostart": False, "model": str(tiny_model)}
    client.node.create_publisher(Image, "/late", 1)
    reports, _ = client.collect(DiagnosticArray, "/diagnostics")

    def subscribed() -> list[DiagnosticStatus]:
        """What the node said since it was subscribed, which may be more than once by now."""
        statuses = [status for report in reports for status in report.status]
        return [
            status
            for status in statuses
            if status.name == f"{node}: image"
            and values_of(status).get("delivery", "not subscribed") != "not subscribed"
        ]

    with start_node(node, tmp_path, ros_env, parameters, {"image": "/late"}) as process:
        assert client.change_state(node, "configure")
        client.spin_for(LONGER_THAN_A_SILENCE_S)
        assert client.change_state(node, "activate")
        first = client.spin_until(subscribed, "the node's subscription")[0]
        assert first.level == DiagnosticStatus.OK
        assert "warnings silent" not in values_of(first)
        values = client.wait_for_diagnostics(node, lambda v: "warnings silent" in v)
        assert values["message"].startswith("no image for")
        assert process.stop() == 0


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({"max_image_age_ms": 500}, "older than max_image_age_ms on arrival; cure: use_sim_time"),
        (
            {"overrun_policy": "drop", "frame_budget_ms": 0.001},
            "later than frame_budget_ms, and overrun_policy is drop; cure: a longer",
        ),
    ],
    ids=["too old", "too late"],
)
def test_a_node_that_drops_all_it_receives_says_why(
    parameters: dict[str, object],
    reason: str,
    client: RosClient,
    tiny_model: Path,
    ros_env: dict[str, str],
    tmp_path: Path,
) -> None:
    node = "choosy"
    publisher = client.node.create_publisher(Image, "/simulated", 1)
    all_parameters = parameters | {"model": str(tiny_model)}
    with start_node(node, tmp_path, ros_env, all_parameters, {"image": "/simulated"}) as process:

        def publish_until_warned() -> bool:
            publisher.publish(image_message(60))  # a simulator's stamp: its minute 1
            client.spin_for(0.1)
            return reason in process.output

        client.spin_until(publish_until_warned, "a warning in the log")
        reports = []

        def publish_until_reported() -> bool:
            publisher.publish(image_message(60))
            values = client.diagnostics(node)
            reports.append(values)
            return reason in values["message"] and values["level"] == b"\x01"

        client.spin_until(publish_until_reported, "a warning in the diagnostics")
        assert int(reports[-1]["warnings no result"]) >= 1
        assert process.stop() == 0


def test_a_paused_simulation_is_not_called_silent(
    client: RosClient, tiny_model: Path, ros_env: dict[str, str], tmp_path: Path
) -> None:
    node = "patient"
    parameters = {"model": str(tiny_model), "use_sim_time": True}
    client.node.create_publisher(Image, "/paused", 1)
    clock = client.node.create_publisher(Clock, "/clock", 1)
    second = client.node.get_clock().now().to_msg()
    timer = client.node.create_timer(0.05, lambda: clock.publish(Clock(clock=second)))
    with start_node(node, tmp_path, ros_env, parameters, {"image": "/paused"}) as process:
        process.wait_for_text("active on /paused")
        client.spin_for(LONGER_THAN_A_SILENCE_S + 2.0)
        assert process.stop() == 0
        assert "[WARN]" not in process.output
    client.node.destroy_timer(timer)
