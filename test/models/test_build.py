from __future__ import annotations

import math

import torch
from golden_networks import smallest
from torch import nn

from yolact_ros.models import Yolact, build_network


def convolutions(model: Yolact) -> dict[str, nn.Conv2d]:
    return {name: layer for name, layer in model.named_modules() if isinstance(layer, nn.Conv2d)}


def test_new_layers_are_xavier_uniform_with_zero_bias() -> None:
    layers = convolutions(build_network(smallest("yolact_plus_resnet50", fpn_channels=64)))
    new = {name: layer for name, layer in layers.items() if not name.startswith("backbone.")}
    assert len(new) == 24
    for name, layer in new.items():
        assert layer.bias is not None
        assert not layer.bias.any(), name
        outputs, inputs, height, width = layer.weight.shape
        bound = math.sqrt(6 / ((inputs + outputs) * height * width))
        assert layer.weight.abs().max() <= bound, name
        if layer.weight.numel() > 1000:
            assert layer.weight.std().item() > 0.95 * bound / math.sqrt(3), name


def test_deformable_layers_start_without_offsets() -> None:
    layers = convolutions(build_network(smallest("yolact_plus_resnet50")))
    offsets = [layer for name, layer in layers.items() if name.endswith("conv_offset_mask")]
    assert len(offsets) == 13
    for layer in offsets:
        assert layer.bias is not None
        assert not layer.weight.any()
        assert not layer.bias.any()


def test_the_seed_decides_the_weights() -> None:
    models = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        models.append(build_network(smallest("yolact_light")).state_dict())
    key = "proto_net.0.weight"
    assert torch.equal(models[0][key], models[1][key])
    assert not torch.equal(models[0][key], models[2][key])
