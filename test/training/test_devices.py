"""Training on a device learns what training on the CPU does."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from devices import CPU, DEVICES, exact_convolutions, needs_cuda
from training_steps import make_network, make_stepper, make_steps

from yolact_ros.config import YolactConfig, variant
from yolact_ros.inference.predictor import Predictor
from yolact_ros.models.nano import NanoConfig, YolactNano
from yolact_ros.models.network import Network
from yolact_ros.training.annotations import DataSource, read_source
from yolact_ros.training.processes import Processes
from yolact_ros.training.settings import TrainingSettings
from yolact_ros.training.start import freeze
from yolact_ros.training.trainer import Trainer

PRECISIONS = [
    pytest.param(*DEVICES[0].values, "bf16", id="cpu-bf16"),
    *(
        pytest.param(*DEVICES[1].values, one, id=f"cuda-{one}", marks=needs_cuda)
        for one in ("bf16", "fp16")
    ),
]


@pytest.fixture(autouse=True)
def exact() -> Iterator[None]:
    with exact_convolutions():
        yield


def make(family: str, tiny_config: YolactConfig) -> Network:
    if family == "light":
        return make_network(tiny_config)
    if family == "plus":
        small = {"input_size_px": 64, "fpn_channels": 8, "proto_channels": 8}
        return make_network(
            variant("yolact_plus_resnet50", class_names=tiny_config.class_names, **small)
        )
    torch.manual_seed(1)
    network = YolactNano(NanoConfig(input_size_px=64, class_names=tiny_config.class_names))
    freeze(network.train(), batch_norm=True, blocks=0)
    return network


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("family", ["light", "plus", "nano"])
def test_a_step_learns_what_it_does_on_the_cpu(
    shapes: DataSource, tiny_config: YolactConfig, family: str, device: torch.device
) -> None:
    start = make(family, tiny_config)
    parts = make_steps(shapes, start, Processes(), 1)[0]
    losses, learnt = [], []
    for one in (CPU, device):
        network = copy.deepcopy(start).to(one)
        losses.append(make_stepper(network, Processes()).step(parts).losses)
        learnt.append(
            torch.cat(
                [
                    (value.detach().cpu() - before.detach()).flatten()
                    for value, before in zip(network.parameters(), start.parameters(), strict=True)
                ]
            )
        )
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)
    assert learnt[0].norm() > 0
    assert (learnt[1] - learnt[0]).norm() < 0.02 * learnt[0].norm()


@pytest.mark.parametrize(("device", "precision"), PRECISIONS)
@pytest.mark.parametrize("family", ["light", "nano"])
def test_mixed_precision_has_nearly_the_losses_of_float32(
    shapes: DataSource,
    tiny_config: YolactConfig,
    family: str,
    device: torch.device,
    precision: str,
) -> None:
    start = make(family, tiny_config).to(device)
    parts = make_steps(shapes, start, Processes(), 1)[0]
    totals = []
    for one in ("fp32", precision):
        stepper = make_stepper(copy.deepcopy(start), Processes(), precision=one)
        result = stepper.step(parts)
        totals.append(sum(result.losses.values()))
        while result.skipped:  # the scaler of fp16 looks for its scale
            result = stepper.step(parts)
            assert stepper.scaler.get_scale() >= 1
    assert totals[1] == pytest.approx(totals[0], rel=0.1)


@pytest.mark.parametrize("device", DEVICES)
def test_a_run_on_a_device_is_resumed_there_and_its_network_finds_things_anywhere(
    tiny_settings: TrainingSettings, device: torch.device
) -> None:
    settings = replace(tiny_settings, device=str(device))
    records, _ = read_source(settings.sources[0], settings.network.class_names)
    Trainer(settings, records).run(stop_after=3)
    resumed = Trainer(settings, records)
    resumed.resume()
    file: Path = resumed.run()
    assert resumed.step == settings.steps
    image = np.full((60, 80, 3), 90, np.uint8)
    for one in (CPU, device):
        with Predictor.load(file, device=one, runtime="eager") as predictor:
            predictor.predict(image)
