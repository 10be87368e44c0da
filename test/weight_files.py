"""Files of weights that take little space: every tensor is one number, expanded to its shape."""

from __future__ import annotations

import io

import torch
from golden_networks import empty_network
from torch import Tensor

from yolact_ros.config import YolactConfig


def flat_weights(config: YolactConfig) -> dict[str, Tensor]:
    """A state dict of a network's keys and shapes with zeros."""
    return {
        key: torch.zeros((), dtype=value.dtype).expand(value.shape)
        for key, value in empty_network(config).state_dict().items()
    }


def weights_file(config: YolactConfig) -> bytes:
    """The content of a ``.pth`` with :func:`flat_weights`."""
    buffer = io.BytesIO()
    torch.save(flat_weights(config), buffer)
    return buffer.getvalue()
