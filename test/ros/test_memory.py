"""Device memory that runs out: at configure, while another input size is warmed up, in a frame."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not here")

from rclpy.publisher import Publisher
from ros_camera import image_message
from ros_client import RosClient
from ros_processes import Process, start_node
from sensor_msgs.msg import Image
from yolact_ros.msg import FrameReport, InstanceArray
from yolact_ros.srv import Segment

PROGRAM = Path(__file__).with_name("forgetful_node.py")
NODE = "forgetful"


class Memory:
    """Of the imaginary device: the largest network input that fits, in pixels."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.holds(64)

    def holds(self, input_size_px: int) -> None:
        new = self.path.with_suffix(".new")
        new.write_text(str(input_size_px))
        os.replace(new, self.path)


@pytest.fixture
def memory(tmp_path: Path) -> Memory:
    return Memory(tmp_path / "memory")


StartNode = Callable[..., Process]


@pytest.fixture
def start(
    memory: Memory, tiny_model: Path, ros_env: dict[str, str], tmp_path: Path
) -> Iterator[StartNode]:
    """Starts the node on that device, with parameters of its own."""
    running: list[Process] = []

    def start_with(**parameters: object) -> Process:
        parameters = {"model": str(tiny_model), "score_threshold": 0.0} | parameters
        process = start_node(
            NODE,
            tmp_path,
            ros_env,
            parameters,
            {"image": f"/{NODE}"},
            program=(str(PROGRAM), str(memory.path)),
        )
        running.append(process)
        return process

    yield start_with
    for process in running:
        with process:
            assert process.stop() == 0, process.output
            assert "Traceback" not in process.output


class Camera:
    """Asks for answers until one is as wanted."""

    def __init__(self, client: RosClient) -> None:
        self._client = client
        self.publisher: Publisher = client.node.create_publisher(Image, f"/{NODE}", 1)
        self.answers, _ = client.collect(InstanceArray, f"/{NODE}/instances")

    def wait_for_input_size(self, size_px: int) -> FrameReport:
        def answered() -> FrameReport | None:
            self.answers.clear()
            self.publisher.publish(image_message())
            self._client.spin_for(0.1)
            reports = [answer.report for answer in self.answers]
            return next((r for r in reports if r.input_size == size_px), None)

        return self._client.spin_until(answered, f"an answer from an input of {size_px} px")


@pytest.mark.parametrize("frame_budget_ms", [0.0, 5000.0], ids=["no budget", "budget"])
def test_a_frame_without_memory_falls_to_a_smaller_level_and_quality_comes_back(
    client: RosClient, memory: Memory, start: StartNode, frame_budget_ms: float
) -> None:
    memory.holds(128)
    process = start(input_size=[128, 64], frame_budget_ms=frame_budget_ms)
    process.wait_for_text("active on")
    camera = Camera(client)
    assert camera.wait_for_input_size(128).degradation == FrameReport.DEGRADE_NONE

    memory.holds(64)
    assert camera.wait_for_input_size(64).degradation == FrameReport.DEGRADE_INPUT
    values = client.wait_for_diagnostics(NODE, lambda v: "errors memory" in v)
    assert "errors network" not in values
    assert client.diagnostics(NODE, "node")["input size (px)"] == "64"
    (line, *_) = (row for row in process.output.splitlines() if "no device memory" in row)
    assert "no device memory for an input of 128 px" in line
    assert "using smaller ones for 2 s" in line

    memory.holds(128)
    assert camera.wait_for_input_size(128).degradation == FrameReport.DEGRADE_NONE
    client.wait_for_diagnostics(NODE, lambda v: v["level"] == b"\x00")


def test_without_a_smaller_level_every_frame_is_counted_and_the_cure_is_named(
    client: RosClient, memory: Memory, start: StartNode
) -> None:
    process = start()
    process.wait_for_text("active on")
    camera = Camera(client)
    camera.wait_for_input_size(64)
    memory.holds(0)

    def counted(values: dict[str, str]) -> bool:
        camera.publisher.publish(image_message())
        return int(values.get("errors memory", 0)) > 1

    client.wait_for_diagnostics(NODE, counted)
    assert "add a smaller one to input_size or end other programs" in process.output
    answer = client.ask(Segment, f"/{NODE}/segment", Segment.Request(image=image_message()))
    assert not answer.success
    assert "ran out of memory at an input of 64 px; use a smaller input_size" in answer.message
    memory.holds(64)
    camera.wait_for_input_size(64)


def test_another_input_size_that_does_not_fit_leaves_the_old_ones_in_use(
    client: RosClient, memory: Memory, start: StartNode
) -> None:
    process = start(frame_budget_ms=0.0)
    process.wait_for_text("active on")
    assert client.set_parameter(NODE, "input_size", [256, 64]).successful
    process.wait_for_text("input_size stays at 64")
    assert "memory at an input of 256 px; use a smaller input_size" in process.output
    values = client.wait_for_diagnostics(NODE, lambda v: "errors input size" in v, "node")
    assert values["input sizes ready (px)"] == "64"
    camera = Camera(client)
    camera.wait_for_input_size(64)
    # Other parameters do not make it try again, other sizes do.
    assert client.set_parameter(NODE, "top_k", 3).successful
    memory.holds(256)
    assert client.set_parameter(NODE, "input_size", [96, 64]).successful
    # Sizes that are replaced before the node has come to them are never tried.
    camera.wait_for_input_size(96)
    assert client.set_parameter(NODE, "input_size", [256, 64]).successful
    camera.wait_for_input_size(256)
    assert client.diagnostics(NODE, "node")["errors input size"] == "1"


def test_configure_starts_with_the_input_sizes_that_fit(
    client: RosClient, memory: Memory, start: StartNode
) -> None:
    memory.holds(128)
    # Without a budget, which a busy machine keeps with the smallest only.
    process = start(input_size=[256, 128, 64], frame_budget_ms=0.0)
    process.wait_for_text("active on")
    assert "an input_size is left out: cpu ran out of memory at an input of 256 px" in (
        process.output
    )
    values = client.diagnostics(NODE, "node")
    assert values["input sizes ready (px)"] == "128, 64"
    assert values["input sizes left out (px)"] == "256"
    assert values["errors memory"] == "1"
    camera = Camera(client)
    camera.wait_for_input_size(128)


def test_configure_fails_with_the_cure_where_no_input_size_fits(
    client: RosClient, memory: Memory, start: StartNode
) -> None:
    memory.holds(32)
    process = start(input_size=[128, 64], autostart=False)
    client.wait_for_state(NODE, "unconfigured")
    assert not client.change_state(NODE, "configure")
    message = client.diagnostics(NODE, "node")["message"]
    assert "cannot configure: cpu ran out of memory at an input of 64 px; use a smaller" in message
    memory.holds(128)
    assert client.change_state(NODE, "configure"), process.output
