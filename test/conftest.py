"""Fixtures that several folders share; each network is built and run once per session."""

from __future__ import annotations

import os
import signal

import pytest

# Before torch starts OpenMP: its threads spin while they wait, so that on a machine busy with
# other work one 320 px frame of the light network took 14 to 20 s instead of 0.7 s (load 11).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# The nodes of the tests, in this process too, stay off the network.
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
os.environ.pop("ROS_LOCALHOST_ONLY", None)

import torch
from golden_networks import golden_input, golden_network
from hypothesis import HealthCheck, settings

from yolact_ros.config import variant
from yolact_ros.models import Yolact
from yolact_ros.structures import NetworkOutput

# The same examples in every run, however long they take: a change is not refused for what another
# has spoilt. `./dev test --hypothesis-profile=default` looks for new ones.
settings.register_profile(
    "same",
    derandomize=True,
    deadline=None,
    # A test's folder may serve all its examples.
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("same")


def pytest_configure() -> None:
    """What a process of pytest needs, a worker of pytest-xdist too."""
    # Sums are then in one order however many cores there are, and the workers of pytest-xdist do
    # not wait for each other's threads: the tests of training took a quarter less CPU time.
    torch.set_num_threads(1)
    # A shell starts background jobs with SIGINT ignored, which what the tests start would inherit.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those first that start processes and mostly wait: others then fill the cores to the end."""
    items.sort(key=lambda item: item.path.parent.name not in ("commands", "launch", "ros"))


@pytest.fixture(scope="session")
def r50_network() -> Yolact:
    """yolact_resnet50 with the golden weights, in eval mode; tests must not change it."""
    return golden_network(variant("yolact_resnet50"))


@pytest.fixture(scope="session")
def r50_stages(r50_network: Yolact) -> dict[str, torch.Tensor]:
    """C2..C5 and P3..P7 of the golden network on the golden image, and its output's fields."""
    stages: dict[str, torch.Tensor] = {}
    hooks = [
        layer.register_forward_hook(
            lambda _layer, _inputs, feature, name=f"C{level}": stages.update(
                {name: feature.clone()}
            )
        )
        for level, layer in enumerate(r50_network.backbone.layers, start=2)
    ]
    hooks.append(
        r50_network.fpn.register_forward_hook(
            lambda _layer, _inputs, levels: stages.update(
                {f"P{level}": feature for level, feature in enumerate(levels, start=3)}
            )
        )
    )
    with torch.inference_mode():
        output = r50_network(golden_input(r50_network.config))
    for hook in hooks:
        hook.remove()
    stages.update({name: value for name, value in output._asdict().items() if value is not None})
    return stages


@pytest.fixture(scope="session")
def r50_output(r50_stages: dict[str, torch.Tensor]) -> NetworkOutput:
    """Raw output of the golden yolact_resnet50 on the golden image."""
    return NetworkOutput(*(r50_stages[name] for name in NetworkOutput._fields[:4]))
