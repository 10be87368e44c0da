"""A processed frame as the views see it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from yolact_ros.inference.cdr import MessageHeader
from yolact_ros.palette import ColorBy, PaletteName
from yolact_ros.prediction import Prediction
from yolact_ros.visualization import Trails, draw_overlay

__all__ = ["ViewFrame"]


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
