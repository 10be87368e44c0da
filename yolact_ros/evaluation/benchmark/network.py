"""Networks to measure: a trained model, or any variant with random weights."""

from __future__ import annotations

import os

import torch
from torch import nn

from yolact_ros.config import NetworkConfig, YolactConfig
from yolact_ros.models import Yolact, build_network
from yolact_ros.models.checkpoint import load_network
from yolact_ros.models.families import make_network
from yolact_ros.models.network import Network
from yolact_ros.models.zoo import find_model

__all__ = ["random_network", "settle_batch_norms", "trained_network"]

NOISE_PX = 128


def random_network(config: NetworkConfig) -> Network:
    """A network with random weights, the same every time: its time does not depend on them.

    It finds nothing, and its values stay in the range of half precision, as those of trained
    networks do.
    """
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = (
            build_network(config) if isinstance(config, YolactConfig) else make_network(config)
        )
        settle_batch_norms(network)
        if isinstance(network, Yolact):
            # All classes are then equally likely, below every threshold.
            nn.init.zeros_(network.get_parameter("prediction_layers.0.conf_layer.weight"))
        return network.eval()


@torch.no_grad()
def settle_batch_norms(network: Network) -> None:
    """Give batch norms the statistics of noise; without, values grow from layer to layer.

    For networks on the CPU; uses torch's global generator; the mode of the network stays.
    """
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    was_training = network.training
    for norm in norms:
        norm.momentum = 1.0
    network.train()
    network(torch.randn(2, 3, NOISE_PX, NOISE_PX))
    network.train(was_training)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


def trained_network(name_or_path: str | os.PathLike[str], *, input_size_px: int = 0) -> Network:
    """A model by its name or file; ``input_size_px`` 0 takes its own.

    Raises:
        CheckpointError: no such model, or a file that cannot be used.
        ConfigError: the input size is out of range.
    """
    return load_network(find_model(name_or_path), input_size_px=input_size_px).eval()
