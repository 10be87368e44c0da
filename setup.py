"""pip's way to install the part that needs no ROS; colcon uses CMakeLists.txt."""

from __future__ import annotations

from pathlib import Path

from setuptools import setup

_ROOT = Path(__file__).parent


def _data_files() -> list[tuple[str, list[str]]]:
    """config/, models/ and msg/ below share/yolact_ros, where a colcon install has them too."""
    found: dict[str, list[str]] = {}
    for top in ("config", "models", "msg"):
        for path in sorted((_ROOT / top).rglob("*")):
            if path.is_file():
                relative = path.relative_to(_ROOT)
                target = f"share/yolact_ros/{relative.parent}"
                found.setdefault(target, []).append(str(relative))
    return sorted(found.items())


setup(data_files=_data_files())
