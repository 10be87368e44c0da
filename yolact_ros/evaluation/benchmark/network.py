"""Networks to measure: a trained model, or any variant with random weights."""

from __future__ import annotations

import os

import torch

from yolact_ros.config import NetworkConfig, YolactConfig
from yolact_ros.models import build_network
from yolact_ros.models.checkpoint import load_network
from yolact_ros.models.families import make_network
from yolact_ros.models.network import Network
from yolact_ros.models.zoo import find_model

__all__ = ["random_network", "trained_network"]


def random_network(config: NetworkConfig) -> Network:
    """A network with random weights, the same every time: its time does not depend on them."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = (
            build_network(config) if isinstance(config, YolactConfig) else make_network(config)
        )
        return network.eval()


def trained_network(name_or_path: str | os.PathLike[str], *, input_size_px: int = 0) -> Network:
    """A model by its name or file; ``input_size_px`` 0 takes its own.

    Raises:
        CheckpointError: no such model, or a file that cannot be used.
        ConfigError: the input size is out of range.
    """
    return load_network(find_model(name_or_path), input_size_px=input_size_px).eval()
