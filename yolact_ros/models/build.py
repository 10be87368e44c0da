"""Building a network with freshly initialised weights."""

from __future__ import annotations

from torch import nn

from yolact_ros.config import YolactConfig
from yolact_ros.models.yolact import Yolact

__all__ = ["build_network"]


def build_network(config: YolactConfig) -> Yolact:
    """A network with random weights, in training mode.

    Backbone convolutions are drawn as He et al. (2015) propose, all others Xavier-uniform with
    bias 0 as the published networks were; offset convolutions of deformable layers start at 0, so
    that they begin at the positions of plain convolutions. Uses torch's global generator.
    """
    model = Yolact(config)
    for name, module in model.named_modules():
        if not isinstance(module, nn.Conv2d):
            continue
        if name.endswith("conv_offset_mask"):
            nn.init.zeros_(module.weight)
        elif name.startswith("backbone."):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        else:
            nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    return model
