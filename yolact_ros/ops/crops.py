"""Mask assembly on the host: only where a mask can be set, straight to packed bits."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from yolact_ros.ops.contours import OUTSIDE, Enlargement, Reach, pack_masks
from yolact_ros.ops.cosines import SCALE, box_cosines
from yolact_ros.ops.enlargement import Span, enlarged_positions
from yolact_ros.ops.packing import pack_bits, unpack_bits
from yolact_ros.ops.scratch import Scratch
from yolact_ros.structures import MaskCrop

__all__ = ["CROP_PADDING", "assemble_mask_crops"]

CROP_PADDING = 1
# Pixels of prototypes times instances that are assembled together.
MAX_VALUES = 2_000_000

_EMPTY = MaskCrop(0, 0, 0, 0, np.zeros(0, np.uint8))


def assemble_mask_crops(
    prototypes: NDArray[np.float32],
    coefficients: NDArray[np.float32],
    boxes_xyxy: NDArray[np.float32],
    image_height_px: int,
    image_width_px: int,
    *,
    stride: int = 1,
    shown: tuple[Span, Span] | None = None,
    crop_in_image: bool = False,
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
        coefficients (float32[n, k]): finite; what is behind the k of the prototypes belongs to
            the cosines of :mod:`~yolact_ros.ops.cosines`.
        boxes_xyxy (float32[n, 4]): finite, relative to the image, corners in either order.
        stride: masks change only every so many pixels, which costs less; 1 is full detail.
        shown: rows and columns of the prototypes that the image lies on; None is all of them.
        crop_in_image: enlarge logits and cut them off at the box, pixel by pixel, as Ultralytics
            does (``retina_masks``); else, as YOLACT does, enlarge probabilities that are cut off
            one pixel of the prototypes beside the box.
    """
    height, width, k = prototypes.shape
    grid_height, grid_width = -(-image_height_px // stride), -(-image_width_px // stride)
    down, across = shown or (Span.whole(height), Span.whole(width))
    enlargement = Enlargement(down, across, grid_height, grid_width, of_logits=crop_in_image)
    reach = _reach_in_image if crop_in_image else _reach
    rows = reach(boxes_xyxy[:, 1], boxes_xyxy[:, 3], down, grid_height)
    columns = reach(boxes_xyxy[:, 0], boxes_xyxy[:, 2], across, grid_width)
    prototypes = np.ascontiguousarray(prototypes)
    scratch = scratch or Scratch()
    crops = [_EMPTY] * len(boxes_xyxy)
    visible = np.flatnonzero((rows.start < rows.stop) & (columns.start < columns.stop))
    num_portions = -(-len(visible) * height * width // MAX_VALUES)
    for portion in np.array_split(visible, num_portions) if num_portions else ():
        tall, wide = rows.of(portion), columns.of(portion)
        edges = _edges(tall, wide)
        logits = _logits(prototypes, coefficients[portion, :k], edges, scratch)
        if coefficients.shape[1] > k:
            boxes, terms = boxes_xyxy[portion], coefficients[portion, k:]
            _add_shapes(logits, terms, boxes, edges, (down, across))
        masks = pack_masks(logits, tall, wide, enlargement, scratch)
        rectangles = np.stack((portion, wide.start, wide.stop, tall.start, tall.stop), axis=1)
        for (index, left, right, top, bottom), bits in zip(
            rectangles.tolist(), masks, strict=True
        ):
            if bits.size:
                crops[index] = MaskCrop(left, top, right - left, bottom - top, bits)
    if stride > 1:
        return [_enlarge(crop, stride, image_height_px, image_width_px) for crop in crops]
    return crops


def _reach(
    first: NDArray[np.float32], second: NDArray[np.float32], span: Span, size: int
) -> Reach:
    """What boxes with these relative edges (float32[n]) crop and can set along one axis."""
    source = np.float32(span.source_size)
    padding = np.array((-CROP_PADDING, CROP_PADDING), np.float32)
    edges = _ordered(first, second) * np.float32(span.length) + np.float32(span.start)
    edges = np.ceil(np.minimum(np.maximum(edges + padding, 0), source))
    start, stop = edges[:, 0], edges[:, 1]
    positions = enlarged_positions(span, size)
    # Beyond these, less than half of an output pixel's weight lies on the crop.
    half = np.float32(0.5)
    first_set = np.searchsorted(positions, start - half, side="right")
    last_set = np.searchsorted(positions, stop - half, side="left")
    return Reach(start.astype(np.int64), stop.astype(np.int64), first_set, last_set)


def _reach_in_image(
    first: NDArray[np.float32], second: NDArray[np.float32], span: Span, size: int
) -> Reach:
    """The pixels inside of the boxes, and the pixels of the prototypes that they depend on."""
    edges = np.ceil(np.clip(_ordered(first, second) * np.float32(size), 0, size))
    start, stop = edges.astype(np.int64).T
    before = np.floor(enlarged_positions(span, size)).astype(np.int64)
    source_start = before[np.minimum(start, size - 1)]
    source_stop = np.minimum(before[np.maximum(stop - 1, 0)] + 2, span.source_size)
    return Reach(source_start, source_stop, start, stop)


def _ordered(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    """Lower and upper edge, float32[n, 2]; huge ones, whose products overflow, made small."""
    edges = np.stack((np.minimum(first, second), np.maximum(first, second)), axis=1)
    return edges.clip(-1 - CROP_PADDING, 1 + CROP_PADDING)


def _logits(
    prototypes: NDArray[np.float32],
    coefficients: NDArray[np.float32],
    edges: list[list[int]],
    scratch: Scratch,
) -> NDArray[np.float32]:
    """``P C^T`` of each instance inside its crop, arranged as ``pack_masks`` takes it."""
    num_rows, num_columns = len(prototypes) + 1, edges[-1][-1] + 1
    buffer: NDArray[np.float32] = scratch.array("crops", num_rows * num_columns, np.float32)
    buffer.fill(OUTSIDE)
    logits = buffer.reshape(num_rows, num_columns)
    # One product each: a product of matrices for all has to multiply whole prototypes and took
    # more than twice as long (100 instances, one thread: 3.0 ms instead of 1.3 ms).
    for vector, (top, bottom, left, right, end) in zip(coefficients, edges, strict=True):
        crop = logits[top:bottom, end - (right - left) : end]
        np.matmul(prototypes[top:bottom, left:right], vector, out=crop)
    return logits


def _edges(rows: Reach, columns: Reach) -> list[list[int]]:
    """Of each crop: top, bottom, left and right in the prototypes; its end in the logits."""
    ends = np.cumsum(columns.source_stop - columns.source_start + 1)
    edges = (rows.source_start, rows.source_stop, columns.source_start, columns.source_stop, ends)
    table: list[list[int]] = np.stack(edges, axis=1).tolist()
    return table


def _add_shapes(
    logits: NDArray[np.float32],
    terms: NDArray[np.float32],
    boxes_xyxy: NDArray[np.float32],
    edges: list[list[int]],
    spans: tuple[Span, Span],
) -> None:
    """Add the cosines of each instance to its crop of :func:`_logits`.

    Args:
        terms (float32[n, order ** 2]): coefficients of :mod:`~yolact_ros.ops.cosines`.
        edges: of :func:`_edges`.
        spans: of rows and of columns.
    """
    order = math.isqrt(terms.shape[1])
    down, across = (
        box_cosines(_ordered(boxes_xyxy[:, axis], boxes_xyxy[:, axis + 2]), _relative(span), order)
        for axis, span in zip((1, 0), spans, strict=True)
    )
    down = down.transpose(0, 2, 1) @ (terms * np.float32(SCALE)).reshape(-1, order, order)
    for index, (top, bottom, left, right, end) in enumerate(edges):
        crop = logits[top:bottom, end - (right - left) : end]
        crop += down[index, top:bottom] @ across[index, :, left:right]


def _relative(span: Span) -> NDArray[np.float32]:
    """float32[source_size]: where the middles of the source pixels lie in the image, 0..1."""
    middles = np.arange(span.source_size, dtype=np.float32) + np.float32(0.5)
    return (middles - np.float32(span.start)) / np.float32(span.length)


def _enlarge(crop: MaskCrop, stride: int, image_height_px: int, image_width_px: int) -> MaskCrop:
    """Each pixel of a mask on a coarser grid as ``stride`` x ``stride`` pixels of the image."""
    left, top = crop.x_offset * stride, crop.y_offset * stride
    mask = unpack_bits(crop.bits, crop.height, crop.width)
    mask = mask.repeat(stride, axis=0)[: image_height_px - top]
    mask = mask.repeat(stride, axis=1)[:, : image_width_px - left]
    return MaskCrop(left, top, mask.shape[1], mask.shape[0], pack_bits(mask))
