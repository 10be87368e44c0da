"""What a view is, and a processed frame as the views see it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from yolact_ros.inference.cdr import MessageHeader
from yolact_ros.palette import ColorBy, PaletteName
from yolact_ros.prediction import Prediction
from yolact_ros.ros.camera_info import CameraInfoListener
from yolact_ros.visualization import Trails, draw_overlay

__all__ = ["View", "ViewFrame", "stateless"]

Render = Callable[[Any], object]
"""Makes the message of one frame: a ViewFrame, or a LocatedFrame where the view is in 3D."""


@dataclass(frozen=True)
class View:
    """One lazily computed output.

    Attributes:
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


@dataclass
class ViewFrame:
    """A processed frame for the views.

    Attributes:
        image_bgr (uint8[H, W, 3]): the image.
        color_by: whether classes or objects have the colours.
    """

    header: MessageHeader
    image_bgr: NDArray[np.uint8]
    prediction: Prediction
    palette: PaletteName = "vivid"
    color_by: ColorBy = "class"
    trails: Trails = field(default_factory=dict, repr=False)

    @cached_property
    def overlay_bgr(self) -> NDArray[np.uint8]:
        """The image with masks, boxes and names (uint8[H, W, 3]); drawn once for all views."""
        return draw_overlay(
            self.image_bgr,
            self.prediction,
            palette=self.palette,
            color_by=self.color_by,
            trails=self.trails,
        )
