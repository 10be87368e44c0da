"""Masks cut off at the box in the image, of images with a border: against every pixel's value."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from yolact_ros.config import InputShape
from yolact_ros.ops.cosines import SCALE
from yolact_ros.ops.crops import assemble_mask_crops
from yolact_ros.ops.packing import unpack_bits
from yolact_ros.ops.placement import Placement, place_image
from yolact_ros.structures import MaskCrop

K = 4


def scene(
    seed: int, instances: int, cells: tuple[int, int], order: int = 0
) -> tuple[np.ndarray, ...]:
    """Smooth prototypes of the whole input, coefficients, and boxes relative to the image."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[: cells[0], : cells[1]] / max(cells)
    waves = random.uniform(-9, 9, (2, K)), random.uniform(0, 6, K)
    prototypes = np.cos(y[..., None] * waves[0][0] + x[..., None] * waves[0][1] + waves[1])
    starts = random.uniform(-0.1, 0.9, (instances, 2))
    ends = starts + random.uniform(0.05, 0.6, (instances, 2))
    coefficients = random.normal(size=(instances, K + order**2)) * 3
    boxes = np.concatenate((starts, ends), axis=1)
    return tuple(values.astype(np.float32) for values in (prototypes, coefficients, boxes))


def fast(arrays: tuple[np.ndarray, ...], place: Placement, size_px: tuple[int, int]) -> np.ndarray:
    prototypes, coefficients, boxes = arrays
    crop = place.crop(prototypes)
    crops = assemble_mask_crops(
        crop.prototypes,
        coefficients,
        boxes,
        *size_px,
        shown=(crop.rows, crop.columns),
        crop_in_image=True,
    )
    return np.stack([full_mask(crop, size_px) for crop in crops])


def full_mask(crop: MaskCrop, size_px: tuple[int, int]) -> np.ndarray:
    mask = np.zeros(size_px, np.bool_)
    rows = slice(crop.y_offset, crop.y_offset + crop.height)
    columns = slice(crop.x_offset, crop.x_offset + crop.width)
    mask[rows, columns] = unpack_bits(crop.bits, crop.height, crop.width)
    return mask


def inside(boxes: np.ndarray, size_px: tuple[int, int]) -> np.ndarray:
    """Which pixels (bool[n, h, w]) have their index in the box."""
    height_px, width_px = size_px
    left, top, right, bottom = (boxes * np.array([width_px, height_px] * 2, np.float32)).T
    x, y = np.arange(width_px), np.arange(height_px)
    columns = (x >= left[:, None]) & (x < right[:, None])
    rows = (y >= top[:, None]) & (y < bottom[:, None])
    return rows[:, :, None] & columns[:, None, :]


def values_of(
    arrays: tuple[np.ndarray, ...], place: Placement, size_px: tuple[int, int]
) -> np.ndarray:
    """Slow twin: the interpolated logit of every pixel, float64[n, h, w]."""
    prototypes, coefficients, boxes = arrays
    logits = np.einsum("hwk,nk->nhw", prototypes.astype(np.float64), coefficients[:, :K])
    logits += shapes_one_by_one(coefficients[:, K:], boxes, place, logits.shape[1:])
    for axis, first_px, shown_px, input_px, pixels in (
        (1, place.top_px, place.height_px, place.input_height_px, size_px[0]),
        (2, place.left_px, place.width_px, place.input_width_px, size_px[1]),
    ):
        cells = logits.shape[axis]
        in_input = first_px + (np.arange(pixels) + 0.5) * shown_px / pixels
        positions = in_input * cells / input_px - 0.5
        edges = np.array([first_px, first_px + shown_px]) * cells / input_px
        if np.all(edges == np.round(edges)):  # the border's cells have no influence
            positions = positions.clip(edges[0], edges[1] - 1)
        logits = np.apply_along_axis(
            lambda line, at=positions: np.interp(at, np.arange(len(line)), line), axis, logits
        )
    return logits


def shapes_one_by_one(
    terms: np.ndarray, boxes: np.ndarray, place: Placement, cells: tuple[int, ...]
) -> np.ndarray:
    """Slow twin: the cosines of each instance at each cell of the input."""
    order = math.isqrt(terms.shape[1])
    logits = np.zeros((len(terms), *cells))
    for n, y, x, i, j in np.ndindex(*logits.shape, order, order):
        left, top, right, bottom = boxes[n].astype(float)
        y_px = (y + 0.5) * place.input_height_px / cells[0] - place.top_px
        x_px = (x + 0.5) * place.input_width_px / cells[1] - place.left_px
        v = (y_px / place.height_px - top) / (bottom - top)
        u = (x_px / place.width_px - left) / (right - left)
        wave = math.cos(math.pi * i * v) * math.cos(math.pi * j * u)
        logits[n, y, x] += SCALE * terms[n, i * order + j] * wave
    return logits


