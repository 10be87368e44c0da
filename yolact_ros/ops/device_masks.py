"""Mask assembly on the device: shapes that never change, straight to packed bits.

The masks of a frame are one string of bytes, the bits of each (those of a
:class:`~yolact_ros.structures.MaskCrop`) directly behind those of the one before. Where a mask
begins follows from the rectangles, so the host cuts masks out of the string and repacks nothing.
The string has no largest length, so it is made in windows of ``WINDOW_BYTES``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from yolact_ros.ops.crops import CROP_PADDING
from yolact_ros.ops.masks import crop_masks, mask_logits
from yolact_ros.structures import MaskCrop

__all__ = [
    "WINDOW_BYTES",
    "MaskGrid",
    "crop_bytes",
    "crops_from_bits",
    "mask_planes",
    "mask_rectangles",
    "window_bits",
]

# 2.1 million pixels: nearly seven whole masks of 640x480, one of 1920x1080. A window takes 10 us
# over PCIe at 25 GB/s; docs/gpu.md has the arithmetic.
WINDOW_BYTES = 1 << 18
BITS = 8
HALF = 0.5


class MaskGrid(NamedTuple):
    """Where mask values lie in the image; tensors, so that no shape depends on them.

    Attributes:
        height_px, width_px (Tensor[]): int32, size of the source image, below 85 million pixels.
        stride (Tensor[]): int32, masks change only every so many pixels.
    """

    height_px: Tensor
    width_px: Tensor
    stride: Tensor


def mask_planes(
    prototypes: Tensor, coefficients: Tensor, boxes_xyxy: Tensor, *, crop_in_image: bool
) -> Tensor:
    """What is enlarged, one contiguous plane per instance; above 0 a mask is set.

    Args:
        prototypes, coefficients, boxes_xyxy: as for
            :func:`~yolact_ros.ops.masks.assemble_masks`.
        crop_in_image: logits of the whole image; else
            :func:`~yolact_ros.ops.masks.assemble_masks` less one half.

    Returns:
        Tensor[n, h, w]
    """
    logits = mask_logits(prototypes, coefficients, boxes_xyxy)
    return logits if crop_in_image else crop_masks(torch.sigmoid(logits), boxes_xyxy) - HALF


def mask_rectangles(
    boxes_xyxy: Tensor,
    count: Tensor,
    prototype_size: tuple[int, int],
    grid: MaskGrid,
    *,
    crop_in_image: bool,
) -> Tensor:
    """The rectangles that the masks of these boxes can reach.

    Args:
        boxes_xyxy (Tensor[n, 4]): finite, relative to the image.
        count (Tensor[]): only the first so many rows have a rectangle.
        crop_in_image: the boxes themselves; else one pixel of the prototypes more.

    Returns:
        Tensor[n, 4]: int32, x offset, y offset, width, height in source-image pixels; all 0 where
        there is no rectangle.
    """
    x_min, y_min, x_max, y_max = boxes_xyxy.unbind(1)
    if crop_in_image:
        top, bottom = _reach_in_image(y_min, y_max, grid.height_px, grid.stride)
        left, right = _reach_in_image(x_min, x_max, grid.width_px, grid.stride)
    else:
        top, bottom = _reach(y_min, y_max, prototype_size[0], grid.height_px, grid.stride)
        left, right = _reach(x_min, x_max, prototype_size[1], grid.width_px, grid.stride)
    rectangles = torch.stack((left, top, right - left, bottom - top), dim=1)
    rows = torch.arange(len(boxes_xyxy), device=boxes_xyxy.device)
    present = (right > left) & (bottom > top) & (rows < count)
    return rectangles.where(present[:, None], 0)


def window_bits(planes: Tensor, rectangles: Tensor, grid: MaskGrid, first_byte: Tensor) -> Tensor:
    """One window of the string of bits.

    Each byte looks up its mask, and each of its bits interpolates four values of its plane
    (bilinear, ``align_corners=False``), so only pixels inside rectangles are ever computed.

    Args:
        planes (Tensor[n, h, w]): from :func:`mask_planes`.
        rectangles (Tensor[n, 4]): from :func:`mask_rectangles` with the same grid.
        first_byte (Tensor[]): int32, of the window in the string.

    Returns:
        Tensor[WINDOW_BYTES]: uint8; 0 behind the end of the string.
    """
    device = planes.device
    num_masks, height, width = planes.shape
    num_pixels = rectangles[:, 2] * rectangles[:, 3]
    num_bytes = (num_pixels + (BITS - 1)) // BITS
    ends = num_bytes.cumsum(0, dtype=torch.int32)
    byte = torch.arange(WINDOW_BYTES, dtype=torch.int32, device=device) + first_byte
    owner = torch.searchsorted(ends, byte, right=True, out_int32=True)
    is_used = owner < num_masks
    owner = owner.clamp(max=num_masks - 1)
    first_pixel = (byte - (ends - num_bytes)[owner]) * BITS
    place = torch.arange(BITS, dtype=torch.int32, device=device)
    pixel = first_pixel[:, None] + place
    left, top, mask_width, _ = (column[:, None] for column in rectangles[owner].unbind(1))
    mask_width = mask_width.clamp(min=1)
    row = pixel // mask_width
    column = pixel - row * mask_width
    is_inside = is_used[:, None] & (pixel < num_pixels[owner][:, None])

    y_first, y_second, y_fraction = _taps(top + row, height, grid.height_px, grid.stride)
    x_first, x_second, x_fraction = _taps(left + column, width, grid.width_px, grid.stride)
    values = planes.reshape(-1)
    plane = owner[:, None] * (height * width)
    first_row, second_row = plane + y_first * width, plane + y_second * width
    above = torch.lerp(values[first_row + x_first], values[first_row + x_second], x_fraction)
    below = torch.lerp(values[second_row + x_first], values[second_row + x_second], x_fraction)
    is_set = (torch.lerp(above, below, y_fraction) > 0) & is_inside
    return (is_set.int() << (BITS - 1 - place)).sum(dim=1).to(torch.uint8)


def crop_bytes(rectangles: NDArray[np.int32]) -> int:
    """Length of the string of bits of these masks (int32[n, 4])."""
    pixels = rectangles[:, 2].astype(np.int64) * rectangles[:, 3]
    return int(((pixels + BITS - 1) // BITS).sum())


def crops_from_bits(rectangles: NDArray[np.int32], bits: NDArray[np.uint8]) -> list[MaskCrop]:
    """Cut the string of bits (uint8, at least ``crop_bytes``) into n masks, which keep its memory.

    A mask without a pixel has an empty rectangle. ``rectangles`` are those of
    :func:`mask_rectangles` (int32[n, 4]).
    """
    crops = []
    begin = 0
    for x_offset, y_offset, width, height in rectangles.tolist():
        end = begin + (width * height + BITS - 1) // BITS
        own = bits[begin:end]
        begin = end
        if own.any():
            crops.append(MaskCrop(x_offset, y_offset, width, height, own))
        else:
            crops.append(MaskCrop(0, 0, 0, 0, np.zeros(0, np.uint8)))
    return crops


def _reach(
    first: Tensor, second: Tensor, source_size: int, image_px: Tensor, stride: Tensor
) -> tuple[Tensor, Tensor]:
    """What of one axis boxes can set; half-open, int32, in pixels of the image."""
    size = (image_px + stride - 1) // stride
    lower = torch.minimum(first, second) * source_size - CROP_PADDING
    upper = torch.maximum(first, second) * source_size + CROP_PADDING
    start, stop = (edge.clamp(0, source_size).ceil() for edge in (lower, upper))
    # Beyond these, less than half of an output pixel's weight lies on the crop.
    begin = _count_positions(start - HALF, source_size, size, inclusive=True)
    end = _count_positions(stop - HALF, source_size, size, inclusive=False)
    return begin * stride, torch.minimum(end * stride, image_px)


def _reach_in_image(
    first: Tensor, second: Tensor, image_px: Tensor, stride: Tensor
) -> tuple[Tensor, Tensor]:
    """The pixels of one axis that lie inside of boxes; half-open, int32."""
    size = (image_px + stride - 1) // stride
    edges = (torch.minimum(first, second), torch.maximum(first, second))
    begin, end = ((edge.clamp(0, 1) * size).ceil().int() * stride for edge in edges)
    return begin, torch.minimum(end, image_px)


def _count_positions(limit: Tensor, source_size: int, size: Tensor, *, inclusive: bool) -> Tensor:
    """How many of the ``size`` output pixels lie below (or at) a position among the source's."""
    scale = _scale(source_size, size)
    # Solved for the pixel, which rounding can put one too far, so its neighbours are looked at.
    guess = ((limit + 0.5) / scale - 0.5).floor().int() - 1
    pixels = guess[:, None] + torch.arange(3, dtype=torch.int32, device=limit.device)
    positions = _positions(pixels, scale)
    below = positions <= limit[:, None] if inclusive else positions < limit[:, None]
    count = guess + below.sum(dim=1, dtype=torch.int32)
    return torch.minimum(count.clamp(min=0), size)


def _taps(
    pixels: Tensor, source_size: int, image_px: Tensor, stride: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The two source pixels of each image pixel, and the weight of the second."""
    size = (image_px + stride - 1) // stride
    positions = _positions(pixels // stride, _scale(source_size, size))
    first = positions.int().clamp(max=source_size - 1)
    return first, (first + 1).clamp(max=source_size - 1), positions - first


def _scale(source_size: int, size: Tensor) -> Tensor:
    """Source pixels per output pixel, float32; ``number / tensor`` would round twice."""
    return torch.full_like(size, source_size, dtype=torch.float32) / size


def _positions(pixels: Tensor, scale: Tensor) -> Tensor:
    """Of output pixels among the source pixels, in float32 and in torch's order."""
    return (scale * (pixels.float() + 0.5) - 0.5).clamp(min=0)
