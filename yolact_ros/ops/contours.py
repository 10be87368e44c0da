"""Packed masks from the places where interpolated rows cross the threshold."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from yolact_ros.ops.scratch import Scratch

__all__ = ["MASK_THRESHOLD", "RowBlocks", "pack_rows"]

MASK_THRESHOLD = 0.5

_ALL_ONES = np.uint64(0xFFFFFFFFFFFFFFFF)
_ONE = np.uint64(1)
_WORD_BITS = 64


class RowBlocks(NamedTuple):
    """Where each of n blocks of rows lies and what of the image it becomes, none of them empty.

    Attributes:
        source_left (int64[n]): source pixel of the first value in a row.
        source_width (int64[n]): values in a row, with one of zero at either end.
        left (int64[n]): first column of the mask, in pixels.
        width (int64[n]): columns of the mask.
        height (int64[n]): rows, of the block and of the mask.
    """

    source_left: NDArray[np.int64]
    source_width: NDArray[np.int64]
    left: NDArray[np.int64]
    width: NDArray[np.int64]
    height: NDArray[np.int64]


def pack_rows(
    values: NDArray[np.float32],
    blocks: RowBlocks,
    source_size: int,
    size: int,
    scratch: Scratch,
) -> list[NDArray[np.uint8]]:
    """Enlarge rows bilinearly (``align_corners=False``) and pack where they are above 0.5.

    Between two neighbouring values a row crosses the threshold at most once, at a place that one
    division gives. So nothing but the crossings is computed: a mask of 200 x 150 pixels has about
    400 of them. A crossing to above adds the ones from its bit to the end of its 64-bit word, one
    to below takes them away; a word that begins inside of the mask has all its ones added.

    Args:
        values (float32[sum of source_width * height]): the blocks, one after the other; 0..1.
        blocks: of ``values``.
        source_size: pixels that become ``size``, not only those of a block.
        size: columns of the image.
        scratch: memory to use again.

    Returns:
        Bits of each block as of :func:`~yolact_ros.ops.packing.pack_bits`, views of one array;
        of a block without a set pixel an empty array.
    """
    ends = np.cumsum(blocks.source_width * blocks.height)
    inside = scratch.array("inside", values.size, np.bool_)
    np.greater(values, MASK_THRESHOLD, out=inside)
    changes = scratch.array("changes", values.size - 1, np.bool_)
    np.not_equal(inside[1:], inside[:-1], out=changes)
    # Rows begin and end with 0, so none crosses between its end and the next one's beginning.
    places = np.flatnonzero(changes)
    counts = np.diff(np.searchsorted(places, ends), prepend=0)

    def of_block(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.repeat(numbers, counts)

    before, after = values[places], values[places + 1]
    places -= of_block(ends - blocks.source_width * blocks.height)
    rows, columns = np.divmod(places, of_block(blocks.source_width))
    crossings = of_block(blocks.source_left) + columns
    crossings = crossings + (np.float32(MASK_THRESHOLD) - before) / (after - before)
    # Outside of the image lies its border again.
    crossings[crossings < 0] = -0.5
    crossings[crossings > source_size - 1] = source_size - 0.5
    scale = float(np.float32(source_size) / np.float32(size))  # as torch rounds it
    pixels = np.ceil((crossings + 0.5) / scale - 0.5).astype(np.int64)
    pixels -= of_block(blocks.left)
    widths = of_block(blocks.width)
    np.clip(pixels, 0, widths, out=pixels)

    words = -(-blocks.width * blocks.height // _WORD_BITS)
    word_ends = np.cumsum(words)
    bits = of_block((word_ends - words) * _WORD_BITS) + rows * widths + pixels
    # The last crossing of a block may lie behind its last word.
    packed = np.zeros(int(word_ends[-1]) + 1, np.uint64)
    ones = _ALL_ONES >> (bits % _WORD_BITS).astype(np.uint64)
    np.add.at(packed, bits // _WORD_BITS, np.where(after > before, ones, ~ones + _ONE))
    # An odd number of crossings changes the last bit, and with it what the next word begins with.
    packed[1:] -= np.bitwise_xor.accumulate(packed & _ONE)[:-1]
    is_set = np.bitwise_or.reduceat(packed[:-1], word_ends - words) > 0
    data = packed.astype(">u8", copy=False).view(np.uint8)
    first_bytes = (word_ends - words) * (_WORD_BITS // 8)
    num_bytes = np.where(is_set, -(-blocks.width * blocks.height // 8), 0)
    return [
        data[first : first + count]
        for first, count in zip(first_bytes.tolist(), num_bytes.tolist(), strict=True)
    ]
