"""Backbones: images to features at strides 8, 16 and 32."""

from __future__ import annotations

from typing import TypeAlias

from yolact_ros.config import YolactConfig
from yolact_ros.models.backbones.darknet import DarkNet53
from yolact_ros.models.backbones.efficientnet_lite import EfficientNetLite0
from yolact_ros.models.backbones.resnet import RESNET_BLOCKS, ResNet

__all__ = ["Backbone", "make_backbone"]

Backbone: TypeAlias = ResNet | DarkNet53 | EfficientNetLite0


def make_backbone(config: YolactConfig) -> Backbone:
    """The config's backbone with PyTorch's default random initialisation.

    It maps images ``[B, 3, S, S]`` to the features C3, C4, C5 (strides 8, 16, 32, sizes rounded
    up) and has ``feature_channels``, their three channel counts.
    """
    if config.backbone == "efficientnet_lite0":
        return EfficientNetLite0()
    if config.backbone == "darknet53":
        return DarkNet53()
    return ResNet(RESNET_BLOCKS[config.backbone], config.deformable_interval)
