"""Bilinear enlargement of one axis, as torch computes it with ``align_corners=False``."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Bands", "Span", "enlarged_bands", "enlarged_positions"]


class Span(NamedTuple):
    """The part of an axis of source pixels that is enlarged.

    Attributes:
        start: where the part begins, from the outer edge of the first source pixel.
        length: of the part, in source pixels.
    """

    source_size: int
    start: float
    length: float

    @classmethod
    def whole(cls, source_size: int) -> Span:
        return cls(source_size, 0.0, float(source_size))


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
def enlarged_positions(span: Span, size: int) -> NDArray[np.float32]:
    """float32[size]: where the output pixels lie among the source pixels."""
    # In float32 and in this order, as torch computes positions.
    scale = np.float32(span.length) / np.float32(size)
    half = np.float32(0.5)
    positions = scale * (np.arange(size, dtype=np.float32) + half) - half
    clamped: NDArray[np.float32] = np.maximum(positions + np.float32(span.start), 0)
    return clamped


@lru_cache(maxsize=32)
def enlarged_bands(span: Span, size: int) -> Bands:
    """Which output pixels lie between which source pixels, and where."""
    positions = enlarged_positions(span, size)
    last = span.source_size - 1
    source = np.minimum(positions.astype(np.int64), last)
    fractions = positions - source.astype(np.float32)
    fractions[source == last] = 0  # the border goes on
    counts = np.bincount(source, minlength=span.source_size)
    first = np.cumsum(counts) - counts
    slots = np.arange(size) - first[source]
    upper = np.zeros((counts.max(), span.source_size), np.float32)
    lower = np.zeros_like(upper)
    upper[slots, source] = 1 - fractions
    lower[slots, source] = fractions
    return Bands(first, upper, lower)
