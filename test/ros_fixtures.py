"""Fixtures of the ROS tests: a domain, a tiny model, a running node, a client."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ros_camera import HandCamera
    from ros_client import RosClient
    from ros_processes import Process

__all__ = [
    "NODE",
    "TINY_CLASSES",
    "TINY_INPUT_SIZE_PX",
    "camera",
    "client",
    "domain_id",
    "reserved_domains",
    "ros_env",
    "running_node",
    "session_client",
    "tiny_model",
]

NODE = "segmenter"
TINY_CLASSES = ("person", "cup", "dog")
TINY_INPUT_SIZE_PX = 64


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with random weights: fast, always the same, and sure to find something."""
    import torch

    from yolact_ros.config import variant
    from yolact_ros.models.checkpoint import save_checkpoint
    from yolact_ros.models.yolact import build_network

    torch.manual_seed(3)
    model = build_network(
        variant(
            "yolact_light",
            class_names=TINY_CLASSES,
            input_size_px=TINY_INPUT_SIZE_PX,
            num_prototypes=4,
            fpn_channels=16,
            proto_channels=16,
        )
    ).eval()
    # Random weights make every score alike; spread what the last layers say.
    noise = torch.randn(1, 3, TINY_INPUT_SIZE_PX, TINY_INPUT_SIZE_PX)
    head = model.prediction_layers[0]
    with torch.no_grad():
        output = model(noise)
        for layer, values, spread in (
            (head.conf_layer, output.class_logits, 2.0),
            (head.bbox_layer, output.box_offsets, 1.0),
            (head.mask_layer, output.coefficients, 1.0),
            (model.proto_net[-1], output.prototypes, 4.0),
        ):
            layer.weight *= spread / values.std()
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    save_checkpoint(path, model)
    return path


@pytest.fixture(scope="session")
def domain_id() -> Iterator[int]:
    """A ROS domain of this test run alone."""
    pytest.importorskip("rclpy", reason="ROS 2 is not here")
    from ros_processes import reserve_domain

    number, reservation = reserve_domain()
    yield number
    reservation.close()


@pytest.fixture
def reserved_domains(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Demos and benchmarks take ROS domains that nobody else takes at the same moment.

    They look for a free one, which it is until their first process is up, seconds later.
    """
    from ros_processes import reserve_domain

    from yolact_ros.cli import benchmark_live, demo_plan

    with ExitStack() as reservations:

        def reserve() -> int:
            number, reservation = reserve_domain()
            reservations.enter_context(reservation)
            return number

        for module in (benchmark_live, demo_plan):
            monkeypatch.setattr(module, "free_domain_id", reserve)
        yield


@pytest.fixture(scope="session")
def ros_env(domain_id: int) -> dict[str, str]:
    """Environment of child processes, with the shipped Fast DDS profile."""
    from ros_processes import ros_environment

    return ros_environment(domain_id)


@pytest.fixture(scope="session")
def session_client(domain_id: int) -> Iterator[RosClient]:
    """A node of this process; one for all tests, because discovery takes seconds."""
    from ros_client import RosClient

    ros_client = RosClient(domain_id)
    yield ros_client
    ros_client.close()


@pytest.fixture
def client(session_client: RosClient) -> Iterator[RosClient]:
    """The session's node; what a test publishes and subscribes to ends with the test."""
    with session_client.endpoints():
        yield session_client


@pytest.fixture(scope="session")
def running_node(
    tiny_model: Path, ros_env: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Process]:
    """An active node named :data:`NODE` on /image, shared by tests that leave it as it was."""
    from ros_processes import start_node

    folder = tmp_path_factory.mktemp("node")
    parameters = {
        "model": str(tiny_model),
        "device": "cpu",
        "score_threshold": 0.0,
        "depth_image": "depth",
    }
    with start_node(NODE, folder, ros_env, parameters) as node:
        node.wait_for_text("active on /image")
        yield node
        assert node.stop() == 0, node.output
        assert "Traceback" not in node.output


@pytest.fixture(scope="session")
def camera(running_node: Process, session_client: RosClient) -> HandCamera:
    """A camera of this process on the topic of :func:`running_node`."""
    from ros_camera import HandCamera

    return HandCamera(session_client)
