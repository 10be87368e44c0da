"""Backbones: images to features at strides 8, 16 and 32."""

from __future__ import annotations

from torch import nn

from yolact_ros.config import YolactConfig
from yolact_ros.errors import ConfigError
from yolact_ros.models.backbones.efficientnet_lite import EfficientNetLite0

__all__ = ["make_backbone"]


def make_backbone(config: YolactConfig) -> nn.Module:
    """The config's backbone with PyTorch's default random initialisation.

    The module maps images ``[B, 3, S, S]`` to the features C3, C4, C5 (strides 8, 16, 32, sizes
    rounded up) and has ``feature_channels``, their three channel counts.

    Raises:
        ConfigError: no backbone of that name.
    """
    if config.backbone == "efficientnet_lite0":
        return EfficientNetLite0()
    raise ConfigError(f"network config: no backbone {config.backbone!r}")
