"""Which network a set of weights belongs to, from its file name or its keys and shapes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from yolact_ros.config import VARIANTS, YolactConfig
from yolact_ros.errors import ConfigError

__all__ = [
    "Shapes",
    "config_from_file_name",
    "config_from_shapes",
    "describe_difference",
    "drop_obsolete_keys",
]

Shapes = Mapping[str, tuple[int, ...]]
NUM_DOWNSAMPLED_LEVELS = 2
_Value = TypeVar("_Value")


def drop_obsolete_keys(weights: Mapping[str, _Value]) -> dict[str, _Value]:
    """Leave out the keys that old published files carry and no network uses."""
    return {key: value for key, value in weights.items() if not _is_obsolete(key)}


def config_from_file_name(path: Path) -> YolactConfig | None:
    """The variant that a published file name starts with, as in ``yolact_base_54_800000.pth``."""
    fitting = [name for name in VARIANTS if f"{path.stem}_".startswith(f"{name}_")]
    return VARIANTS[max(fitting, key=len)] if fitting else None


def config_from_shapes(shapes: Shapes) -> YolactConfig | None:
    """The config that keys and shapes tell, or None where they are of no network we know.

    What weights cannot tell comes from the variant they are like: input size (yolact_base rather
    than im400 or im700), prior sides and, where the number of classes is the variant's, the class
    names; otherwise classes are called ``class_0``, ``class_1``, ...
    """
    try:
        num_classes = shapes["semantic_seg_conv.weight"][0]
        num_prototypes = shapes["proto_net.10.weight"][0]
        fpn_channels = shapes["prediction_layers.0.upfeature.0.weight"][0]
        proto_channels = shapes["proto_net.0.weight"][0]
        traits = {
            "backbone": _backbone(shapes),
            "deformable_interval": _deformable_interval(shapes),
            "mask_rescoring": any(key.startswith("maskiou_net.") for key in shapes),
            "priors_per_cell": shapes["prediction_layers.0.bbox_layer.weight"][0] // 4,
        }
    except (KeyError, IndexError, ValueError):
        return None
    alike = [
        config
        for config in VARIANTS.values()
        if all(getattr(config, trait) == value for trait, value in traits.items())
    ]
    if not alike or num_classes < 1:
        return None
    config = next((config for config in alike if config.num_classes == num_classes), alike[0])
    class_names = (
        config.class_names
        if config.num_classes == num_classes
        else tuple(f"class_{index}" for index in range(num_classes))
    )
    try:
        return replace(
            config,
            class_names=class_names,
            num_prototypes=num_prototypes,
            fpn_channels=fpn_channels,
            proto_channels=proto_channels,
        )
    except ConfigError:
        return None


def describe_difference(expected: Shapes, found: Shapes) -> str:
    """The first missing, unexpected and misshapen keys in words; empty where there are none."""
    missing = [key for key in expected if key not in found]
    unexpected = [key for key in found if key not in expected]
    misshapen = [key for key in expected if key in found and expected[key] != found[key]]
    parts = []
    if missing:
        parts.append(f"{len(missing)} keys are missing, first {missing[0]}")
    if unexpected:
        parts.append(f"{len(unexpected)} keys are unexpected, first {unexpected[0]}")
    if misshapen:
        key = misshapen[0]
        parts.append(
            f"{len(misshapen)} keys have another shape, "
            f"first {key} with {list(found[key])} instead of {list(expected[key])}"
        )
    return "; ".join(parts)


def _is_obsolete(key: str) -> bool:
    if key.startswith("backbone.layer"):
        return not key.startswith("backbone.layers")
    extra_level = re.match(r"fpn\.downsample_layers\.(\d+)\.", key)
    return extra_level is not None and int(extra_level[1]) >= NUM_DOWNSAMPLED_LEVELS


def _backbone(shapes: Shapes) -> str:
    if "backbone._preconv.0.weight" in shapes:
        return "darknet53"
    if "backbone.stem.0.weight" in shapes:
        return "efficientnet_lite0"
    return "resnet101" if "backbone.layers.2.6.conv1.weight" in shapes else "resnet50"


def _deformable_interval(shapes: Shapes) -> int:
    """Distance between deformable blocks; the first block of a stage always is one."""
    blocks = sorted(
        {int(key.split(".")[3]) for key in shapes if key.endswith("conv_offset_mask.weight")}
    )
    if not blocks:
        return 0
    return blocks[1] if len(blocks) > 1 else 1
