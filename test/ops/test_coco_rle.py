"""COCO's run lengths against a slow reader of their text and against pycocotools."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hypothesis_numpy
from numpy.typing import NDArray

from yolact_ros.errors import DataError
from yolact_ros.ops.coco_rle import (
    compress,
    decode_mask,
    encode_box,
    mask_area,
    mask_box_xywh,
    run_lengths,
    without_empty_runs,
)

coco_mask = pytest.importorskip("pycocotools.mask")

masks = hypothesis_numpy.arrays(
    np.bool_, hypothesis_numpy.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=40)
)


def letter_by_letter(counts: str) -> list[int]:
    """The slow twin of :func:`run_lengths`."""
    runs: list[int] = []
    value = shift = 0
    for letter in counts.encode():
        bits = letter - 48
        value |= (bits & 0x1F) << shift
        shift += 5
        if bits & 0x20:
            continue
        if bits & 0x10:
            value -= 1 << shift
        if len(runs) > 2:
            value += runs[-2]
        runs.append(value)
        value = shift = 0
    return runs


def text_of(mask: NDArray[np.bool_]) -> str:
    encoded = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    return str(encoded["counts"].decode())


@given(masks)
def test_the_text_of_any_mask_is_read(mask: NDArray[np.bool_]) -> None:
    counts = text_of(mask)
    runs = run_lengths(counts, mask.size)
    assert runs.tolist() == letter_by_letter(counts)
    assert compress(runs) == counts
    assert np.array_equal(decode_mask(counts, *mask.shape), mask)
    assert mask_area(counts, mask.size) == mask.sum()
    box = mask_box_xywh(counts, *mask.shape)
    expected = coco_mask.toBbox({"size": list(mask.shape), "counts": counts})
    assert box == (tuple(expected) if mask.any() else None)


def test_long_runs_take_several_letters() -> None:
    mask = np.zeros((2000, 1500), bool)
    mask[1000:, 700:1400] = True
    assert np.array_equal(decode_mask(text_of(mask), 2000, 1500), mask)


@given(st.text(st.characters(min_codepoint=32, max_codepoint=130), max_size=30))
def test_any_other_text_is_refused(counts: str) -> None:
    try:
        runs = run_lengths(counts, 1000)
    except DataError:
        return
    assert runs.min() >= 0
    assert runs.sum() == 1000
    assert runs.tolist() == letter_by_letter(counts)


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        ([3, 2, 0, 4, 1], [3, 6, 1]),
        ([0, 5, 4], [0, 5, 4]),
        ([0, 0, 5, 4], [5, 4]),
        ([3, 0, 0, 0, 6], [9]),
        ([4, 5, 0], [4, 5]),
    ],
)
def test_runs_of_no_pixel_are_joined(runs: list[int], expected: list[int]) -> None:
    assert without_empty_runs(np.array(runs)).tolist() == expected


@pytest.mark.parametrize(
    "box",
    [(2, 3, 4, 5), (0, 0, 20, 15), (0, 0, 1, 15), (19, 14, 1, 1), (5, 0, 15, 15), (2.5, 3.5, 1, 1),
     (-5, -5, 9, 9), (18, 10, 90, 90), (3, 3, 0, 0), (50, 50, 5, 5), (-9, 2, 5, 5)],
)  # fmt: skip
def test_a_box_becomes_the_pixels_that_it_touches(box: tuple[float, ...]) -> None:
    x, y, width, height = box
    mask = np.zeros((15, 20), bool)
    mask[
        max(int(np.floor(y)), 0) : max(int(np.ceil(y + height)), 0),
        max(int(np.floor(x)), 0) : max(int(np.ceil(x + width)), 0),
    ] = True
    assert encode_box((x, y, width, height), 15, 20)["counts"] == text_of(mask)