@pytest.mark.parametrize("order", [0, 2])
@pytest.mark.parametrize(
    ("size_px", "shape"),
    [
        ((48, 64), InputShape(64, 64)),
        ((37, 90), InputShape(64, 64)),
        ((90, 37), InputShape(64, 64)),
        ((61, 83), InputShape(96, 128)),
        ((61, 83), InputShape(96, 96, 32)),
        ((1, 50), InputShape(64, 64)),
    ],
    ids=str,
)
def test_a_pixel_is_set_where_its_logit_is_above_0_in_its_box(
    size_px: tuple[int, int], shape: InputShape, order: int
) -> None:
    place = place_image(*size_px, shape, keep_aspect_ratio=True)
    arrays = scene(3, 10, (place.input_height_px // 4, place.input_width_px // 4), order)
    check(arrays, place, size_px)


@given(
    seed=st.integers(0, 10_000),
    height_px=st.integers(1, 150),
    width_px=st.integers(1, 150),
    stride_px=st.sampled_from([0, 32]),
)
@settings(max_examples=60)
def test_every_size_of_image_has_its_pixels_set(
    seed: int, height_px: int, width_px: int, stride_px: int
) -> None:
    size_px = (height_px, width_px)
    place = place_image(*size_px, InputShape(64, 96, stride_px), keep_aspect_ratio=True)
    check(scene(seed, 4, (place.input_height_px // 4, place.input_width_px // 4)), place, size_px)


def check(arrays: tuple[np.ndarray, ...], place: Placement, size_px: tuple[int, int]) -> None:
    values, inner = values_of(arrays, place, size_px), inside(arrays[2], size_px)
    differing = fast(arrays, place, size_px) != ((values > 0) & inner)
    assert not (differing & (np.abs(values) > 1e-4)).any()


@pytest.mark.parametrize("size_px", [(480, 640), (427, 640), (333, 500), (500, 353)], ids=str)
def test_masks_are_those_of_enlarging_cutting_and_resizing(size_px: tuple[int, int]) -> None:
    """Ultralytics' way, with steps in between where the border ends inside of a cell."""
    place = place_image(*size_px, InputShape(320, 320), keep_aspect_ratio=True)
    prototypes, coefficients, boxes = arrays = scene(5, 12, (80, 80))
    border_px = (place.top_px, place.left_px, place.height_px, place.width_px)
    times = 4 // math.gcd(4, *border_px)
    logits = torch.einsum("hwk,nk->nhw", torch.from_numpy(prototypes), torch.tensor(coefficients))
    finer = F.interpolate(logits[None], scale_factor=times, mode="bilinear")
    top, left, height, width = (side * times // 4 for side in border_px)
    shown = finer[:, :, top : top + height, left : left + width]
    expected = (F.interpolate(shown, size_px, mode="bilinear")[0] > 0).numpy()
    expected &= inside(boxes, size_px)
    found = fast(arrays, place, size_px)
    for one, other in zip(expected, found, strict=True):
        assert (one & other).sum() >= 0.99 * (one | other).sum() - 1
    if times == 1:
        assert (expected != found).sum() <= 2


def test_coarse_masks_end_at_the_box_too() -> None:
    place = place_image(48, 64, InputShape(64, 64), keep_aspect_ratio=True)
    prototypes = np.ones((16, 16, 1), np.float32)
    box = np.array([[0.25, 0.25, 0.75, 0.75]], np.float32)
    crop = place.crop(prototypes)
    (found,) = assemble_mask_crops(
        crop.prototypes,
        np.ones((1, 1), np.float32),
        box,
        48,
        64,
        stride=4,
        shown=(crop.rows, crop.columns),
        crop_in_image=True,
    )
    assert (found.x_offset, found.y_offset, found.width, found.height) == (16, 12, 32, 24)


@pytest.mark.parametrize("value", [np.inf, 3e38, -3e38])
def test_huge_logits_set_or_leave_whole_boxes(value: float) -> None:
    place = place_image(48, 64, InputShape(64, 64), keep_aspect_ratio=True)
    prototypes = np.full((16, 16, 1), 1e30, np.float32)
    coefficients = np.array([[value if np.isfinite(value) else 3e38]], np.float32)
    box = np.array([[0.25, 0.25, 0.75, 0.75]], np.float32)
    with np.errstate(over="ignore"):
        mask = fast((prototypes, coefficients, box), place, (48, 64))
    assert mask.sum() == (32 * 24 if value > 0 else 0)
