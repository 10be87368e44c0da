"""What a view is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from yolact_ros.ros.camera_info import CameraInfoListener

__all__ = ["Render", "View", "stateless"]

Render = Callable[[Any], object]
"""Makes the message of one frame: a ViewFrame, or a LocatedFrame where the view is in 3D."""


@dataclass(frozen=True)
class View:
    """One lazily computed output.

    Attributes:
        topic: below the camera's prefix.
        make_render: what renders the frames of one camera, given its calibration.
        uses_masks: it is empty without masks.
        uses_camera_info: it looks at the calibration.
    """

    topic: str
    message_type: type
    make_render: Callable[[CameraInfoListener], Render]
    uses_masks: bool = True
    uses_camera_info: bool = False


def stateless(render: Render) -> Callable[[CameraInfoListener], Render]:
    """For a view that renders every frame of every camera alike."""
    return lambda _camera_info: render
