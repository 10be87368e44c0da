"""Masks from crossings against interpolating every pixel."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yolact_ros.ops.contours import OUTSIDE, Enlargement, Reach, pack_masks
from yolact_ros.ops.enlargement import Span
from yolact_ros.ops.packing import unpack_bits
from yolact_ros.ops.scratch import Scratch

Size = tuple[int, int]


class Crop(NamedTuple):
    """Logits that begin at a pixel of the prototypes."""

    top: int
    left: int
    logits: np.ndarray


def strip_of(crops: list[Crop], source_height: int) -> np.ndarray:
    """The crops side by side, a column outside of all before each and behind the last."""
    strip = np.full((source_height + 1, 1), OUTSIDE, np.float32)
    for top, _, logits in crops:
        below = source_height + 1 - top - len(logits)
        padded = np.pad(logits, ((top, below), (0, 1)), constant_values=OUTSIDE)
        strip = np.concatenate((strip, padded), axis=1)
    return strip


def packed(crops: list[Crop], source_size: Size, size: Size) -> list[np.ndarray]:
    """Each crop's mask in the whole image."""
    tops = np.array([crop.top for crop in crops])
    lefts = np.array([crop.left for crop in crops])
    shapes = np.array([crop.logits.shape for crop in crops])
    nothing = np.zeros(len(crops), np.int64)
    bits = pack_masks(
        strip_of(crops, source_size[0]),
        Reach(tops, tops + shapes[:, 0], nothing, nothing + size[0]),
        Reach(lefts, lefts + shapes[:, 1], nothing, nothing + size[1]),
        Enlargement(Span.whole(source_size[0]), Span.whole(source_size[1]), *size),
        Scratch(),
    )
    return [unpack_bits(mask, *size) if mask.size else np.zeros(size, bool) for mask in bits]


def interpolated(crop: Crop, source_size: Size, size: Size) -> np.ndarray:
    """Slow twin: the value of every pixel, float64[size]."""
    height, width = crop.logits.shape
    values = np.zeros(source_size)
    soft = 1 / (1 + np.exp(-crop.logits.astype(np.float64)))
    values[crop.top : crop.top + height, crop.left : crop.left + width] = soft
    for pixels in size:  # down the columns, then along the rows
        source = len(values)
        positions = (np.arange(pixels) + 0.5) * source / pixels - 0.5
        values = np.stack([np.interp(positions, np.arange(source), line) for line in values.T])
    return values


@given(data=st.data())
@settings(max_examples=150)
def test_every_pixel_is_what_its_interpolated_value_says(data: st.DataObject) -> None:
    """Also smaller, at the image's borders, and with a row in and out within a pixel."""
    source_size = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 9))
    size = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 150))
    random = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    # Of the coarse levels some are 0 exactly: neither above the threshold nor crossed.
    step = data.draw(st.sampled_from([1.0, 0.01]))
    crops = []
    for _ in range(data.draw(st.integers(1, 3))):
        top, left = (data.draw(st.integers(0, extent - 1)) for extent in source_size)
        height = data.draw(st.integers(1, source_size[0] - top))
        width = data.draw(st.integers(1, source_size[1] - left))
        logits = np.round(random.normal(size=(height, width)) * 2 / step) * step
        crops.append(Crop(top, left, logits.astype(np.float32)))
    for crop, mask in zip(crops, packed(crops, source_size, size), strict=True):
        values = interpolated(crop, source_size, size)
        sure = np.abs(values - 0.5) > 1e-5
        np.testing.assert_array_equal(mask[sure], values[sure] > 0.5)


@pytest.mark.parametrize("width", [63, 64, 65, 640])
def test_a_mask_that_is_set_everywhere_has_no_gap_between_words(width: int) -> None:
    (mask,) = packed([Crop(0, 0, np.full((3, 10), 9, np.float32))], (3, 10), (5, width))
    assert mask.all()


def test_a_crop_without_a_set_pixel_has_no_bits_and_leaves_its_neighbours_alone() -> None:
    full, nothing = np.full((2, 4), 9, np.float32), np.zeros((2, 4), np.float32)
    # Above the threshold at a place between two pixels only.
    missed = np.array([[-9, 0.1, -9, -9]] * 2, np.float32)
    crops = [Crop(0, 0, logits) for logits in (full, nothing, missed, full)]
    masks = packed(crops, (2, 4), (2, 2))
    assert [bool(mask.any()) for mask in masks] == [True, False, False, True]
    assert masks[3].all()


@pytest.mark.parametrize("logit", [1e-30, -1e-30])
def test_a_logit_next_to_nothing_is_on_its_own_side(logit: float) -> None:
    """Its sigmoid is rounded to one half."""
    (mask,) = packed([Crop(0, 0, np.full((4, 4), logit, np.float32))], (4, 4), (9, 70))
    assert mask.all() == mask.any() == (logit > 0)


def test_a_crossing_stays_inside_of_its_mask() -> None:
    """Rounding can put it a pixel beyond, as if the masks were one wider than they are here."""
    crop = Crop(0, 1, np.full((4, 2), 99, np.float32))
    one, all_rows = np.ones(3, np.int64), np.array([0, 0, 0])
    rows = Reach(all_rows, all_rows + 4, all_rows, all_rows + 4)
    masks = pack_masks(
        strip_of([crop] * 3, 4),
        rows,
        Reach(one, one + 2, one * 4, one * 6),
        Enlargement(Span.whole(4), Span.whole(4), 4, 10),
        Scratch(),
    )
    assert [mask.tolist() for mask in masks] == [[0xFF]] * 3
