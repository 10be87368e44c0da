"""Packed masks from the places where their contours cross the rows of the image."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from yolact_ros.ops.enlargement import Span, enlarged_bands
from yolact_ros.ops.scratch import Scratch

__all__ = ["OUTSIDE", "Enlargement", "Reach", "pack_masks"]

# Logit where no crop is. Its sigmoid is 0 in float32, and its exponential is finite: OpenCV takes
# five times as long where a tenth of them are not.
OUTSIDE = -50.0

# Cells that are looked at together, so that what is made of them stays in the cache and in memory
# that malloc holds: 100 masks took twice as long where every array was new pages of the system.
MAX_CELLS = 16_000

# Twice this is finite, and so is every weighted sum of such logits.
_LARGEST = np.float32(1e38)
_ALL_ONES = np.uint64(0xFFFFFFFFFFFFFFFF)
_ONE = np.uint64(1)
_WORD_BITS = 64
_WORD_SHIFT = 6


class Reach(NamedTuple):
    """What n masks have of the prototypes along one axis and can set in the image; half-open.

    Attributes:
        source_start, source_stop (int64[n]): pixels of the prototypes.
        start, stop (int64[n]): pixels of the image.
    """

    source_start: NDArray[np.int64]
    source_stop: NDArray[np.int64]
    start: NDArray[np.int64]
    stop: NDArray[np.int64]

    def of(self, masks: NDArray[np.int64]) -> Reach:
        return Reach(*(edges[masks] for edges in self))


class Enlargement(NamedTuple):
    """From the pixels of prototypes to those of an image.

    Attributes:
        rows, columns: where the image lies in the prototypes.
        of_logits: interpolate logits; else their sigmoid, as YOLACT does.
    """

    rows: Span
    columns: Span
    height_px: int
    width_px: int
    of_logits: bool = False


def pack_masks(
    logits: NDArray[np.float32],
    rows: Reach,
    columns: Reach,
    enlargement: Enlargement,
    scratch: Scratch,
) -> list[NDArray[np.uint8]]:
    """Enlarge the sigmoid of crops, or the crops, bilinearly and pack where it is above a half.

    An interpolated value lies between its four neighbours. So the contour of a mask only passes
    between neighbours of which one is above the threshold and another is not, about a tenth of
    all. In every row of the image it crosses two neighbouring columns at most once, at a place
    that one division gives. So nothing but the crossings is computed: a mask of 200 x 150 pixels
    has about 400 of them. A crossing to above adds the ones from its bit to the end of its 64-bit
    word, one to below takes them away; a word that begins inside of the mask has all its ones
    added.

    Args:
        logits (float32[h + 1, w]): n crops of the prototypes side by side, each in the rows that
            it has in the prototypes and behind a column of its own; ``OUTSIDE`` in that column, in
            the last column and wherever else no crop is. NaN is not set.
        rows, columns: of the n crops, none of them empty. Pixels of the image beside them stay
            out of the mask.

    Returns:
        Bits of each mask as of :func:`~yolact_ros.ops.packing.pack_bits`, views of one array; of
        a mask without a set pixel an empty array.
    """
    widths, heights = columns.stop - columns.start, rows.stop - rows.start
    words = -(-widths * heights // _WORD_BITS)
    word_ends = np.cumsum(words)
    first_words = word_ends - words
    # The last crossing of a mask may lie behind its last word.
    packed = np.zeros(int(word_ends[-1]) + 1, np.uint64)
    places = _places(rows, columns, first_words * _WORD_BITS, enlargement.columns.source_size)
    cells = _contour_cells(logits, scratch)
    for begin in range(0, len(cells), MAX_CELLS):
        _add_crossings(packed, logits, cells[begin : begin + MAX_CELLS], places, enlargement)
    # An odd number of crossings changes the last bit, and with it what the next word begins with.
    packed[1:] -= np.bitwise_xor.accumulate(packed & _ONE)[:-1]
    is_set = np.bitwise_or.reduceat(packed[:-1], first_words) > 0
    data = packed.astype(">u8", copy=False).view(np.uint8)
    first_bytes = first_words * (_WORD_BITS // 8)
    num_bytes = np.where(is_set, -(-widths * heights // 8), 0)
    return [
        data[first : first + count]
        for first, count in zip(first_bytes.tolist(), num_bytes.tolist(), strict=True)
    ]


class _Places(NamedTuple):
    """What the crossings to the right of each of w columns of logits become.

    Attributes:
        source (int64[w]): the column in the prototypes.
        lowest, highest (int64[w]): columns of the image between which they lie.
        top, bottom (int64[w]): rows of the image in which they lie, half-open.
        width (int64[w]): of the mask, in pixels.
        first_bit (int64[w]): where the image's first pixel would be, were it in the mask.
    """

    source: NDArray[np.int64]
    lowest: NDArray[np.int64]
    highest: NDArray[np.int64]
    top: NDArray[np.int64]
    bottom: NDArray[np.int64]
    width: NDArray[np.int64]
    first_bit: NDArray[np.int64]


def _places(
    rows: Reach, columns: Reach, first_bits: NDArray[np.int64], source_width: int
) -> _Places:
    widths = columns.stop - columns.start
    sizes = columns.source_stop - columns.source_start + 1
    table = np.stack(
        (
            columns.source_start - 1 - (np.cumsum(sizes) - sizes),
            columns.start,
            columns.stop,
            rows.start,
            rows.stop,
            widths,
            first_bits - rows.start * widths - columns.start,
        )
    )
    places = _Places(*table.repeat(sizes, axis=1))
    places.source[:] += np.arange(len(places.source))
    # Outside of the prototypes lies their border again: set from the first pixel, to the last one.
    at_begin, at_end = places.source < 0, places.source == source_width - 1
    places.highest[at_begin] = places.lowest[at_begin]
    places.lowest[at_end] = places.highest[at_end]
    return places


def _add_crossings(
    packed: NDArray[np.uint64],
    logits: NDArray[np.float32],
    cells: NDArray[np.int64],
    places: _Places,
    enlargement: Enlargement,
) -> None:
    """Change the bits of ``packed`` at the crossings inside some of the cells, which rise."""
    bands = enlarged_bands(enlargement.rows, enlargement.height_px)
    across = enlargement.columns
    scale = float(np.float32(across.length) / np.float32(enlargement.width_px))  # torch's rounding
    strip_width, source_height = logits.shape[1], len(logits) - 1
    row_starts = np.arange(source_height + 1) * strip_width
    counts = np.diff(np.searchsorted(cells, row_starts))
    columns = cells - np.repeat(row_starts[:-1], counts)
    corners = _corners(logits.ravel(), cells, strip_width)
    if not enlargement.of_logits:
        corners = _soft(corners)
    # Of every cell its output rows, in each of them the values at its left and its right column.
    values = np.repeat(bands.upper, counts, axis=1)[:, None] * corners[0]
    values += np.repeat(bands.lower, counts, axis=1)[:, None] * corners[1]
    inside = values > 0
    found = np.flatnonzero(inside[:, 0] != inside[:, 1])
    slot = found // len(cells)
    cell = found - slot * len(cells)
    column = columns.take(cell)
    row = np.repeat(bands.first, counts).take(cell) + slot
    in_mask = (row >= places.top.take(column)) & (row < places.bottom.take(column))
    if not in_mask.all():
        found, slot, column, row = found[in_mask], slot[in_mask], column[in_mask], row[in_mask]
    left = found + slot * len(cells)
    before, after = values.ravel().take(left), values.ravel().take(left + len(cells))
    crossings = places.source.take(column) + before / (before - after) - across.start
    pixels = np.ceil((crossings + 0.5) / scale - 0.5).astype(np.int64)
    np.maximum(pixels, places.lowest.take(column), out=pixels)
    np.minimum(pixels, places.highest.take(column), out=pixels)
    bits = places.first_bit.take(column) + row * places.width.take(column) + pixels
    ones = _ALL_ONES >> (bits & (_WORD_BITS - 1)).view(np.uint64)
    np.add.at(packed, bits >> _WORD_SHIFT, np.where(after > 0, ones, ~ones + _ONE))


def _contour_cells(logits: NDArray[np.float32], scratch: Scratch) -> NDArray[np.int64]:
    """Flat places whose logit is not on the same side of 0 as those right, below and between."""
    size, strip_width = logits.size, logits.shape[1]
    inside = scratch.array("inside", size, np.bool_)
    beside = scratch.array("beside", size - strip_width - 1, np.bool_)
    below = scratch.array("below", size - strip_width, np.bool_)
    np.greater(logits.ravel(), 0, out=inside)
    np.not_equal(inside[1:-strip_width], inside[: -strip_width - 1], out=beside)
    np.not_equal(inside[strip_width:], inside[:-strip_width], out=below)
    beside |= below[:-1]
    beside |= below[1:]
    return np.flatnonzero(beside)


def _corners(
    logits: NDArray[np.float32], cells: NDArray[np.int64], strip_width: int
) -> NDArray[np.float32]:
    """The logits at the cells' corners, float32[2, 2, n]: upper and lower, left and right."""
    corners = np.empty((2, 2, len(cells)), np.float32)
    for row, column in np.ndindex(2, 2):
        np.take(
            logits, cells + (row * strip_width + column), out=corners[row, column], mode="clip"
        )
    if np.isnan(corners.min()):
        np.fmax(corners, -np.inf, out=corners)  # huge products may add up to NaN: not set
    # Infinite ones have no place where they cross 0.
    return np.clip(corners, -_LARGEST, _LARGEST, out=corners)


def _soft(corners: NDArray[np.float32]) -> NDArray[np.float32]:
    """``2 sigmoid - 1`` of logits, float32[2, 2, n].

    On the same side of 0 as the logit, also where the sigmoid is rounded to one half.
    """
    soft = np.negative(corners)
    # exp(-x) may be infinite or 0; the sigmoid is then 0 or 1.
    cv2.exp(soft.reshape(4, -1), soft.reshape(4, -1))  # a tenth of the time of NumPy's tanh
    np.divide(2, np.add(soft, 1, out=soft), out=soft)
    soft -= 1
    smallest = np.full_like(corners, 1e-9)  # with a scalar it takes five times as long
    return np.maximum(soft, np.minimum(corners, smallest, out=smallest), out=soft)
