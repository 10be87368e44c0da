"""rviz's files for other topics than those they were saved with."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

__all__ = ["NODE", "for_cameras", "for_one_camera"]

NODE = "/yolact"
"""The node whose topics the files in ``config`` show."""
ONE_CAMERA_TOPIC = "/image"
GROUP = "rviz_common/Group"


def for_one_camera(config: dict[str, Any], node: str, image_topic: str) -> dict[str, Any]:
    """``config/yolact.rviz`` with another node and camera.

    Args:
        config: the file's content; not changed.
    """
    renamed: dict[str, Any] = _renamed(
        config, {ONE_CAMERA_TOPIC: image_topic}, {f"{NODE}/": f"{node}/"}
    )
    return renamed


def for_cameras(
    config: dict[str, Any], node: str, image_topics: Mapping[str, str]
) -> dict[str, Any]:
    """``config/multi_camera.rviz`` with a group of displays for each camera.

    The file's first group is the pattern: it has the camera's name, which also begins the names
    of its displays, and shows ``/<camera>/image_raw`` and ``/yolact/<camera>/...``.

    Args:
        config: the file's content; not changed.
        image_topics: resolved name of each camera's topic, by the camera's name.
    """
    adapted = copy.deepcopy(config)
    manager = adapted["Visualization Manager"]
    groups = [display for display in manager["Displays"] if display["Class"] == GROUP]
    others = [display for display in manager["Displays"] if display["Class"] != GROUP]
    pattern = groups[0]
    old = pattern["Name"]
    manager["Displays"] = others + [
        _renamed(
            pattern,
            {old: name, f"/{old}/image_raw": topic},
            {f"{old} ": f"{name} ", f"{NODE}/{old}/": f"{node}/{name}/"},
        )
        for name, topic in image_topics.items()
    ]
    return adapted


def _renamed(value: Any, exact: Mapping[str, str], prefixes: Mapping[str, str]) -> Any:
    """The value with every string in it renamed."""
    if isinstance(value, dict):
        return {key: _renamed(item, exact, prefixes) for key, item in value.items()}
    if isinstance(value, list):
        return [_renamed(item, exact, prefixes) for item in value]
    if not isinstance(value, str):
        return value
    if value in exact:
        return exact[value]
    for old, new in prefixes.items():
        if value.startswith(old):
            return new + value.removeprefix(old)
    return value
