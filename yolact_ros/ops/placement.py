"""Where an image lies in the input of a network."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from yolact_ros.config import InputShape
from yolact_ros.ops.enlargement import Span

__all__ = ["Placement", "PrototypeCrop", "place_image"]


class PrototypeCrop(NamedTuple):
    """The prototypes that an image lies on, and where.

    Attributes:
        prototypes (float32[h, w, k]): every cell that a pixel of the image depends on.
        rows, columns: where the image's edges lie among these cells.
    """

    prototypes: NDArray[np.float32]
    rows: Span
    columns: Span


@dataclass(frozen=True)
class Placement:
    """The rectangle of the input that shows the image; the rest is border.

    Attributes:
        left_px, top_px, width_px, height_px: the rectangle in whole pixels of the input.
    """

    input_height_px: int
    input_width_px: int
    left_px: int
    top_px: int
    width_px: int
    height_px: int

    @property
    def fills_input(self) -> bool:
        return (self.height_px, self.width_px) == (self.input_height_px, self.input_width_px)

    def to_image(self, boxes_xyxy: NDArray[np.float32]) -> NDArray[np.float32]:
        """Boxes relative to the input as boxes relative to the image: float32[n, 4] both."""
        if self.fills_input:
            return boxes_xyxy
        inputs_px = np.array((self.input_width_px, self.input_height_px) * 2, np.float32)
        first_px = np.array((self.left_px, self.top_px) * 2, np.float32)
        shown_px = np.array((self.width_px, self.height_px) * 2, np.float32)
        relative: NDArray[np.float32] = (boxes_xyxy * inputs_px - first_px) / shown_px
        return relative

    def crop(self, prototypes: NDArray[np.float32]) -> PrototypeCrop:
        """What prototypes of the whole input (float32[h, w, k]) have of the image."""
        height, width, _ = prototypes.shape
        top, bottom, rows = _cells(height, self.input_height_px, self.top_px, self.height_px)
        left, right, columns = _cells(width, self.input_width_px, self.left_px, self.width_px)
        return PrototypeCrop(prototypes[top:bottom, left:right], rows, columns)


@lru_cache(maxsize=64)
def place_image(
    image_height_px: int, image_width_px: int, shape: InputShape, *, keep_aspect_ratio: bool
) -> Placement:
    """Fill the input, which changes the aspect ratio, or keep it and leave a border (letterbox).

    A letterbox is rounded as Ultralytics' (8.4) is: with an odd border the larger half is at the
    right and at the bottom. Where the input's size is free it loses whole strides of border.
    """
    height_px, width_px = shape.height_px, shape.width_px
    if not keep_aspect_ratio:
        return Placement(height_px, width_px, 0, 0, width_px, height_px)
    scale = min(height_px / image_height_px, width_px / image_width_px)
    shown_width_px = max(1, round(image_width_px * scale))
    shown_height_px = max(1, round(image_height_px * scale))
    border_x_px, border_y_px = width_px - shown_width_px, height_px - shown_height_px
    if shape.stride_px:
        border_x_px = max(border_x_px % shape.stride_px, shape.least_px - shown_width_px)
        border_y_px = max(border_y_px % shape.stride_px, shape.least_px - shown_height_px)
    return Placement(
        shown_height_px + border_y_px,
        shown_width_px + border_x_px,
        _before(border_x_px),
        _before(border_y_px),
        shown_width_px,
        shown_height_px,
    )


def _before(border_px: int) -> int:
    """The part of a border that stands before the image."""
    return round(border_px / 2 - 0.1)


def _cells(num_cells: int, input_px: int, first_px: int, shown_px: int) -> tuple[int, int, Span]:
    """First and last + 1 of the cells to take along one axis, and where the image lies in them.

    Border cells stay out where the image's edges are between cells. Where they are not, a pixel at
    the edge also depends on the next cell.
    """
    start, length = first_px * num_cells / input_px, shown_px * num_cells / input_px
    margin = 0.0 if start.is_integer() and length.is_integer() else 0.5
    first = max(math.floor(start - margin), 0)
    last = min(math.ceil(start + length + margin), num_cells)
    return first, last, Span(last - first, start - first, length)
