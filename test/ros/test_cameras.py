"""Several cameras on one network, compressed images, and a network that fails on one frame."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not here")

import torch
from ros_client import RosClient, publish_until
from ros_node import NodeInThread, node_in_thread
from ros_processes import start_node
from sensor_msgs.msg import CompressedImage, Image
from yolact_ros.msg import InstanceArray

from yolact_ros.inference.predictor import Predictor

SIZE_PX = (64, 48)


def image(frame_id: str) -> Image:
    width_px, height_px = SIZE_PX
    message = Image(width=width_px, height=height_px, step=3 * width_px, encoding="rgb8")
    message.header.frame_id = frame_id
    message.header.stamp.sec = 1
    message.data = bytes(3 * width_px * height_px)
    return message


def jpeg(frame_id: str) -> CompressedImage:
    pixels = np.full((SIZE_PX[1], SIZE_PX[0], 3), 128, np.uint8)
    message = CompressedImage(format="jpeg", data=cv2.imencode(".jpg", pixels)[1].tobytes())
    message.header.frame_id = frame_id
    message.header.stamp.sec = 1
    return message


def test_two_cameras_share_a_network_and_a_flood_does_not_starve_the_other(
    client: RosClient, tiny_model: Path, ros_env: dict[str, str], tmp_path: Path
) -> None:
    parameters = {
        "model": str(tiny_model),
        "score_threshold": 0.0,
        "cameras": ["left", "right"],
        "image_transport": "compressed",
    }
    with start_node("pair", tmp_path, ros_env, parameters) as node:
        node.wait_for_text("active on /left/image/compressed, /right/image/compressed")
        publishers = {
            name: client.node.create_publisher(CompressedImage, f"/{name}/image/compressed", 1)
            for name in ("left", "right")
        }
        answers = {
            name: client.collect(InstanceArray, f"/pair/{name}/instances")[0]
            for name in ("left", "right")
        }

        def flood_left() -> None:
            for _ in range(20):
                publishers["left"].publish(jpeg("left eye"))
            publishers["right"].publish(jpeg("right eye"))

        publish_until(client, flood_left, lambda: all(len(a) >= 3 for a in answers.values()))
        for name, messages in answers.items():
            assert {message.header.frame_id for message in messages} == {f"{name} eye"}

        broken = jpeg("left eye")
        broken.data = broken.data[:100]
        publish_until(
            client,
            lambda: publishers["left"].publish(broken),
            lambda: "errors truncated" in client.diagnostics("pair", "left"),
        )
        assert "errors truncated" not in client.diagnostics("pair", "right")
        answers["left"].clear()
        publish_until(
            client, lambda: publishers["left"].publish(jpeg("left eye")), lambda: answers["left"]
        )


@pytest.fixture
def reached(domain_id: int, tiny_model: Path) -> Iterator[NodeInThread]:
    with node_in_thread(domain_id, tiny_model) as running:
        yield running


def test_an_exception_in_the_network_costs_one_frame(
    client: RosClient, reached: NodeInThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    detect = Predictor.detect
    failures: list[Exception] = [RuntimeError("bug"), torch.OutOfMemoryError("full")]

    def fail_twice(predictor: Predictor, image_bgr: np.ndarray) -> Any:
        # Not of what is warmed up beside, whose images are larger.
        if failures and image_bgr.shape[:2] == SIZE_PX[::-1]:
            raise failures.pop(0)
        return detect(predictor, image_bgr)

    monkeypatch.setattr(Predictor, "detect", fail_twice)
    publisher = client.node.create_publisher(Image, "/reached_image", 1)
    messages, _ = client.collect(InstanceArray, "/reached/instances")
    publish_until(client, lambda: publisher.publish(image("eye")), lambda: messages)
    values = client.diagnostics("reached")
    assert (values["errors network"], values["errors memory"]) == ("1", "1")
    assert values["dropped failed"] == "2"
    assert messages[0].header.frame_id == "eye"


def test_an_error_in_a_view_does_not_touch_the_results(
    client: RosClient, reached: NodeInThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: Any, **options: Any) -> Any:
        raise RuntimeError("cannot draw")

    monkeypatch.setattr("yolact_ros.ros.views.view.draw_overlay", fail)
    publisher = client.node.create_publisher(Image, "/reached_image", 1)
    messages, _ = client.collect(InstanceArray, "/reached/instances")
    _, overlay = client.collect(Image, "/reached/overlay")
    publish_until(
        client,
        lambda: publisher.publish(image("eye")),
        lambda: int(client.diagnostics("reached", "node").get("errors internal", 0)) > 0,
    )
    before = len(messages)
    publish_until(client, lambda: publisher.publish(image("eye")), lambda: len(messages) > before)
    client.node.destroy_subscription(overlay)


def test_views_are_wanted_only_while_somebody_subscribes(
    client: RosClient, reached: NodeInThread
) -> None:
    (camera,) = reached.node._frames.cameras  # type: ignore[union-attr]
    assert not camera.views.wanted()
    _, subscription = client.collect(Image, "/reached/overlay")
    client.spin_until(camera.views.wanted, "the view to be wanted")
    client.node.destroy_subscription(subscription)
    client.spin_until(lambda: not camera.views.wanted(), "the view not to be wanted")
