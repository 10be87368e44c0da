"""The folder that a measurement leaves: numbers as JSON, pictures beside it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from yolact_ros.errors import ConfigError

__all__ = ["make_output_folder", "write_bytes", "write_json", "write_text"]


def make_output_folder(folder: Path) -> Path:
    """The folder, made if it is missing; found out before hours are measured for nothing.

    Raises:
        ConfigError: it cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be made: {error.strerror}") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigError(f"{folder}: cannot be written to; name another folder")
    return folder


def write_text(path: Path, text: str) -> None:
    """Write a text as UTF-8, as :func:`write_bytes`."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file; a reader, and a kill at any moment, finds the old content or the new one.

    Raises:
        ConfigError: the file cannot be written.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_bytes(data)
        os.replace(partial, path)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}") from error


def write_json(
    path: Path, values: Mapping[str, object] | Sequence[object], *, indent: int | None = 1
) -> None:
    """Write what consists of plain JSON types, as :func:`write_text`.

    Args:
        path: of the file.
        values: to write.
        indent: None for much: in one line, which takes a quarter of the time.

    Raises:
        ConfigError: the file cannot be written.
    """
    write_text(path, json.dumps(values, indent=indent) + "\n")
