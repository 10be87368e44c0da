"""Binary masks as packed bits and as COCO's run lengths."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["pack_bits", "rle_decode", "rle_encode", "unpack_bits"]


def pack_bits(mask: NDArray[np.bool_] | NDArray[np.uint8]) -> NDArray[np.uint8]:
    """One bit per pixel: row-major, most significant bit first, the last byte filled with zeros.

    Of a mask bool or uint8 [height, width], in which anything but 0 is set, to
    uint8[ceil(height * width / 8)].
    """
    return np.packbits(mask)


def unpack_bits(bits: NDArray[np.uint8], height: int, width: int) -> NDArray[np.bool_]:
    """The inverse of :func:`pack_bits`: a new array bool[height, width].

    Raises:
        ValueError: ``bits`` has another length.
    """
    count = height * width
    if bits.shape != ((count + 7) // 8,):
        raise ValueError(
            f"a mask of {width} x {height} pixels is {(count + 7) // 8} bytes of bits, "
            f"not {bits.shape}"
        )
    return np.unpackbits(bits, count=count).view(np.bool_).reshape(height, width)


def rle_encode(mask: NDArray[np.bool_] | NDArray[np.uint8]) -> NDArray[np.uint32]:
    """COCO's uncompressed run lengths: column-major, background first (0 if it starts set).

    Of a mask bool or uint8 [height, width] to uint32 lengths, which alternate between background
    and mask and add up to ``height * width``; empty for an empty rectangle.
    """
    columns = np.ascontiguousarray(mask.T, dtype=np.bool_).ravel()
    if columns.size == 0:
        return np.zeros(0, np.uint32)
    changes = np.flatnonzero(columns[1:] != columns[:-1]) + 1
    first = [0, 0] if columns[0] else [0]
    edges = np.concatenate((first, changes, [columns.size]))
    return np.diff(edges).astype(np.uint32)


def rle_decode(
    counts: NDArray[np.uint32] | Sequence[int], height: int, width: int
) -> NDArray[np.bool_]:
    """The inverse of :func:`rle_encode`: a new array bool[height, width].

    Raises:
        ValueError: the runs do not add up to ``height * width``.
    """
    runs = np.asarray(counts, dtype=np.int64)
    total = int(runs.sum())
    if total != height * width or (runs < 0).any():
        raise ValueError(
            f"the run lengths add up to {total}, "
            f"but a mask of {width} x {height} has {height * width} pixels"
        )
    is_mask = np.arange(runs.size) % 2 == 1
    columns = np.repeat(is_mask, runs)
    return np.ascontiguousarray(columns.reshape(width, height).T)
