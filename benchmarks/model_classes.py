"""Leaving classes out of a trained network, and making it more careful about one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from yolact_ros.errors import ConfigError
from yolact_ros.models import Yolact

__all__ = ["keep_classes", "lower_scores"]


@torch.no_grad()
def keep_classes(network: Yolact, class_names: Sequence[str]) -> Yolact:
    """A network in evaluation mode that only knows some of the classes of ``network``.

    Their probabilities grow a little, because the softmax no longer contains the others.

    Raises:
        ConfigError: a class that the network does not have, or a network with mask re-scoring,
            whose last layer this does not cut.
    """
    old = network.config
    missing = [name for name in class_names if name not in old.class_names]
    if missing or old.mask_rescoring:
        reason = f"it has no classes {missing}" if missing else "it re-scores masks"
        raise ConfigError(f"cannot leave classes out of {old.name}: {reason}")
    kept = [old.class_names.index(name) for name in class_names]
    smaller = Yolact(replace(old, class_names=tuple(class_names)))
    columns = torch.tensor([0, *(index + 1 for index in kept)])
    weights = network.state_dict()
    for leaf in ("weight", "bias"):
        key = f"prediction_layers.0.conf_layer.{leaf}"
        per_prior = _per_prior(weights[key], old.priors_per_cell)[:, columns]
        weights[key] = per_prior.flatten(0, 1)
        weights[f"semantic_seg_conv.{leaf}"] = weights[f"semantic_seg_conv.{leaf}"][kept]
    smaller.load_state_dict(weights)
    return smaller.eval()


@torch.no_grad()
def lower_scores(network: Yolact, by_class: Mapping[str, float]) -> None:
    """Subtract from the logits of classes, in place, so that fewer detections pass a threshold.

    The order of a class's detections changes little: this moves its operating point.

    Raises:
        ConfigError: a class that the network does not have.
    """
    config = network.config
    bias = network.state_dict()["prediction_layers.0.conf_layer.bias"]
    per_prior = _per_prior(bias, config.priors_per_cell)
    for name, amount in by_class.items():
        if name not in config.class_names:
            raise ConfigError(f"the network has no class {name!r}")
        per_prior[:, config.class_names.index(name) + 1] -= amount


def _per_prior(values: Tensor, priors_per_cell: int) -> Tensor:
    """Output channels of the class layer as [priors of a cell, classes + 1, ...]."""
    return values.reshape(priors_per_cell, -1, *values.shape[1:])
