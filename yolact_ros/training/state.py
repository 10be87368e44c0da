"""Training checkpoints: everything a killed run needs to go on as if nothing had happened."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import torch

from yolact_ros.errors import CheckpointError

__all__ = ["STATE_FILE", "load_state", "save_state"]

STATE_FILE = "state.pt"


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write a training state; a kill at any moment leaves the old file or the new one, whole."""
    temporary = path.with_suffix(".part")
    with temporary.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def load_state(path: Path) -> dict[str, Any]:
    """Read what :func:`save_state` wrote; CheckpointError where it is not there or none."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError(f"no training state at {path}: start without --resume") from error
    except (RuntimeError, EOFError, OSError, pickle.UnpicklingError) as error:
        raise CheckpointError(
            f"{path} is not a training state of this program: {error}"
        ) from error
    if not isinstance(state, dict) or "step" not in state:
        raise CheckpointError(f"{path} is not a training state of this program: it has no step")
    return state
