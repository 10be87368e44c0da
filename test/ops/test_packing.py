"""Masks as bits and as run lengths."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hypothesis_numpy

from yolact_ros.ops.packing import pack_bits, rle_decode, rle_encode, unpack_bits

masks = hypothesis_numpy.arrays(
    np.bool_, hypothesis_numpy.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=40)
)


def bits_one_by_one(mask: np.ndarray) -> list[int]:
    """Slow twin of pack_bits."""
    data = [0] * ((mask.size + 7) // 8)
    for position, value in enumerate(mask.ravel().tolist()):
        if value:
            data[position // 8] |= 128 >> position % 8
    return data


def runs_one_by_one(mask: np.ndarray) -> list[int]:
    """Slow twin of rle_encode."""
    if mask.size == 0:
        return []
    runs, current = [0], False
    for column in range(mask.shape[1]):
        for row in range(mask.shape[0]):
            if bool(mask[row, column]) != current:
                runs.append(0)
                current = not current
            runs[-1] += 1
    return runs


@given(masks)
def test_bits_are_row_major_with_the_most_significant_bit_first(mask: np.ndarray) -> None:
    assert pack_bits(mask).tolist() == bits_one_by_one(mask)


@given(masks)
def test_unpacking_bits_gives_the_mask_back(mask: np.ndarray) -> None:
    result = unpack_bits(pack_bits(mask), *mask.shape)
    assert result.dtype == np.bool_
    np.testing.assert_array_equal(result, mask)


@given(masks)
def test_run_lengths_are_column_major_and_start_with_background(mask: np.ndarray) -> None:
    runs = rle_encode(mask)
    assert runs.dtype == np.uint32
    assert runs.tolist() == runs_one_by_one(mask)


@given(masks)
def test_decoding_run_lengths_gives_the_mask_back(mask: np.ndarray) -> None:
    result = rle_decode(rle_encode(mask), *mask.shape)
    assert result.dtype == np.bool_
    np.testing.assert_array_equal(result, mask)


@given(masks.filter(lambda mask: mask.size > 0))
def test_run_lengths_are_those_of_pycocotools(mask: np.ndarray) -> None:
    coco_mask = pytest.importorskip("pycocotools.mask")
    expected = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    runs = {"size": list(mask.shape), "counts": rle_encode(mask).tolist()}
    assert coco_mask.frPyObjects(runs, *mask.shape) == expected


@given(st.lists(st.integers(0, 9), max_size=12))
def test_any_run_lengths_with_empty_runs_decode(runs: list[int]) -> None:
    expected = [index % 2 == 1 for index, run in enumerate(runs) for _ in range(run)]
    assert rle_decode(runs, sum(runs), 1).ravel().tolist() == expected


def test_bits_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match="9 x 7 pixels is 8 bytes"):
        unpack_bits(np.zeros(7, np.uint8), 7, 9)


@pytest.mark.parametrize("runs", [[5], [8, 8], [-4, 16], []])
def test_run_lengths_of_another_size_are_refused(runs: list[int]) -> None:
    with pytest.raises(ValueError, match="add up"):
        rle_decode(np.array(runs, np.int64), 3, 4)
