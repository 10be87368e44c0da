"""The network as training starts with it: random, ImageNet backbone, or other trained weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from yolact_ros.config import YolactConfig
from yolact_ros.errors import CheckpointError, ConfigError
from yolact_ros.models import build_network, initialize_from_imagenet
from yolact_ros.models.families import make_network
from yolact_ros.models.nano import YolactNano
from yolact_ros.models.network import Network
from yolact_ros.models.yolact import Yolact
from yolact_ros.training.settings import TrainingSettings

__all__ = ["copy_fitting_weights", "copy_known_classes", "freeze", "start_network"]

# Layers whose shape depends on the classes; without them a checkpoint still fits other classes.
CLASS_LAYERS = ("conf_layer", "semantic_seg_conv", "maskiou_net.maskiou_net.10", "head.classes")
# Also the number of prototypes may change without making the rest worthless.
PROTOTYPE_LAYERS = ("mask_layer", "proto_net.10", "head.coefficients.1", "proto_net.output")


def start_network(settings: TrainingSettings) -> tuple[Network, list[str]]:
    """Build the network and load the weights it starts from.

    Uses torch's global generator, seeded with ``settings.seed``.

    Returns:
        The network in training mode and remarks for the user, one line each.

    Raises:
        CheckpointError: the weights are of another network in more than classes and prototypes.
    """
    torch.manual_seed(settings.seed)
    config = settings.network
    model = build_network(config) if isinstance(config, YolactConfig) else make_network(config)
    if settings.start_from == "nothing":
        return model, ["starts from random weights"]
    if settings.start_from == "imagenet":
        if not isinstance(model, Yolact):
            raise ConfigError(
                f"training: start_from is imagenet, for which {settings.network.name} has no "
                "weights; start from trained weights of it, or from nothing"
            )
        initialize_from_imagenet(model)
        return model, ["starts from ImageNet weights of the backbone"]
    # Imported here: reading checkpoints by name is needed for fine-tuning alone.
    from yolact_ros.models.checkpoint import load_checkpoint
    from yolact_ros.models.zoo import find_model

    path = find_model(settings.start_from)
    checkpoint = load_checkpoint(path)
    old, new = checkpoint.config.class_names, settings.network.class_names
    remarks = [f"starts from {path}", *checkpoint.remarks]
    dropped = copy_fitting_weights(model, checkpoint.state_dict, drop_classes=old != new)
    if old != new:
        remarks.append(
            f"its {len(old)} classes are not the {len(new)} of this run: "
            f"the layers that depend on classes start anew: {', '.join(dropped)}"
        )
        if isinstance(model, YolactNano):
            known = copy_known_classes(model, checkpoint.state_dict, old)
            remarks.append(f"classes that it knew go on from there: {', '.join(known) or 'none'}")
    elif dropped:
        remarks.append(f"start anew because their shapes differ: {', '.join(dropped)}")
    return model, remarks


def copy_fitting_weights(
    model: nn.Module, weights: Mapping[str, Tensor], *, drop_classes: bool
) -> list[str]:
    """Copy weights by key; layers of classes and prototypes may stay behind.

    Args:
        drop_classes: leave the class layers as they are even where shapes agree.

    Returns:
        Names of the layers that kept their own weights.

    Raises:
        CheckpointError: any other layer is missing or has another shape.
    """
    own = model.state_dict()
    skipped, wrong = [], []
    for key, value in own.items():
        found = weights.get(key)
        is_class_layer = any(part in key for part in CLASS_LAYERS)
        if drop_classes and is_class_layer:
            skipped.append(key)
        elif found is not None and found.shape == value.shape:
            value.copy_(found)
        elif is_class_layer or any(part in key for part in PROTOTYPE_LAYERS):
            skipped.append(key)
        else:
            wrong.append(f"{key} {tuple(value.shape)}" + ("" if found is not None else " missing"))
    if wrong:
        raise CheckpointError(
            f"the weights to start from are of another network: {len(wrong)} layers do not fit, "
            f"first {wrong[0]}; set the network's variant to that of the weights"
        )
    return sorted({key.rsplit(".", 1)[0] for key in skipped})


def copy_known_classes(
    model: YolactNano, weights: Mapping[str, Tensor], old_names: Sequence[str]
) -> list[str]:
    """Copy the rows of the classes that other weights have by the same name; returns the names."""
    known = [name for name in model.config.class_names if name in old_names]
    for key, value in model.state_dict().items():
        if key.startswith("head.classes."):
            for name in known:
                value[model.config.class_names.index(name)] = weights[key][old_names.index(name)]
    return known


def freeze(model: Network, *, batch_norm: bool, blocks: int) -> None:
    """Take batch norms, or the first blocks of the backbone with its stem, out of training.

    Call it again after every ``model.train()``, which wakes the batch norms up.
    """
    if batch_norm:
        _freeze_batch_norm(model)
    if blocks > 0:
        for part in _first_parts(model.get_submodule("backbone"), blocks):
            part.requires_grad_(False)
            _freeze_batch_norm(part)


def _freeze_batch_norm(part: nn.Module) -> None:
    for module in part.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
            module.requires_grad_(False)


def _first_parts(backbone: nn.Module, blocks: int) -> list[nn.Module]:
    parts: list[nn.Module] = []
    for name, child in backbone.named_children():
        if isinstance(child, nn.ModuleList):
            parts.extend(list(child)[:blocks])
        elif name in ("stem", "conv1", "bn1", "_preconv"):
            parts.append(child)
    return parts
