"""The families of networks: which config and which class belong together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from yolact_ros.config import VARIANTS, NetworkConfig, YolactConfig, with_overrides
from yolact_ros.errors import ConfigError
from yolact_ros.models.nano import NanoConfig, YolactNano
from yolact_ros.models.network import Network
from yolact_ros.models.yolact import Yolact

__all__ = [
    "FAMILIES",
    "NETWORK_VARIANTS",
    "config_from_dict",
    "make_network",
    "make_weightless_network",
    "network_variant",
]

FAMILIES: Mapping[str, tuple[type[NetworkConfig], type[Network]]] = {
    YolactConfig.family: (YolactConfig, Yolact),
    NanoConfig.family: (NanoConfig, YolactNano),
}

NETWORK_VARIANTS: Mapping[str, NetworkConfig] = {
    **VARIANTS,
    NanoConfig.name: NanoConfig(),
}
"""The named networks of all families."""


def network_variant(name: str, **overrides: Any) -> NetworkConfig:
    """The named network of :data:`NETWORK_VARIANTS`, with fields replaced by ``overrides``.

    Raises:
        ConfigError: no such variant, no such field, or a value out of range.
    """
    return with_overrides(NETWORK_VARIANTS, name, overrides)


def make_network(config: NetworkConfig) -> Network:
    """A network with weights as the constructors of its layers draw them, in training mode."""
    _, network_class = FAMILIES[config.family]
    return network_class(config)


def make_weightless_network(config: NetworkConfig) -> Network:
    """A network whose parameters have shapes and no memory; its priors are real."""
    with torch.device("meta"):
        return make_network(config)


def config_from_dict(values: Mapping[str, Any]) -> NetworkConfig:
    """The config of any family from its ``to_dict()``, also after a round trip through JSON.

    Raises:
        ConfigError: no such family, an unknown or missing key, or a value out of range.
    """
    values = dict(values)
    family = values.pop("family", YolactConfig.family)  # earlier files do not say it
    if family not in FAMILIES:
        raise ConfigError(f"network config: family is {family!r}, expected one of {[*FAMILIES]}")
    config_class, _ = FAMILIES[family]
    return config_class.from_dict(values)
