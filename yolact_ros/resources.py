"""Files that come with the package beside its modules: models, configuration."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import yolact_ros

__all__ = ["cache_folder", "find_resource", "resource_folders"]


def cache_folder(content: str) -> Path:
    """The folder of ``content`` ("models", "engines", "bags") below ``~/.cache/yolact_ros``.

    ``$YOLACT_ROS_CACHE`` replaces that, ``$XDG_CACHE_HOME`` replaces ``~/.cache``. A user without
    a home folder, as in a container that runs under a mere number, has one in the folder for
    temporary files.
    """
    if override := os.environ.get("YOLACT_ROS_CACHE"):
        return Path(override).expanduser() / content
    try:
        base = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    except RuntimeError:
        base = Path(tempfile.gettempdir(), f"cache-{os.getuid()}")
    return base / "yolact_ros" / content


def resource_folders() -> Iterator[Path]:
    """Folders that may hold ``models`` and ``config``, the likeliest first.

    ``share/yolact_ros`` in each folder above the package (colcon's and pip's prefix), then the
    folder beside the package (a source checkout).
    """
    # colcon --symlink-install links every file to the checkout: look around the link first.
    package = Path(yolact_ros.__file__).parent
    for folder in dict.fromkeys((package, package.resolve())):
        for parent in folder.parents:
            if (parent / "share" / "yolact_ros").is_dir():
                yield parent / "share" / "yolact_ros"
                break
        yield folder.parent


def find_resource(relative: str) -> Path | None:
    """The file or folder at ``relative``, for example "config/fastdds.xml"; None if not there."""
    for folder in resource_folders():
        if (folder / relative).exists():
            return folder / relative
    return None
