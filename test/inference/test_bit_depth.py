"""16-bit pixels as 8 bits: values, and no way back to a brighter picture."""

from __future__ import annotations

import numpy as np
import pytest

from yolact_ros.inference.bit_depth import BitDepth


def one(value: int) -> np.ndarray:
    return np.full((2, 3), value, np.uint16)


@pytest.mark.parametrize(
    ("largest", "bits", "as_8_bits"),
    [
        (0, 8, 0), (255, 8, 255), (256, 10, 64), (1023, 10, 255), (1024, 12, 64),
        (4095, 12, 255), (16383, 14, 255), (16384, 16, 64), (65535, 16, 255),
    ],
)  # fmt: skip
def test_the_largest_value_decides_the_bits(largest: int, bits: int, as_8_bits: int) -> None:
    depth = BitDepth()
    assert (depth.to_8_bits(one(largest)) == as_8_bits).all()
    assert depth.bits == bits


def test_a_full_16_bit_image_keeps_its_high_byte() -> None:
    pixels = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    assert np.array_equal(BitDepth().to_8_bits(pixels), pixels // 256)


def test_the_brightness_of_a_value_only_ever_falls() -> None:
    depth = BitDepth()
    random = np.random.default_rng(3)
    # A depth camera: millimetres, up to 200 in the first images and 12 m in the last.
    seen = []
    for furthest in (200, 150, 1000, 900, 3000, 300, 12000, 200, 100):
        image = np.append(random.integers(0, furthest, 50), [furthest, 190]).astype(np.uint16)
        seen.append(int(depth.to_8_bits(image)[-1]))
    assert seen == [190, 190, 47, 47, 11, 11, 2, 2, 2]


def test_no_image_means_no_bits() -> None:
    depth = BitDepth()
    depth.observe(np.zeros((0, 4), np.uint16))
    assert depth.bits == 0
