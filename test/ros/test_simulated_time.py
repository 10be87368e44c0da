"""A node on the clock of a bag: ages, stale images, and the loop."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not here")

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from ros_camera import image_message
from ros_client import RosClient
from ros_processes import start_node
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image
from yolact_ros.msg import InstanceArray


def test_ages_are_those_of_the_bags_clock_and_a_loop_starts_afresh(
    client: RosClient, tiny_model: Path, ros_env: dict[str, str], tmp_path: Path
) -> None:
    node, topic = "replayed", "/replayed"
    parameters = {"model": str(tiny_model), "use_sim_time": True, "max_image_age_ms": 1000}
    clock = client.node.create_publisher(Clock, "/clock", 10)
    publisher = client.node.create_publisher(Image, topic, 1)
    reports, subscription = client.collect(DiagnosticArray, "/diagnostics")
    answers, _ = client.collect(InstanceArray, f"/{node}/instances")

    def age_ms(stamp_sec: int) -> float:
        """Of the first image with that stamp that is answered."""
        answers.clear()
        ages: list[float] = []

        def answered() -> list[float]:
            publisher.publish(image_message(stamp_sec))
            client.spin_for(0.1)
            ages.extend(a.report.image_age_ms for a in answers if a.header.stamp.sec == stamp_sec)
            return ages

        return client.spin_until(answered, f"the answer to an image of second {stamp_sec}")[0]

    def diagnostics() -> tuple[float, dict[str, str]]:
        """The node's clock in seconds, and the camera's values, of the next diagnostics."""
        reports.clear()

        def of_camera() -> tuple[float, dict[str, str]] | None:
            for report in reports:
                for status in report.status:
                    if status.name == f"{node}: image":
                        stamp = report.header.stamp
                        values = {item.key: item.value for item in status.values}
                        return stamp.sec + stamp.nanosec / 1e9, values
            return None

        return client.spin_until(of_camera, "diagnostics")

    def set_clock(sec: int) -> None:
        """Images are stamped 123 ms after the full second, this clock 500 ms."""

        def is_set() -> bool:
            clock.publish(Clock(clock=Time(sec=sec, nanosec=500_000_000)))
            return diagnostics()[0] == sec + 0.5

        client.spin_until(is_set, f"the node's clock to be {sec}.5 s")

    def dropped_stale() -> int:
        return int(diagnostics()[1]["dropped stale"])

    with start_node(node, tmp_path, ros_env, parameters, {"image": topic}) as process:
        process.wait_for_text(f"active on {topic}")
        assert age_ms(100) == 0.0
        client.spin_until(lambda: "warnings no clock" in diagnostics()[1], "a warning")
        assert "use_sim_time is set and no time has come on /clock yet" in process.output

        set_clock(100)
        assert age_ms(100) == pytest.approx(376.5, abs=1.0)
        set_clock(200)
        publisher.publish(image_message(101))
        client.spin_until(lambda: dropped_stale() == 1, "the stale image to be dropped")
        assert age_ms(200) == pytest.approx(376.5, abs=1.0)

        # The bag starts again: images first, its clock after them.
        assert age_ms(100) == 0.0
        set_clock(100)
        assert age_ms(100) == pytest.approx(376.5, abs=1.0)
        assert age_ms(101) == pytest.approx(-623.5, abs=1.0)
        assert dropped_stale() == 1
        assert diagnostics()[1]["warnings stamp ran backwards"] == "1"
        assert process.stop() == 0
        assert "Traceback" not in process.output
    for endpoint in (clock, publisher):
        client.node.destroy_publisher(endpoint)
    client.node.destroy_subscription(subscription)
