"""Frames of several cameras in one run of the network."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not here")

import torch
from ros_camera import image_message
from ros_client import RosClient, publish_until
from ros_node import NodeInThread, node_in_thread
from sensor_msgs.msg import Image
from yolact_ros.msg import InstanceArray

from yolact_ros.inference.runtimes.eager import EagerRuntime
from yolact_ros.ros.camera import Camera
from yolact_ros.structures import NetworkOutput

CAMERAS = ("left", "middle", "right")


class Network:
    """An eager network that takes as long for a batch as for one image, and can be held."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.runs: list[int] = []
        self.go_on = threading.Event()
        self.go_on.set()
        self.fails_on_batches = False
        run = EagerRuntime._run

        def slow_run(runtime: EagerRuntime, images: torch.Tensor) -> NetworkOutput:
            self.runs.append(len(images))
            time.sleep(0.03)
            assert self.go_on.wait(60.0)
            if self.fails_on_batches and len(images) > 1:
                raise RuntimeError("too many at once")
            return run(runtime, images)

        monkeypatch.setattr(EagerRuntime, "_run", slow_run)


class Trio:
    """Three cameras of this process on one node, whose network a test can hold."""

    def __init__(self, client: RosClient, running: NodeInThread, network: Network) -> None:
        self.network = network
        self._client = client
        self._running = running
        self._publishers = {
            name: client.node.create_publisher(Image, f"/{name}/image", 1) for name in CAMERAS
        }
        self._answers = {
            name: client.collect(InstanceArray, f"/reached/{name}/instances")[0]
            for name in CAMERAS
        }
        for name in CAMERAS:
            self._publish_until({name: image_message(1)}, lambda name=name: self._answers[name])

    def camera(self, name: str) -> Camera:
        frames = self._running.node._frames
        assert frames is not None
        return next(camera for camera in frames.cameras if camera.name == name)

    def answers_to(self, images: dict[str, Image]) -> tuple[dict[str, InstanceArray], list[int]]:
        """Let images wait for the network together; the first answers, and its runs for them."""
        frames = self._running.node._frames
        assert frames is not None
        self.network.go_on.clear()
        before = len(self.network.runs)
        self._publish_until({"left": image_message(1)}, lambda: len(self.network.runs) > before)
        self._publish_until(images, lambda: len(frames._frame_worker.slots) == len(CAMERAS))
        whole = [name for name in CAMERAS if images[name].encoding == "bgr8"]
        stamps = {name: images[name].header.stamp for name in whole}
        before = len(self.network.runs)
        self.network.go_on.set()

        def answers() -> dict[str, InstanceArray]:
            return {
                answer.header.frame_id: answer
                for name in whole
                for answer in reversed(self._answers[name])
                if answer.header.stamp == stamps[name]
            }

        self._client.spin_until(lambda: len(answers()) == len(whole), "answers to all images")
        return answers(), self.network.runs[before:]

    def _publish_until(self, images: dict[str, Image], done: Callable[[], Any]) -> None:
        def publish() -> None:
            for name, message in images.items():
                self._publishers[name].publish(message)

        publish_until(self._client, publish, done)


@pytest.fixture(scope="module")
def trio(session_client: RosClient, domain_id: int, tiny_model: Path) -> Iterator[Trio]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        network = Network(monkeypatch)
        with node_in_thread(
            domain_id, tiny_model, runtime="eager", cameras=list(CAMERAS), frame_budget_ms=60_000.0
        ) as running:
            yield Trio(session_client, running, network)
            network.go_on.set()


def waiting_images(stamp_sec: int) -> dict[str, Image]:
    images = {name: image_message(stamp_sec) for name in CAMERAS}
    for name, message in images.items():
        message.header.frame_id = name
    return images


def test_frames_of_cameras_that_wait_are_worked_on_together_and_reported_one_by_one(
    client: RosClient, trio: Trio
) -> None:
    answers, runs = trio.answers_to(waiting_images(10))
    assert runs[0] == 3
    assert len({answer.report.inference_ms for answer in answers.values()}) == 1
    assert set(answers) == set(CAMERAS)
    for name, answer in answers.items():
        assert len(answer.instances) > 0
        report = answer.report
        assert report.inference_ms >= 30.0
        assert report.wait_ms > 0.0
        stages_ms = report.preprocess_ms + report.inference_ms + report.postprocess_ms
        assert report.total_ms >= report.wait_ms + stages_ms - 0.01
        assert report.deadline_met == (report.total_ms <= report.budget_ms)
        assert int(client.diagnostics("reached", name)["batched"]) > 0


def test_a_broken_image_costs_a_batch_only_its_own_frame(client: RosClient, trio: Trio) -> None:
    images = waiting_images(11)
    images["middle"].encoding = "mosaic"
    answers, runs = trio.answers_to(images)
    assert set(answers) == {"left", "right"}
    assert runs[0] == 2
    assert int(client.diagnostics("reached", "middle")["errors encoding"]) > 0
    for name in answers:
        assert client.diagnostics("reached", name)["dropped failed"] == "0"


def test_a_batch_that_fails_is_worked_on_one_by_one(client: RosClient, trio: Trio) -> None:
    trio.network.fails_on_batches = True
    answers, runs = trio.answers_to(waiting_images(12))
    trio.network.fails_on_batches = False
    assert len(answers) == 3
    assert runs[:4] == [3, 1, 1, 1]
    warnings = [client.diagnostics("reached", name).get("warnings batch") for name in CAMERAS]
    assert any(warnings)


def test_frames_of_which_only_one_needs_masks_are_not_worked_on_together(
    client: RosClient, trio: Trio
) -> None:
    assert client.set_parameter("reached", "mask_encoding", "none").successful
    _, overlay = client.collect(Image, "/reached/left/overlay")
    client.spin_until(trio.camera("left").views.wanted, "the view to be wanted")
    answers, runs = trio.answers_to(waiting_images(13))
    client.node.destroy_subscription(overlay)
    client.set_parameter("reached", "mask_encoding", "bits")
    assert len(answers) == 3
    assert sorted(runs[:2]) == [1, 2]
