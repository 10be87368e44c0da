"""Mask assembly on the host: only where a mask can be set, straight to packed bits."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Executor
from contextlib import suppress
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from yolact_ros.ops.packing import pack_bits
from yolact_ros.structures import MaskCrop

__all__ = ["assemble_mask_crops"]

CROP_PADDING = 1
MASK_THRESHOLD = 0.5
# Interpolation matrices are banded, so a block of output pixels needs few prototype pixels and
# skips the zeros. Enlarging 100 masks to 640x480 on one core: 9.8 ms as whole matrix products,
# 3.6 ms in these blocks.
BLOCK_COLUMNS = 128
BLOCK_ROWS = 48
# With fewer prototype pixels in all crops, a second thread saves nothing.
MIN_PARALLEL_PIXELS = 100_000
# Instances that a thread takes at a time when two share the work.
PORTION = 8


def assemble_mask_crops(
    prototypes: NDArray[np.float32],
    coefficients: NDArray[np.float32],
    boxes_xyxy: NDArray[np.float32],
    image_height_px: int,
    image_width_px: int,
    *,
    stride: int = 1,
    executor: Executor | None = None,
) -> list[MaskCrop]:
    """Binary masks of one image's instances at its resolution, as bits (YOLACT section 3.2).

    The same masks as ``binarize_masks(assemble_masks(...))``, except where the interpolated value
    is within 1e-4 of the threshold. A rectangle is what its mask can reach: the box plus one pixel
    of the prototypes, enlarged. A mask without a pixel has an empty rectangle.

    Args:
        prototypes (float32[h, w, k]): of one image.
        coefficients (float32[n, k]): finite.
        boxes_xyxy (float32[n, 4]): finite, relative to the image, corners in either order.
        image_height_px, image_width_px: size of the source image.
        stride: masks change only every so many pixels, which costs less; 1 is full detail.
        executor: helps where there is enough work for two threads.

    Returns:
        n masks.
    """
    height, width, _ = prototypes.shape
    grid_height, grid_width = -(-image_height_px // stride), -(-image_width_px // stride)
    columns = _reaches(boxes_xyxy[:, 0], boxes_xyxy[:, 2], width, grid_width)
    rows = _reaches(boxes_xyxy[:, 1], boxes_xyxy[:, 3], height, grid_height)
    work = [
        _Instance(row, column, vector)
        for row, column, vector in zip(rows, columns, coefficients, strict=True)
    ]
    target = _Target(
        np.ascontiguousarray(prototypes),
        _interpolation(height, grid_height),
        _interpolation(width, grid_width),
        _Grid(stride, image_height_px, image_width_px),
    )
    if executor is None or sum(item.size for item in work) < MIN_PARALLEL_PIXELS:
        return _assemble(target, work)
    return _assemble_with_help(target, work, executor)


class _Interpolation(NamedTuple):
    """Bilinear enlargement of one axis (``align_corners=False``) from n to N pixels.

    Attributes:
        weights (float32[N, n]): of each source pixel in each output pixel.
        weights_transposed (float32[n, N]): the same, contiguous this way round.
        positions (float32[N]): of the output pixels among the source pixels.
        lower: first source pixel of each output pixel; the second one follows it.
    """

    weights: NDArray[np.float32]
    weights_transposed: NDArray[np.float32]
    positions: NDArray[np.float32]
    lower: list[int]


class _Reach(NamedTuple):
    """Half-open ranges of one axis: what is cropped, and what of the image it can set."""

    source_start: int
    source_stop: int
    start: int
    stop: int


class _Instance(NamedTuple):
    rows: _Reach
    columns: _Reach
    coefficients: NDArray[np.float32]

    @property
    def size(self) -> int:
        """Prototype pixels in the crop."""
        rows, columns = self.rows, self.columns
        return (rows.source_stop - rows.source_start) * (
            columns.source_stop - columns.source_start
        )


class _Grid(NamedTuple):
    """Mask values lie on every ``stride``-th pixel of the image."""

    stride: int
    image_height_px: int
    image_width_px: int


class _Target(NamedTuple):
    prototypes: NDArray[np.float32]
    vertical: _Interpolation
    horizontal: _Interpolation
    grid: _Grid


@lru_cache(maxsize=32)
def _interpolation(source_size: int, size: int) -> _Interpolation:
    # In float32 and in this order, as torch computes positions.
    scale = np.float32(source_size) / np.float32(size)
    half = np.float32(0.5)
    positions = np.maximum(scale * (np.arange(size, dtype=np.float32) + half) - half, 0)
    lower = np.minimum(positions.astype(np.int64), source_size - 1)
    upper = np.minimum(lower + 1, source_size - 1)
    fraction = positions - lower.astype(np.float32)
    weights = np.zeros((size, source_size), np.float32)
    weights[np.arange(size), lower] = 1 - fraction
    weights[np.arange(size), upper] += fraction
    return _Interpolation(weights, np.ascontiguousarray(weights.T), positions, lower.tolist())


def _reaches(
    first: NDArray[np.float32], second: NDArray[np.float32], source_size: int, size: int
) -> list[_Reach]:
    """What boxes with these relative edges (float32[n]) crop and can set along one axis."""
    source = np.float32(source_size)
    lower = np.clip(np.minimum(first, second) * source - CROP_PADDING, 0, source)
    upper = np.clip(np.maximum(first, second) * source + CROP_PADDING, 0, source)
    start, stop = np.ceil(lower), np.ceil(upper)
    positions = _interpolation(source_size, size).positions
    # Beyond these, less than half of an output pixel's weight lies on the crop.
    margin = np.float32(MASK_THRESHOLD)
    first_set = np.searchsorted(positions, start - margin, side="right")
    last_set = np.searchsorted(positions, stop - margin, side="left")
    edges = (start.astype(np.int64), stop.astype(np.int64), first_set, last_set)
    return [_Reach(*values) for values in zip(*(e.tolist() for e in edges), strict=True)]


def _assemble(target: _Target, instances: list[_Instance]) -> list[MaskCrop]:
    soft = _soft_crops(target.prototypes, instances)
    return [_enlarge(target, *pair) for pair in zip(instances, soft, strict=True)]


def _assemble_with_help(
    target: _Target, instances: list[_Instance], executor: Executor
) -> list[MaskCrop]:
    """:func:`_assemble` on two threads, which take portions until none is left.

    So a helper that other programs keep from running delays nothing: this thread does its share.
    """
    masks: dict[int, list[MaskCrop]] = {}
    begins = deque(range(0, len(instances), PORTION))

    def take_portions() -> None:
        while begins:
            with suppress(IndexError):  # the other thread may have taken the last one just now
                begin = begins.popleft()
                masks[begin] = _assemble(target, instances[begin : begin + PORTION])

    helper = executor.submit(take_portions)
    take_portions()
    if not helper.cancel():
        helper.result()
    return [mask for begin in sorted(masks) for mask in masks[begin]]


def _soft_crops(
    prototypes: NDArray[np.float32], instances: list[_Instance]
) -> list[NDArray[np.float32]]:
    """``sigmoid(P C^T)`` of each instance inside its crop: float32[crop height, crop width]."""
    ends = np.cumsum([item.size for item in instances], dtype=np.int64).tolist()
    # One buffer, so that the sigmoid is four calls in all and not four for every instance.
    values = np.empty(ends[-1] if ends else 0, np.float32)
    crops = []
    for item, end in zip(instances, ends, strict=True):
        rows, columns = item.rows, item.columns
        crop = values[end - item.size : end].reshape(
            rows.source_stop - rows.source_start, columns.source_stop - columns.source_start
        )
        inside = prototypes[
            rows.source_start : rows.source_stop, columns.source_start : columns.source_stop
        ]
        np.matmul(inside, item.coefficients, out=crop)
        crops.append(crop)
    # exp(-x) may be infinite or 0; the sigmoid is then 0 or 1.
    with np.errstate(over="ignore", under="ignore"):
        np.exp(np.negative(values, out=values), out=values)
    np.reciprocal(np.add(values, 1, out=values), out=values)
    return crops


def _enlarge(target: _Target, item: _Instance, soft: NDArray[np.float32]) -> MaskCrop:
    """Interpolate a cropped soft mask (zeros around it) and pack where it is above 0.5."""
    source_top, source_bottom, top, bottom = item.rows
    source_left, source_right, left, right = item.columns
    if right <= left or bottom <= top or soft.size == 0:
        return MaskCrop(0, 0, 0, 0, np.zeros(0, np.uint8))
    weights, lower = target.horizontal.weights_transposed, target.horizontal.lower
    wide = np.empty((soft.shape[0], right - left), np.float32)
    for begin in range(left, right, BLOCK_COLUMNS):
        end = min(begin + BLOCK_COLUMNS, right)
        first = max(lower[begin], source_left)
        last = min(lower[end - 1] + 2, source_right)
        np.matmul(
            soft[:, first - source_left : last - source_left],
            weights[first:last, begin:end],
            out=wide[:, begin - left : end - left],
        )
    weights, lower = target.vertical.weights, target.vertical.lower
    mask = np.empty((bottom - top, right - left), np.bool_)
    for begin in range(top, bottom, BLOCK_ROWS):
        end = min(begin + BLOCK_ROWS, bottom)
        first = max(lower[begin], source_top)
        last = min(lower[end - 1] + 2, source_bottom)
        block = weights[begin:end, first:last] @ wide[first - source_top : last - source_top]
        np.greater(block, MASK_THRESHOLD, out=mask[begin - top : end - top])
    return _pack(mask, left, top, target.grid)


def _pack(mask: NDArray[np.bool_], x_offset: int, y_offset: int, grid: _Grid) -> MaskCrop:
    stride = grid.stride
    if stride > 1:
        x_offset, y_offset = x_offset * stride, y_offset * stride
        mask = mask.repeat(stride, axis=0)[: grid.image_height_px - y_offset]
        mask = mask.repeat(stride, axis=1)[:, : grid.image_width_px - x_offset]
    if not mask.any():
        return MaskCrop(0, 0, 0, 0, np.zeros(0, np.uint8))
    return MaskCrop(x_offset, y_offset, mask.shape[1], mask.shape[0], pack_bits(mask))
