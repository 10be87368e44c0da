"""Which network a set of weights is of, from its keys and shapes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from yolact_ros.config import VARIANTS, NetworkConfig, YolactConfig
from yolact_ros.errors import CheckpointError, ConfigError
from yolact_ros.models.families import FAMILIES

__all__ = [
    "COUNTER",
    "Shapes",
    "adapt_config",
    "config_from_file_name",
    "config_from_shapes",
    "describe_difference",
    "is_obsolete",
    "is_part_of_network",
    "network_prefixes",
    "unnamed",
]

Config = TypeVar("Config", bound=NetworkConfig)
Shapes = Mapping[str, tuple[int, ...]]
COUNTER = "num_batches_tracked"
"""Last word of the keys that count batches; no result depends on them, and old files have none."""
NUM_DOWNSAMPLED_LEVELS = 2
PARTS = frozenset().union(*(network_class.parts for _, network_class in FAMILIES.values()))
LEAST_PARTS = 3
MAX_PREFIX_WORDS = 16
MAX_CLASSES = 100_000
"""More than any data set has: a damaged file must not make us invent millions of names."""


def network_prefixes(keys: Iterable[str]) -> list[str]:
    """What stands before the keys of a network: ``""``, ``"module."``, ``"state_dict.model."``...

    A prefix counts where most parts of a network follow it. There can be several: a training
    checkpoint may also hold averaged weights. The most complete come first, else in order.
    """
    found: dict[str, set[str]] = {}
    for key in keys:
        words = key.split(".", MAX_PREFIX_WORDS + 1)
        for index, word in enumerate(words):
            if word in PARTS:
                found.setdefault("".join(f"{w}." for w in words[:index]), set()).add(word)
    prefixes = [prefix for prefix, parts in found.items() if len(parts) >= LEAST_PARTS]
    return sorted(prefixes, key=lambda prefix: -len(found[prefix]))


def is_part_of_network(key: str) -> bool:
    """Whether a network could have this key: what belongs to one must fit, all else is ignored."""
    return key.partition(".")[0] in PARTS and not is_obsolete(key)


def is_obsolete(key: str) -> bool:
    """Whether only old published files carry this key, and no network uses it."""
    if key.startswith("backbone.layer"):
        return not key.startswith("backbone.layers")
    extra_level = re.match(r"fpn\.downsample_layers\.(\d+)\.", key)
    return extra_level is not None and int(extra_level[1]) >= NUM_DOWNSAMPLED_LEVELS


def unnamed(num_classes: int) -> tuple[str, ...]:
    """Names for classes that nobody named: ``class_0``, ``class_1``, ..."""
    return tuple(f"class_{index}" for index in range(num_classes))


def config_from_file_name(path: Path) -> YolactConfig | None:
    """The variant that a published file name starts with, as in ``yolact_base_54_800000.pth``."""
    fitting = [name for name in VARIANTS if f"{path.stem}_".startswith(f"{name}_")]
    return VARIANTS[max(fitting, key=len)] if fitting else None


def config_from_shapes(shapes: Shapes, named: YolactConfig | None = None) -> YolactConfig | None:
    """The config that keys and shapes tell, or None where they are of no network we know.

    What weights cannot tell comes from the variant they are like: input size, prior sides and
    normalisation, and, where the number of classes is the variant's, the class names; otherwise
    classes are called ``class_0``, ``class_1``, ... Of several variants that they are like
    (yolact_base, im400 and im700 have the same shapes) it is ``named``, else one with as many
    classes, else the first.
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
    if not alike or not 1 <= num_classes <= MAX_CLASSES:
        return None
    config = next((config for config in alike if config.num_classes == num_classes), alike[0])
    if named in alike:
        config = named
    has_as_many = config.num_classes == num_classes
    class_names = config.class_names if has_as_many else unnamed(num_classes)
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


def adapt_config(path: Path, config: Config, num_prototypes: int, input_size_px: int) -> Config:
    """The config of a file with another input size; 0 takes the file's own.

    Raises:
        CheckpointError: it has another number of prototypes, where that is not 0.
        ConfigError: the input size is out of range.
    """
    if num_prototypes not in (0, config.num_prototypes):
        raise CheckpointError(
            f"{path} has {config.num_prototypes} prototypes, but num_prototypes is "
            f"{num_prototypes}: set num_prototypes to {config.num_prototypes}, or to 0 to take "
            "what the model has"
        )
    return config.with_input_size(input_size_px) if input_size_px else config


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
