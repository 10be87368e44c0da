"""Mask assembly on the host: only where a mask can be set, straight to packed bits."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from yolact_ros.ops.contours import MASK_THRESHOLD, RowBlocks, pack_rows
from yolact_ros.ops.packing import pack_bits, unpack_bits
from yolact_ros.ops.scratch import Scratch
from yolact_ros.structures import MaskCrop

__all__ = ["assemble_mask_crops"]

CROP_PADDING = 1
# Interpolation matrices are banded: a block of output rows needs few rows of the prototypes and
# skips the zeros of the others.
BLOCK_ROWS = 64
# Enlarged rows that are held at a time, so that they and what is made of them stay in the cache.
MAX_VALUES = 300_000

_EMPTY = MaskCrop(0, 0, 0, 0, np.zeros(0, np.uint8))


def assemble_mask_crops(
    prototypes: NDArray[np.float32],
    coefficients: NDArray[np.float32],
    boxes_xyxy: NDArray[np.float32],
    image_height_px: int,
    image_width_px: int,
    *,
    stride: int = 1,
    scratch: Scratch | None = None,
) -> list[MaskCrop]:
    """Binary masks of one image's instances at its resolution, as bits (YOLACT section 3.2).

    The same masks as ``binarize_masks(assemble_masks(...))``, except where the interpolated value
    is within 1e-4 of the threshold. A rectangle is what its mask can reach: the box plus one pixel
    of the prototypes, enlarged. A mask without a pixel has an empty rectangle.

    On one thread: a second one has to share the interpreter's lock, and cost more than it helped
    (6.1 to 8.6 ms instead of 5.7 ms for 100 masks, with dense interpolation).

    Args:
        prototypes (float32[h, w, k]): of one image.
        coefficients (float32[n, k]): finite.
        boxes_xyxy (float32[n, 4]): finite, relative to the image, corners in either order.
        image_height_px, image_width_px: size of the source image.
        stride: masks change only every so many pixels, which costs less; 1 is full detail.
        scratch: memory to use again; None takes new memory.

    Returns:
        n masks.
    """
    height, width, _ = prototypes.shape
    grid_height, grid_width = -(-image_height_px // stride), -(-image_width_px // stride)
    rows = _reaches(boxes_xyxy[:, 1], boxes_xyxy[:, 3], height, grid_height)
    columns = _reaches(boxes_xyxy[:, 0], boxes_xyxy[:, 2], width, grid_width)
    prototypes = np.ascontiguousarray(prototypes)
    scratch = scratch or Scratch()
    crops = [_EMPTY] * len(boxes_xyxy)
    for portion in _portions(rows, columns):
        scene = _Scene(prototypes, coefficients[portion], rows[portion], columns[portion])
        found = _assemble(scene, grid_height, grid_width, scratch)
        for index, crop in zip(portion.tolist(), found, strict=True):
            crops[index] = crop
    if stride > 1:
        return [_enlarge(crop, stride, image_height_px, image_width_px) for crop in crops]
    return crops


# Columns of a table of reaches along one axis, int64[n, 4]: half-open ranges of what a box crops
# of the prototypes, and of what of the image that can set.
SOURCE_START, SOURCE_STOP, START, STOP = range(4)
_Reaches = NDArray[np.int64]


class _Scene(NamedTuple):
    prototypes: NDArray[np.float32]
    coefficients: NDArray[np.float32]
    rows: _Reaches
    columns: _Reaches


class _Interpolation(NamedTuple):
    """Bilinear enlargement of one axis (``align_corners=False``) from n to N pixels.

    Attributes:
        weights (float32[N, n]): of each source pixel in each output pixel.
        lower: first source pixel of each output pixel; the second one follows it.
    """

    weights: NDArray[np.float32]
    lower: list[int]


@lru_cache(maxsize=32)
def _positions(source_size: int, size: int) -> NDArray[np.float32]:
    """float32[size]: where the output pixels of one axis lie among the source pixels."""
    # In float32 and in this order, as torch computes positions.
    scale = np.float32(source_size) / np.float32(size)
    half = np.float32(0.5)
    positions: NDArray[np.float32] = np.maximum(
        scale * (np.arange(size, dtype=np.float32) + half) - half, 0
    )
    return positions


@lru_cache(maxsize=32)
def _interpolation(source_size: int, size: int) -> _Interpolation:
    positions = _positions(source_size, size)
    lower = np.minimum(positions.astype(np.int64), source_size - 1)
    upper = np.minimum(lower + 1, source_size - 1)
    fraction = positions - lower.astype(np.float32)
    weights = np.zeros((size, source_size), np.float32)
    weights[np.arange(size), lower] = 1 - fraction
    weights[np.arange(size), upper] += fraction
    return _Interpolation(weights, lower.tolist())


def _reaches(
    first: NDArray[np.float32], second: NDArray[np.float32], source_size: int, size: int
) -> _Reaches:
    """What boxes with these relative edges (float32[n]) crop and can set along one axis."""
    source = np.float32(source_size)
    lower = np.clip(np.minimum(first, second) * source - CROP_PADDING, 0, source)
    upper = np.clip(np.maximum(first, second) * source + CROP_PADDING, 0, source)
    start, stop = np.ceil(lower), np.ceil(upper)
    positions = _positions(source_size, size)
    # Beyond these, less than half of an output pixel's weight lies on the crop.
    margin = np.float32(MASK_THRESHOLD)
    first_set = np.searchsorted(positions, start - margin, side="right")
    last_set = np.searchsorted(positions, stop - margin, side="left")
    return np.stack((start, stop, first_set, last_set), axis=1).astype(np.int64)


def _portions(rows: _Reaches, columns: _Reaches) -> list[NDArray[np.int64]]:
    """Indices of the instances that can set a pixel, in portions of bounded size."""
    heights, widths = rows[:, STOP] - rows[:, START], columns[:, STOP] - columns[:, START]
    visible = np.flatnonzero((heights > 0) & (widths > 0))
    sizes = heights * (columns[:, SOURCE_STOP] - columns[:, SOURCE_START])
    portions = np.cumsum(sizes[visible]) // MAX_VALUES
    return [part for part in np.split(visible, np.flatnonzero(np.diff(portions)) + 1) if len(part)]


def _assemble(
    scene: _Scene, grid_height: int, grid_width: int, scratch: Scratch
) -> list[MaskCrop]:
    height, width, _ = scene.prototypes.shape
    rows, columns = scene.rows, scene.columns
    blocks = RowBlocks(
        source_left=columns[:, SOURCE_START] - 1,
        source_width=columns[:, SOURCE_STOP] - columns[:, SOURCE_START] + 2,
        left=columns[:, START],
        width=columns[:, STOP] - columns[:, START],
        height=rows[:, STOP] - rows[:, START],
    )
    soft = _soft_crops(scene, blocks.source_width, scratch)
    values = _enlarge_rows(soft, rows, blocks, _interpolation(height, grid_height), scratch)
    return [
        MaskCrop(left, top, crop_width, crop_height, bits) if bits.size else _EMPTY
        for left, top, crop_width, crop_height, bits in zip(
            blocks.left.tolist(),
            rows[:, START].tolist(),
            blocks.width.tolist(),
            blocks.height.tolist(),
            pack_rows(values, blocks, width, grid_width, scratch),
            strict=True,
        )
    ]


def _soft_crops(
    scene: _Scene, widths: NDArray[np.int64], scratch: Scratch
) -> list[NDArray[np.float32]]:
    """``sigmoid(P C^T)`` of each instance inside its crop, and a column of 0 at either side.

    Returns:
        n arrays float32[crop height, crop width + 2].
    """
    ends = np.cumsum((scene.rows[:, SOURCE_STOP] - scene.rows[:, SOURCE_START]) * widths).tolist()
    # One buffer, so that the sigmoid is a few calls in all and not for every instance.
    values: NDArray[np.float32] = scratch.array("soft", ends[-1], np.float32)
    values.fill(-np.inf)
    crops = []
    begin = 0
    for (top, bottom, *_), (left, right, *_), vector, end in zip(
        scene.rows.tolist(), scene.columns.tolist(), scene.coefficients, ends, strict=True
    ):
        crop = values[begin:end].reshape(bottom - top, right - left + 2)
        np.matmul(scene.prototypes[top:bottom, left:right], vector, out=crop[:, 1:-1])
        crops.append(crop)
        begin = end
    np.fmax(values, -np.inf, out=values)  # huge products may add up to NaN: not set
    # exp(-x) may be infinite or 0; the sigmoid is then 0 or 1.
    cv2.exp(np.negative(values, out=values), values)  # a third of NumPy's time
    np.reciprocal(np.add(values, 1, out=values), out=values)
    return crops


def _enlarge_rows(
    soft: list[NDArray[np.float32]],
    rows: _Reaches,
    blocks: RowBlocks,
    vertical: _Interpolation,
    scratch: Scratch,
) -> NDArray[np.float32]:
    """The crops (zeros around them) interpolated down the image: the values of ``blocks``."""
    ends = np.cumsum(blocks.source_width * blocks.height).tolist()
    values: NDArray[np.float32] = scratch.array("enlarged", ends[-1], np.float32)
    weights, lower = vertical
    first_value = 0
    for crop, (source_top, source_bottom, top, bottom), end_value in zip(
        soft, rows.tolist(), ends, strict=True
    ):
        enlarged = values[first_value:end_value].reshape(bottom - top, crop.shape[1])
        for begin in range(top, bottom, BLOCK_ROWS):
            end = min(begin + BLOCK_ROWS, bottom)
            first = max(lower[begin], source_top)
            last = min(lower[end - 1] + 2, source_bottom)
            np.matmul(
                weights[begin:end, first:last],
                crop[first - source_top : last - source_top],
                out=enlarged[begin - top : end - top],
            )
        first_value = end_value
    return values


def _enlarge(crop: MaskCrop, stride: int, image_height_px: int, image_width_px: int) -> MaskCrop:
    """Each pixel of a mask on a coarser grid as ``stride`` x ``stride`` pixels of the image."""
    left, top = crop.x_offset * stride, crop.y_offset * stride
    mask = unpack_bits(crop.bits, crop.height, crop.width)
    mask = mask.repeat(stride, axis=0)[: image_height_px - top]
    mask = mask.repeat(stride, axis=1)[:, : image_width_px - left]
    return MaskCrop(left, top, mask.shape[1], mask.shape[0], pack_bits(mask))
