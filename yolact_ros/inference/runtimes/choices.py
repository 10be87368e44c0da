"""The runtimes that ``auto`` chose, in a file of the engine cache."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

from yolact_ros.inference.runtimes.names import RUNTIMES

__all__ = ["keep_choice", "read_choice"]

CHOICES_FILE = "auto.json"

_logger = logging.getLogger(__name__)


def read_choice(folder: Path | None, key: str) -> str:
    """Name of the runtime that was kept under a key; empty if none."""
    name = _read(folder).get(key, "")
    return name if name in RUNTIMES[1:] else ""


def keep_choice(folder: Path | None, key: str, name: str) -> None:
    """Keep a runtime's name; a folder that cannot be written to is only warned of."""
    if folder is None:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        temporary = folder / f".{CHOICES_FILE}.{os.getpid()}"
        temporary.write_text(json.dumps(_read(folder) | {key: name}, indent=1))
        os.replace(temporary, folder / CHOICES_FILE)
    except OSError as error:
        _logger.warning("the choice of the runtime cannot be kept in %s: %s", folder, error)


def _read(folder: Path | None) -> dict[str, str]:
    if folder is None:
        return {}
    try:
        choices = json.loads((folder / CHOICES_FILE).read_text())
    except (OSError, ValueError):
        return {}
    return choices if isinstance(choices, dict) else {}
