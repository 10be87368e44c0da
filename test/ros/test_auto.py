"""runtime auto in the node: eager at once, the fastest later, remembered for the next start."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not here")
pytest.importorskip("openvino", reason="without it auto compiles for minutes")

from ros_camera import image_message
from ros_client import RosClient
from ros_processes import Process, start_node
from sensor_msgs.msg import Image
from yolact_ros.msg import InstanceArray
from yolact_ros.srv import Segment

from yolact_ros.ros.observer import wait_until_active

NODE = "chooser"
Values = dict[str, str]


@pytest.fixture
def environment(ros_env: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """With a cache where nothing is remembered."""
    return ros_env | {"YOLACT_ROS_CACHE": str(tmp_path / "cache")}


@pytest.fixture
def parameters(tiny_model: Path) -> dict[str, object]:
    return {
        "model": str(tiny_model),
        "device": "cpu",
        "runtime": "auto",
        "precision": "fp32",
        "score_threshold": 0.0,
    }


def is_chosen(values: Values) -> bool:
    return values["runtime provisional"] == "False"


def test_it_works_at_once_and_goes_over_without_losing_an_image(
    client: RosClient, environment: dict[str, str], parameters: dict[str, object], tmp_path: Path
) -> None:
    publisher = client.node.create_publisher(Image, f"/{NODE}", 1)
    answers, _ = client.collect(InstanceArray, f"/{NODE}/instances")

    def play(process: Process, until_chosen: bool) -> tuple[Values, list[InstanceArray]]:
        """Publish until the choice is made, or an answer came; what was said and answered."""
        answers.clear()
        values = client.diagnostics(NODE, "node")
        while not (is_chosen(values) if until_chosen else answers):
            publisher.publish(image_message())
            client.spin_for(0.05)
            values = client.diagnostics(NODE, "node")
            assert process.running, process.output
        return values, list(answers)

    with start_node(NODE, tmp_path, environment, parameters, {"image": f"/{NODE}"}) as process:
        process.wait_for_text("active on")
        (configured,) = (row for row in process.output.splitlines() if "ready in" in row)
        assert " until the fastest is chosen, ready in" in configured
        values, meanwhile = play(process, until_chosen=True)
        assert meanwhile
        _, later = play(process, until_chosen=False)
        assert "fastest: " in values["runtime"]
        assert "eager fp32" in values["runtime"]
        assert "openvino" in values["runtime"]
        assert f"runtime {values['runtime']}; in use from the next image on" in process.output
        first, last = meanwhile[0].instances[0], later[-1].instances[0]
        assert (first.class_name, first.score) == (
            last.class_name,
            pytest.approx(last.score, abs=0.02),
        )
        camera = client.diagnostics(NODE)
        assert camera["dropped failed"] == "0"
        assert not any(key.startswith("errors") for key in camera)
        assert process.stop() == 0
        assert "[ERROR]" not in process.output
    chosen = values["runtime"].partition(" ")[0]

    with start_node(NODE, tmp_path, environment, parameters, {"image": f"/{NODE}"}) as process:
        process.wait_for_text("active on")
        # Unless this machine was so busy that the choice is not remembered.
        if "not remembered" not in values["runtime"]:
            assert f"{chosen} " in process.output
            assert "the fastest when it was measured" in process.output
            assert "until the fastest is chosen" not in process.output
        _, again = play(process, until_chosen=False)
        assert again
        assert process.stop() == 0


def test_while_it_chooses_requests_are_served_a_cleanup_does_not_wait_and_who_waits_for_it_does(
    client: RosClient,
    environment: dict[str, str],
    parameters: dict[str, object],
    tmp_path: Path,
    domain_id: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ROS_DOMAIN_ID", str(domain_id))
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    request = Segment.Request(image=image_message())
    parameters |= {"autostart": False}
    with start_node(NODE, tmp_path, environment, parameters) as process:
        client.wait_for_state(NODE, "unconfigured")
        for _ in range(2):
            assert client.change_state(NODE, "configure"), process.output
            assert client.ask(Segment, f"/{NODE}/segment", request).success
            assert client.change_state(NODE, "cleanup")
        assert client.change_state(NODE, "configure"), process.output
        assert client.change_state(NODE, "activate"), process.output
        assert wait_until_active(f"/{NODE}", timeout_s=120.0) == ""
        # Were cleanups to wait for the choice, there would be three. One may have come just
        # before its cleanup.
        assert 1 <= process.output.count("in use from the next image on") <= 2
        values = client.diagnostics(NODE, "node")
        assert is_chosen(values)
        assert "fastest: " in values["runtime"]
        assert client.ask(Segment, f"/{NODE}/segment", request).success
        assert "[ERROR]" not in process.output
        assert process.stop() == 0
        assert "Traceback" not in process.output
