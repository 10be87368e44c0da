"""Compiled and converted networks kept between runs, checked before use."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch

from yolact_ros.models.network import Network

__all__ = ["EngineCache", "building_prefix", "engine_key"]

MANIFEST = "manifest.json"
KEY_DIGITS = 20

_logger = logging.getLogger(__name__)

Loaded = TypeVar("Loaded")


def engine_key(kind: str, model: Network, *facts: str) -> str:
    """A folder name that changes with all that a compiled network depends on."""
    digest = hashlib.blake2b(digest_size=KEY_DIGITS // 2)
    machine = (torch.__version__, platform.machine(), torch.backends.cpu.get_cpu_capability())
    config = json.dumps({**model.config.to_dict(), "class_names": None}, sort_keys=True)
    digest.update("\0".join((config, *machine, *facts)).encode())
    for name, tensor in model.state_dict().items():
        digest.update(name.encode())
        contents = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(contents.view(torch.uint8).numpy().tobytes())
    return f"{kind}-{model.config.name}-{model.config.input_size_px}-{digest.hexdigest()}"


def building_prefix(process_id: int) -> str:
    """Begin of the names of folders in which a process builds; gone when they are done."""
    return f".building-{process_id}-"


class EngineCache:
    """Folders of files by key; None as the folder keeps nothing between runs.

    A damaged one is rebuilt.
    """

    def __init__(self, folder: Path | None) -> None:
        self._given_folder = folder
        self._temporary: tempfile.TemporaryDirectory[str] | None = None

    def get(self, key: str, build: Callable[[Path], None]) -> Path:
        """The folder of ``key``; built if it is not there or its files are not what was written.

        Args:
            key: from :func:`engine_key`.
            build: writes the files into the empty folder that it is given.
        """
        target = self.folder / key
        if target.is_dir():
            if self._is_intact(target):
                return target
            _logger.warning("the engine %s is damaged and is built again", target)
            shutil.rmtree(target, ignore_errors=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        prefix = building_prefix(os.getpid())
        with tempfile.TemporaryDirectory(dir=self.folder, prefix=prefix) as name:
            building = Path(name) / key
            building.mkdir()
            build(building)
            digests = {path.name: _digest(path) for path in sorted(building.iterdir())}
            (building / MANIFEST).write_text(json.dumps(digests))
            try:
                os.replace(building, target)
            except OSError:
                # Another process was faster; both built the same.
                if not self._is_intact(target):
                    raise
        return target

    def load(
        self, key: str, build: Callable[[Path], None], load: Callable[[Path], Loaded]
    ) -> Loaded:
        """What is loaded from the folder of ``key``, which is built again where that fails.

        Loading fails, in whatever way, where another version of the library wrote what is there.
        """
        folder = self.get(key, build)
        try:
            return load(folder)
        except Exception as error:
            _logger.warning("the engine %s cannot be loaded (%s); building again", key, error)
            self.discard(key)
            return load(self.get(key, build))

    def discard(self, key: str) -> None:
        """Remove an engine that is intact but cannot be used."""
        shutil.rmtree(self.folder / key, ignore_errors=True)

    def close(self) -> None:
        """Remove what is not to be kept."""
        if self._temporary is not None:
            self._temporary.cleanup()

    @property
    def folder(self) -> Path:
        """Of all engines."""
        if self._given_folder is not None:
            return self._given_folder
        if self._temporary is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="yolact_engines_")
        return Path(self._temporary.name)

    def _is_intact(self, target: Path) -> bool:
        try:
            digests = json.loads((target / MANIFEST).read_text())
            return bool(digests) and all(
                _digest(target / name) == digest for name, digest in digests.items()
            )
        except (OSError, ValueError, AttributeError):
            return False


def _digest(path: Path) -> str:
    return hashlib.blake2b(path.read_bytes()).hexdigest()
