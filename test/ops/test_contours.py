"""Masks from crossings against interpolating every pixel."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yolact_ros.ops.contours import RowBlocks, pack_rows
from yolact_ros.ops.packing import unpack_bits
from yolact_ros.ops.scratch import Scratch


class Block(NamedTuple):
    """Rows of values that begin at a source pixel."""

    first: int
    rows: np.ndarray


def packed(blocks: list[Block], source_size: int, size: int) -> list[np.ndarray]:
    """Each block's mask over the whole width of the image."""
    values = [np.pad(rows, ((0, 0), (1, 1))) for _, rows in blocks]
    count = len(blocks)
    bits = pack_rows(
        np.concatenate([array.ravel() for array in values]),
        RowBlocks(
            source_left=np.array([first - 1 for first, _ in blocks]),
            source_width=np.array([array.shape[1] for array in values]),
            left=np.zeros(count, np.int64),
            width=np.full(count, size),
            height=np.array([len(array) for array in values]),
        ),
        source_size,
        size,
        Scratch(),
    )
    return [
        unpack_bits(mask, len(array), size) if mask.size else np.zeros((len(array), size), bool)
        for mask, array in zip(bits, values, strict=True)
    ]


def interpolated(block: Block, source_size: int, size: int) -> np.ndarray:
    """Slow twin: the value of every pixel, float64[rows, size]."""
    positions = (np.arange(size) + 0.5) * source_size / size - 0.5
    whole = np.zeros((len(block.rows), source_size))
    whole[:, block.first : block.first + block.rows.shape[1]] = block.rows
    return np.stack([np.interp(positions, np.arange(source_size), row) for row in whole])


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_every_pixel_is_what_its_interpolated_value_says(data: st.DataObject) -> None:
    """Also smaller, at the image's borders, and with a row in and out within a pixel."""
    source_size, size = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 150))
    random = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    # Of the coarse levels some are 0.5 exactly: neither above nor crossed.
    levels = data.draw(st.sampled_from([4, 1000]))
    blocks = []
    for _ in range(data.draw(st.integers(1, 3))):
        first = data.draw(st.integers(0, source_size - 1))
        width = data.draw(st.integers(1, source_size - first))
        rows = random.integers(0, levels + 1, (data.draw(st.integers(1, 4)), width)) / levels
        blocks.append(Block(first, rows.astype(np.float32)))
    for block, mask in zip(blocks, packed(blocks, source_size, size), strict=True):
        values = interpolated(block, source_size, size)
        sure = np.abs(values - 0.5) > 1e-5
        np.testing.assert_array_equal(mask[sure], values[sure] > 0.5)


@pytest.mark.parametrize("size", [63, 64, 65, 640])
def test_a_mask_that_is_set_everywhere_has_no_gap_between_words(size: int) -> None:
    (mask,) = packed([Block(0, np.ones((5, 10), np.float32))], 10, size)
    assert mask.all()


def test_a_block_without_a_set_pixel_has_no_bits_and_leaves_its_neighbours_alone() -> None:
    full, nothing = np.ones((2, 4), np.float32), np.full((2, 4), 0.5, np.float32)
    # Above the threshold at a place between two pixels only.
    missed = np.array([[0, 0.51, 0, 0]], np.float32)
    masks = packed([Block(0, full), Block(0, nothing), Block(0, missed), Block(0, full)], 4, 2)
    assert [bool(mask.any()) for mask in masks] == [True, False, False, True]
    assert masks[3].all()


def test_a_crossing_stays_inside_of_its_block_where_weights_add_up_to_more_than_one() -> None:
    """The blocks' masks begin at pixel 1: half of pixel 0 lies outside of them."""
    nothing = np.zeros((64, 5), np.float32)
    rows = np.array([[0, np.nextafter(np.float32(1), np.float32(2)), 1, 1, 0]], np.float32)
    blocks = RowBlocks(
        source_left=np.array([0, 0]),
        source_width=np.array([5, 5]),
        left=np.array([1, 1]),
        width=np.array([1, 1]),
        height=np.array([64, 1]),
    )
    values = np.concatenate((nothing, rows)).ravel()
    before, bits = pack_rows(values, blocks, 4, 2, Scratch())
    assert before.size == 0
    assert bits.tolist() == [0b1000_0000]
