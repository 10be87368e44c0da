"""What each named model costs on this machine: measured once, kept in the cache."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from yolact_ros.models.zoo import cache_folder

__all__ = ["ModelCost", "costs_file", "keep_costs", "read_costs"]


@dataclass(frozen=True)
class ModelCost:
    """What one image of 640x480 takes, from its pixels to the masks, in the fastest runtime.

    Attributes:
        file: of the model, since a name can come to mean another one.
        whole_ms: median.
        memory_mib: what the network and its first images took at most.
        runtime: name and precision.
    """

    file: str
    whole_ms: float
    memory_mib: float
    runtime: str


def costs_file() -> Path:
    return cache_folder() / "costs.json"


def read_costs() -> dict[str, ModelCost]:
    """Costs on this machine by the names of models; what cannot be read is not there."""
    try:
        kept = json.loads(costs_file().read_text(encoding="utf-8"))[_machine()]
        return {name: ModelCost(**values) for name, values in kept.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def keep_costs(costs: Mapping[str, ModelCost]) -> None:
    """Replace what is kept, which is of this machine alone."""
    path = costs_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {_machine(): {name: asdict(cost) for name, cost in costs.items()}}
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")
    temporary.replace(path)


def _machine() -> str:
    return f"{platform.node()}, {os.cpu_count()} cores"
