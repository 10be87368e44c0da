"""Finds the image files that a COCO file names, whoever wrote the names."""

from __future__ import annotations

import os
import re
from functools import cached_property
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from yolact_ros.errors import ImageError
from yolact_ros.inference.image_file import image_size_px

__all__ = ["ImageFolder", "image_size", "portable_name"]

ABSOLUTE = re.compile(r"/|[A-Za-z]:/")


def portable_name(file_name: str) -> str:
    """A file name with / between folders and without ./ before it."""
    return file_name.replace("\\", "/").removeprefix("./")


def image_size(path: Path) -> tuple[int, int] | None:
    """Height and width of an image file in pixels, as displayed; None where it is no image."""
    try:
        return image_size_px(path)
    except ImageError:
        return None


class ImageFolder:
    """A folder of images that names are relative to."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, file_name: str) -> Path | None:
        """The file of that name; None where there is none.

        A name that is not there is also looked for with its %20 decoded and in other letter case,
        and an absolute one, or one that begins with the folder's own name, by its last parts. It
        is found where only one file can be meant.
        """
        if not file_name:
            return None
        path = self._folder / file_name
        if _is_file(path):
            return path
        parts = PurePosixPath(unquote(file_name)).parts
        first = 1 if ABSOLUTE.match(file_name) else 0
        is_short = not first and parts[:1] != (self._folder.resolve().name,)
        for start in range(first, 1 if is_short else len(parts)):
            found = self._files.get("/".join(parts[start:]).casefold(), [])
            if len(found) == 1:
                return self._folder / found[0]
        return None

    @cached_property
    def _files(self) -> dict[str, list[str]]:
        """Relative paths of all files by themselves in lower case."""
        files: dict[str, list[str]] = {}
        for folder, _, names in os.walk(self._folder):
            for name in names:
                relative = (Path(folder) / name).relative_to(self._folder).as_posix()
                files.setdefault(relative.casefold(), []).append(relative)
        return files


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # longer than a file name can be, or with a zero byte
        return False
