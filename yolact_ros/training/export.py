"""Trained networks as files that every other part of the package loads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from yolact_ros.models.network import Network
from yolact_ros.training.settings import TrainingSettings

__all__ = ["export_network"]


def export_network(
    path: Path, network: Network, settings: TrainingSettings, results: Mapping[str, Any]
) -> None:
    """Write weights, config and a short model card as float16 safetensors, atomically."""
    from yolact_ros.models.checkpoint import save_checkpoint

    card = {
        "trained_on": ", ".join(source.name for source in settings.sources),
        "started_from": settings.start_from,
        "batch_size": settings.batch_size,
        "results": dict(results),
    }
    save_checkpoint(path, network, {"model_card": card}, torch.float16)
