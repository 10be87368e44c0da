"""Which network of a weight file is taken, and what it is."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from yolact_ros.class_names import (
    class_names_beside,
    find_class_names,
)
from yolact_ros.config import NetworkConfig
from yolact_ros.errors import CheckpointError, ConfigError
from yolact_ros.models.families import config_from_dict, make_weightless_network
from yolact_ros.models.identify import (
    COUNTER,
    config_from_file_name,
    config_from_shapes,
    describe_difference,
    is_obsolete,
    is_part_of_network,
    network_prefixes,
    unnamed,
)
from yolact_ros.models.weight_file import CONFIG_KEY, read_weight_file

__all__ = ["Identified", "identify"]

AVERAGED = ("ema", "average", "averaged", "swa")
MOST_NAMED = 5


@dataclass(frozen=True)
class Identified:
    """What a file is, with its weights as they are; fields are those of :class:`Checkpoint`."""

    config: NetworkConfig
    weights: Mapping[str, Tensor]
    metadata: Mapping[str, Any]
    names_from: str
    remarks: Sequence[str]


def identify(path: Path, class_names: Sequence[str]) -> Identified:
    """Read a file of weights and find the network in it; as ``load_checkpoint``, which see."""
    file = read_weight_file(path)
    metadata = dict(file.metadata)
    stored = _stored_config(path, metadata.pop(CONFIG_KEY, None))
    found, remarks = _choose(path, file.entries, stored)
    config = found.config
    names, names_from = find_class_names(class_names), "the file itself"
    if names is None and stored is None:
        names, names_from = class_names_beside(path), f"{config.name}, which has as many classes"
    if names is not None:
        names.check_count(config.num_classes, str(path))
        config, names_from = replace(config, class_names=names.names), names.source
    elif stored is None and config.class_names == unnamed(config.num_classes):
        names_from = "nowhere"
        to_last = f" to {config.class_names[-1]}" if config.num_classes > 1 else ""
        remarks.append(
            f"{path} brings no class names, so they are {config.class_names[0]}{to_last}: name "
            f"them with class_names (--class-names), or in {path.with_suffix('.txt').name} "
            "beside it, one a line"
        )
    return Identified(config, found.weights, metadata, names_from, remarks)


@dataclass(frozen=True)
class _Found:
    """One network of a file.

    Attributes:
        prefix: what stands before its keys.
        difference: to that network, in words; empty where it fits.
    """

    prefix: str
    weights: Mapping[str, Tensor]
    config: NetworkConfig
    difference: str


def _stored_config(path: Path, values: Any) -> NetworkConfig | None:
    if values is None:
        return None
    try:
        return config_from_dict(values)
    except (ValueError, TypeError, AttributeError, ConfigError) as error:
        raise CheckpointError(f"{path}: its description is damaged ({error})") from error


def _choose(
    path: Path, entries: Mapping[str, object], stored: NetworkConfig | None
) -> tuple[_Found, list[str]]:
    """The network to take of those in a file, and remarks."""
    networks = [
        network
        for prefix in network_prefixes(entries)
        if (network := _network(path, entries, prefix, stored)) is not None
    ]
    if not networks:
        first = next(iter(entries), "nothing")
        raise CheckpointError(
            f"{path} has weights of no network this package knows "
            f"({len(entries)} entries, first {first})"
        )
    fitting = [network for network in networks if not network.difference]
    if not fitting:
        raise CheckpointError(_describe_misfit(path, networks[0], stored))
    fitting.sort(key=lambda network: not _is_averaged(network.prefix))
    taken, *others = fitting
    remarks = []
    if others:
        remarks.append(
            f"{path} holds several networks: {_place(taken)} is taken, "
            f"{', '.join(map(_place, others))} is not"
        )
    used = {f"{network.prefix}{key}" for network in fitting for key in network.weights}
    unused = [key for key in entries if key not in used]
    ignored = _ignored(unused, [network.prefix for network in fitting])
    if ignored:
        more = f" and {len(ignored) - MOST_NAMED} more" if len(ignored) > MOST_NAMED else ""
        remarks.append(
            f"{path}: entries that are not of the network are ignored: "
            f"{', '.join(ignored[:MOST_NAMED])}{more}"
        )
    named = config_from_file_name(path)
    if stored is None and named is not None and named.name != taken.config.name:
        remarks.append(
            f"{path} is called after {named.name} and holds a {taken.config.name}, as which it "
            "is taken"
        )
    return taken, remarks


def _network(
    path: Path, entries: Mapping[str, object], prefix: str, stored: NetworkConfig | None
) -> _Found | None:
    """What follows a prefix as a network; None where it is like none."""
    weights = {
        key.removeprefix(prefix): value
        for key, value in entries.items()
        if key.startswith(prefix)
        and isinstance(value, Tensor)
        and is_part_of_network(key.removeprefix(prefix))
    }
    shapes = {key: tuple(v.shape) for key, v in weights.items() if not key.endswith(COUNTER)}
    named = config_from_file_name(path)
    config = stored or config_from_shapes(shapes, named) or named
    if config is None:
        return None
    expected = {
        key: tuple(value.shape)
        for key, value in make_weightless_network(config).state_dict().items()
        if not key.endswith(COUNTER)
    }
    return _Found(prefix, weights, config, describe_difference(expected, shapes))


def _is_averaged(prefix: str) -> bool:
    return any(word in AVERAGED for word in prefix.lower().replace(".", "_").split("_"))


def _place(network: _Found) -> str:
    return f"the one under {network.prefix.rstrip('.')}" if network.prefix else "the outer one"


def _ignored(unused: Iterable[str], prefixes: Sequence[str]) -> list[str]:
    """Entries that no network uses, by their first words: ``optimizer`` for all below it."""
    names: dict[str, None] = {}
    for key in unused:
        if any(is_obsolete(key.removeprefix(p)) for p in prefixes if key.startswith(p)):
            continue
        paths = itertools.accumulate(key.split("."), "{}.{}".format)
        holds_network = (any(p.startswith(f"{path}.") for p in prefixes) for path in paths)
        words = 1 + sum(1 for _ in itertools.takewhile(bool, holds_network))
        names.setdefault(".".join(key.split(".")[:words]))
    return list(names)


def _describe_misfit(path: Path, network: _Found, stored: NetworkConfig | None) -> str:
    shapes = {key: tuple(value.shape) for key, value in network.weights.items()}
    looks = config_from_shapes(shapes)
    if looks is None:
        cure = "they are of no network this package knows"
    elif stored is None:
        cure = f"they look like {_in_words(looks)}, changed or incomplete"
    else:
        cure = f"they look like {_in_words(looks)}: save them again with that config"
    place = f" under {network.prefix.rstrip('.')}" if network.prefix else ""
    return (
        f"{path} does not hold the weights of {network.config.name}{place}: "
        f"{network.difference}; {cure}"
    )


def _in_words(config: NetworkConfig) -> str:
    return (
        f"{config.name} with {config.num_classes} classes and {config.num_prototypes} prototypes"
    )
