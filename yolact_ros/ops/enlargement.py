"""Bilinear enlargement of one axis, as torch computes it with ``align_corners=False``."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Bands", "enlarged_bands", "enlarged_positions"]


class Bands(NamedTuple):
    """The output pixels between each two neighbours of n source pixels, at most r of them.

    Attributes:
        first (int64[n]): first output pixel between source pixel i and the next one.
        upper (float32[r, n]): weight of source pixel i in each of them; 0 beyond the last.
        lower (float32[r, n]): weight of the next source pixel.
    """

    first: NDArray[np.int64]
    upper: NDArray[np.float32]
    lower: NDArray[np.float32]


@lru_cache(maxsize=32)
def enlarged_positions(source_size: int, size: int) -> NDArray[np.float32]:
    """float32[size]: where the output pixels lie among the source pixels."""
    # In float32 and in this order, as torch computes positions.
    scale = np.float32(source_size) / np.float32(size)
    half = np.float32(0.5)
    positions: NDArray[np.float32] = np.maximum(
        scale * (np.arange(size, dtype=np.float32) + half) - half, 0
    )
    return positions


@lru_cache(maxsize=32)
def enlarged_bands(source_size: int, size: int) -> Bands:
    """Which output pixels lie between which source pixels, and where."""
    positions = enlarged_positions(source_size, size)
    source = np.minimum(positions.astype(np.int64), source_size - 1)
    fractions = positions - source.astype(np.float32)
    fractions[source == source_size - 1] = 0  # the border goes on
    counts = np.bincount(source, minlength=source_size)
    first = np.cumsum(counts) - counts
    slots = np.arange(size) - first[source]
    upper = np.zeros((counts.max(), source_size), np.float32)
    lower = np.zeros_like(upper)
    upper[slots, source] = 1 - fractions
    lower[slots, source] = fractions
    return Bands(first, upper, lower)
