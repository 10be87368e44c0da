"""16-bit pixels as 8 bits, by the bits that their source uses."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["FULL_BITS", "BitDepth"]

FULL_BITS = 16
DEPTHS = (8, 10, 12, 14, FULL_BITS)


class BitDepth:
    """The bits in use by the 16-bit pixels of one source, such as an image topic.

    Infrared cameras put 10 to 14 bits into the low end of 16; their high byte alone is black. So
    the 8 bits kept of a pixel begin at the highest bit in use so far. It only ever rises: the
    brightness may step when a larger value first comes, at most four times, and never flickers.

    Attributes:
        bits: 8, 10, 12, 14 or 16, which hold the largest value so far; 0 before the first image.
    """

    def __init__(self, bits: int = 0) -> None:
        self.bits = bits

    def observe(self, pixels: NDArray[np.uint16]) -> None:
        """Take the values of an image, uint16 of any shape, into account."""
        if self.bits < FULL_BITS and pixels.size:
            largest = int(pixels.max())
            needed = next(bits for bits in DEPTHS if largest < 1 << bits)
            self.bits = max(self.bits, needed)

    def to_8_bits(self, pixels: NDArray[np.uint16]) -> NDArray[np.uint8]:
        """Observe an image and return its pixels as uint8 of the same shape.

        Of 16 bits in use that is the high byte.
        """
        self.observe(pixels)
        shifted: NDArray[Any] = pixels >> np.uint16(max(self.bits - 8, 0))
        return shifted.astype(np.uint8)
