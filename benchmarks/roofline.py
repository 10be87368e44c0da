"""What a device cannot do faster: operations and bytes of a network's layers, by their shapes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from yolact_ros.config import YolactConfig
from yolact_ros.models import Yolact

__all__ = ["LayerCost", "Peak", "count_layers", "group_layers", "limit_ms"]

HALF_BYTES = 2
PARTS = {"fpn": "pyramid", "proto_net": "protonet", "prediction_layers": "heads"}


class Peak(NamedTuple):
    """What a device reaches at best.

    Attributes:
        tflops: matrix operations, in 1e12 a second; a multiply-add counts as two.
        terabytes_per_s: to and from its memory, in 1e12 bytes a second.
    """

    tflops: float
    terabytes_per_s: float


class LayerCost(NamedTuple):
    """One convolution on one image.

    Attributes:
        name: of the module.
        group: part of the network that it belongs to; "backbone" is what has no stage there.
        flops: a multiply-add counts as two.
        num_bytes: its input, weights and output, each once.
    """

    name: str
    group: str
    flops: int
    num_bytes: int


def count_layers(config: YolactConfig, bytes_per_value: int = HALF_BYTES) -> list[LayerCost]:
    """The convolutions of a network in the order that they run; everything else can be fused.

    A deformable convolution counts as an ordinary one: its sampling moves bytes that depend on the
    offsets.

    Args:
        config: of the network; nothing is computed or loaded.
        bytes_per_value: 2 for half precision.
    """
    with torch.device("meta"):
        network = Yolact(config).eval()
    names = {module: name for name, module in network.named_modules()}
    layers: list[LayerCost] = []

    def note(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        weight = module.get_parameter("weight")
        values = inputs[0].numel() + weight.numel() + output.numel()
        flops = 2 * output.numel() * weight[0].numel()
        name = names[module]
        layers.append(LayerCost(name, _group(name), flops, values * bytes_per_value))

    for module in names:
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(note)
    side = config.input_size_px
    with torch.inference_mode():
        network(torch.zeros(1, 3, side, side, device="meta"))
    return layers


def group_layers(layers: Iterable[LayerCost]) -> dict[str, list[LayerCost]]:
    """Layers by part of the network, in the order that they first run."""
    groups: dict[str, list[LayerCost]] = {}
    for layer in layers:
        groups.setdefault(layer.group, []).append(layer)
    return groups


def limit_ms(layers: Iterable[LayerCost], peak: Peak) -> float:
    """The least time: each layer bound by what is slower, its operations or its bytes."""
    return 1e3 * sum(
        max(layer.flops / (peak.tflops * 1e12), layer.num_bytes / (peak.terabytes_per_s * 1e12))
        for layer in layers
    )


def _group(name: str) -> str:
    part = name.split(".")[0]
    stage = re.match(r"backbone\.layers\.(\d+)", name)
    if stage:
        return f"backbone stage {int(stage[1]) + 1}"
    return PARTS.get(part, part)
