"""Where an image lies in the square input of a network."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["Placement", "place_image"]


@dataclass(frozen=True)
class Placement:
    """The rectangle of the input that shows the image; the rest is border.

    Attributes:
        side_px: of the input.
        left_px, top_px, width_px, height_px: the rectangle in whole pixels of the input.
        scale_x, scale_y: pixels of the input for one of the image, before rounding.
        image_width_px, image_height_px: size of the image.
    """

    side_px: int
    left_px: int
    top_px: int
    width_px: int
    height_px: int
    scale_x: float
    scale_y: float
    image_width_px: int
    image_height_px: int

    @property
    def fills_input(self) -> bool:
        """Whether there is no border."""
        return self.width_px == self.side_px == self.height_px

    def to_image(self, boxes_xyxy: NDArray[np.float32]) -> NDArray[np.float32]:
        """Boxes relative to the input as boxes relative to the image: float32[n, 4] both."""
        if self.fills_input:
            return boxes_xyxy
        size_px = (self.image_width_px * self.scale_x, self.image_height_px * self.scale_y)
        first = np.array((self.left_px, self.top_px) * 2, np.float32)
        relative: NDArray[np.float32] = boxes_xyxy * np.float32(self.side_px) - first
        relative /= np.array(size_px * 2, np.float32)
        return relative

    def crop(self, prototypes: NDArray[np.float32]) -> NDArray[np.float32]:
        """The cells of prototypes (float32[h, w, k], of the whole input) that show the image."""
        if self.fills_input:
            return prototypes
        height, width, _ = prototypes.shape
        left, right = _cells(width, self.side_px, self.image_width_px * self.scale_x)
        top, bottom = _cells(height, self.side_px, self.image_height_px * self.scale_y)
        return prototypes[top:bottom, left:right]


@lru_cache(maxsize=64)
def place_image(
    image_height_px: int, image_width_px: int, side_px: int, *, keep_aspect_ratio: bool
) -> Placement:
    """Fill the input, which changes the aspect ratio, or keep it and leave a border (letterbox).

    A letterbox is rounded as Ultralytics' is: with an odd border the larger half is at the right
    and at the bottom.
    """
    if not keep_aspect_ratio:
        scales = side_px / image_width_px, side_px / image_height_px
        return Placement(side_px, 0, 0, side_px, side_px, *scales, image_width_px, image_height_px)
    scale = min(side_px / image_height_px, side_px / image_width_px)
    width_px = max(1, round(image_width_px * scale))
    height_px = max(1, round(image_height_px * scale))
    left_px, top_px = _before(side_px - width_px), _before(side_px - height_px)
    return Placement(
        side_px,
        left_px,
        top_px,
        width_px,
        height_px,
        scale,
        scale,
        image_width_px,
        image_height_px,
    )


def _before(border: float) -> int:
    """The part of a border that stands before the image."""
    return round(border / 2 - 0.1)


def _cells(num_cells: int, side_px: int, size_px: float) -> tuple[int, int]:
    """First and last + 1 of the cells that show a length of the input."""
    border = num_cells - round(size_px * num_cells / side_px)
    return _before(border), num_cells - round(border / 2 + 0.1)
