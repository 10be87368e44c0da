"""A few optimiser steps of a small network, here or in one of several processes."""

from __future__ import annotations

import os

import torch

from yolact_ros.config import YolactConfig
from yolact_ros.models import Yolact, build_network
from yolact_ros.models.nano import YolactNano
from yolact_ros.models.network import Network
from yolact_ros.training.annotations import DataSource, read_source
from yolact_ros.training.dataset import Batch, TrainingImages
from yolact_ros.training.loader import step_parts
from yolact_ros.training.loss import LossSettings
from yolact_ros.training.nano_loss import NanoLossSettings
from yolact_ros.training.processes import Processes, join_processes, leave_processes
from yolact_ros.training.start import freeze
from yolact_ros.training.step import NetworkWithLosses, Stepper, StepResult, make_optimizer

BATCH_SIZE = 4
STEPS = 2
LEARNING_RATE = 1e-4


def make_network(config: YolactConfig) -> Yolact:
    torch.manual_seed(1)
    network = build_network(config).train()
    for norm in network.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            norm.momentum = None  # statistics of exactly the images below
    network(torch.randn(8, 3, config.input_size_px, config.input_size_px))
    freeze(network, batch_norm=True, blocks=0)
    return network


def make_stepper(
    network: Network,
    processes: Processes,
    *,
    optimizer: str = "sgd",
    learning_rate: float = LEARNING_RATE,
    precision: str = "fp32",
) -> Stepper:
    device = next(network.parameters()).device
    nano = isinstance(network, YolactNano)
    chosen = make_optimizer(
        network, kind=optimizer, backbone_rate=0.5, momentum=0.9, weight_decay=5e-4
    )
    for group in chosen.param_groups:
        group["lr"] = learning_rate * group["rate"]
    return Stepper(
        NetworkWithLosses(network, NanoLossSettings() if nano else LossSettings(), precision),
        chosen,
        processes=processes,
        device=device,
        scale_gradients=precision == "fp16",
    )


def make_steps(
    source: DataSource, network: Network, processes: Processes, accumulate: int
) -> list[list[Batch]]:
    records, _ = read_source(source, network.config.class_names)
    images = TrainingImages(records, network.config, seed=4)
    with step_parts(
        images,
        first_step=0,
        steps=STEPS,
        batch_size=BATCH_SIZE,
        accumulate=accumulate,
        processes=processes,
        workers=0,
    ) as steps:
        return list(steps)


def train(
    source: DataSource, config: YolactConfig, accumulate: int = 1
) -> tuple[dict[str, torch.Tensor], list[StepResult]]:
    processes = join_processes("cpu")
    network = make_network(config)
    stepper = make_stepper(network, processes)
    results = [stepper.step(parts) for parts in make_steps(source, network, processes, accumulate)]
    leave_processes(processes)
    return network.state_dict(), results


def distributed_main(
    rank: int, source: DataSource, config: YolactConfig, port: int, results: dict[int, object]
) -> None:
    torch.set_num_threads(1)
    os.environ.update(
        RANK=str(rank),
        LOCAL_RANK=str(rank),
        WORLD_SIZE="2",
        MASTER_ADDR="127.0.0.1",
        MASTER_PORT=str(port),
    )
    weights, steps = train(source, config)
    results[rank] = ({k: v.numpy() for k, v in weights.items()}, steps)
