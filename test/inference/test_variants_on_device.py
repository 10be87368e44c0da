"""Every variant of the network, as whole frames on a device against the host."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from device_networks import (
    EVERYTHING,
    assert_same,
    device_predictor,
    host_predictor,
    picture,
    share_found,
    small_nano,
    small_network,
)
from devices import CPU, CUDA, DEVICES, exact_convolutions, needs_cuda

from yolact_ros.errors import RuntimeUnavailableError
from yolact_ros.inference import device_pipeline
from yolact_ros.inference.predictor import Predictor
from yolact_ros.inference.runtimes import graph
from yolact_ros.models.network import Network

VARIANTS = (
    "yolact_light",
    "yolact_resnet50",
    "yolact_base",
    "yolact_darknet53",
    "yolact_plus_resnet50",
    "yolact_nano",
)
SIZES_PX = ((48, 64), (64, 48), (33, 91), (100, 100), (48, 60), (7, 5))
# Sums in another order; a box of the image's size moves by its share.
ROUNDING = {"score_error": 2e-4, "box_error_px": 0.05, "mask_error": 5e-3}

# Share of the instances. Deep untrained networks multiply every rounding.
HALF_PRECISION = {
    "yolact_light": 0.9,
    "yolact_darknet53": 0.9,
    "yolact_nano": 0.9,
    "yolact_resnet50": 0.4,
    "yolact_base": 0.4,
    "yolact_plus_resnet50": 0.4,
}


@pytest.fixture(autouse=True)
def exact() -> Iterator[None]:
    with exact_convolutions():
        yield


@pytest.fixture
def uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Graphs of torch's own kernels: the compiler takes a minute for each network."""

    def refuse(*_: object) -> None:
        raise RuntimeUnavailableError("left out in this test")

    monkeypatch.setattr(graph, "compile_for_cuda", refuse)
    monkeypatch.setattr(device_pipeline, "compiled_or_plain", lambda function: function)


def make(name: str) -> Network:
    return small_nano() if name == "yolact_nano" else small_network(name)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", VARIANTS)
def test_a_device_finds_what_the_host_finds(name: str, device: torch.device) -> None:
    network = make(name)
    with host_predictor(network) as host, device_predictor(network, device) as on_device:
        for seed in range(4):
            theirs = host.predict(picture(seed))
            assert len(theirs)
            assert_same(on_device.predict(picture(seed)), theirs, **ROUNDING)


@needs_cuda
@pytest.mark.usefixtures("uncompiled")
@pytest.mark.parametrize("name", VARIANTS)
def test_a_captured_network_finds_what_the_host_finds(name: str) -> None:
    network = make(name)
    on_device = device_predictor(network, CUDA, runtime="graph")
    with host_predictor(network) as host, on_device:
        for seed in range(4):
            theirs = host.predict(picture(seed))
            assert_same(on_device.predict(picture(seed)), theirs, **ROUNDING)


@needs_cuda
@pytest.mark.usefixtures("uncompiled")
@pytest.mark.parametrize(("name", "least_share"), HALF_PRECISION.items())
@pytest.mark.parametrize("runtime", ["eager", "graph"])
def test_half_precision_finds_nearly_what_the_host_finds(
    name: str, least_share: float, runtime: str
) -> None:
    network = small_nano() if name == "yolact_nano" else small_network(name, settled=True)
    on_device = device_predictor(network, CUDA, runtime=runtime, precision="fp16")
    with host_predictor(network) as host, on_device:
        shares = [
            share_found(on_device.predict(picture(seed)), host.predict(picture(seed)))
            for seed in range(4)
        ]
    assert sum(shares) / 4 >= least_share, shares


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", ["yolact_light", "yolact_nano"])
def test_images_of_many_sizes_in_turns(name: str, device: torch.device) -> None:
    network = make(name)
    with host_predictor(network) as host, device_predictor(network, device) as on_device:
        for seed in range(3):
            for size_px in SIZES_PX:
                image = picture(seed, *size_px)
                assert_same(on_device.predict(image), host.predict(image), **ROUNDING)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", ["yolact_light", "yolact_plus_resnet50", "yolact_nano"])
def test_settings_change_between_two_frames(name: str, device: torch.device) -> None:
    network = make(name)
    changes = [
        EVERYTHING,
        replace(EVERYTHING, score_threshold=0.4),
        replace(EVERYTHING, class_ids=(2,)),
        replace(EVERYTHING, top_k=3),
        replace(EVERYTHING, nms_threshold=0.2),
        replace(EVERYTHING, masks=False),
        replace(EVERYTHING, nms="standard"),
        replace(EVERYTHING, nms="cross-class"),
        EVERYTHING,
    ]
    with host_predictor(network) as host, device_predictor(network, device) as on_device:
        for settings in changes * 2:
            host.settings = on_device.settings = settings
            theirs = host.predict(picture())
            assert_same(on_device.predict(picture()), theirs, **ROUNDING)


@needs_cuda
def test_what_the_compiler_makes_finds_what_the_host_finds() -> None:
    network = small_network(num_prototypes=4)
    on_device: Predictor = device_predictor(network, CUDA, runtime="graph")
    assert "uncompiled" not in on_device.runtime
    with host_predictor(network) as host, on_device:
        for size_px in SIZES_PX[:2] * 2:
            image = picture(1, *size_px)
            assert_same(on_device.predict(image), host.predict(image), **ROUNDING)


@needs_cuda
def test_a_network_of_the_cpu_is_moved_and_can_go_back() -> None:
    network = small_network()
    with host_predictor(network) as host:
        theirs = host.predict(picture())
    with Predictor(network, device="cuda", settings=EVERYTHING) as on_device:
        assert_same(on_device.predict(picture()), theirs, **ROUNDING)
    with host_predictor(network.to(CPU)) as host:
        assert_same(host.predict(picture()), theirs)
