"""Masks assembled on the device are those of the host, bit for bit but at the threshold."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from no_waiting import NoWaiting

from yolact_ros.ops import device_masks
from yolact_ros.ops.crops import assemble_mask_crops
from yolact_ros.ops.device_masks import (
    MaskGrid,
    crop_bytes,
    crops_from_bits,
    mask_planes,
    mask_rectangles,
    window_bits,
)
from yolact_ros.ops.masks import assemble_masks, mask_logits
from yolact_ros.ops.packing import unpack_bits
from yolact_ros.structures import MaskCrop

Scene = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


@pytest.fixture(autouse=True)
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that masks cross from one window into the next."""
    monkeypatch.setattr(device_masks, "WINDOW_BYTES", 100)


def scene(
    seed: int, count: int, height: int = 40, width: int = 40, k: int = 8, order: int = 0
) -> Scene:
    """Smooth prototypes, coefficients, boxes; some boxes leave the image, are tiny or turned."""
    random = np.random.default_rng(seed)
    coarse = torch.from_numpy(random.normal(size=(1, k, 7, 7)).astype(np.float32))
    smooth = F.interpolate(coarse, (height, width), mode="bilinear", align_corners=False)
    prototypes = smooth[0].permute(1, 2, 0).clamp(min=0).contiguous()
    coefficients = random.normal(size=(count, k + order**2)) * 2
    corners = random.uniform(-0.2, 1.1, (count, 2))
    sides = random.choice([-0.3, 0.01, 0.1, 0.5, 1.2], (count, 2)) * random.uniform(
        0, 1, (count, 2)
    )
    boxes = torch.from_numpy(np.concatenate((corners, corners + sides), axis=1).astype("f4"))
    return prototypes, torch.from_numpy(coefficients.astype(np.float32)), boxes


def grid_of(height_px: int, width_px: int, stride: int = 1) -> MaskGrid:
    sizes = (height_px, width_px, stride)
    return MaskGrid(*(torch.tensor(value, dtype=torch.int32) for value in sizes))


def on_device(
    arrays: Scene,
    height_px: int,
    width_px: int,
    stride: int = 1,
    count: int | None = None,
    crop_in_image: bool = False,
) -> list[MaskCrop]:
    """As a device would do it, window by window, and never waiting for a value."""
    prototypes, coefficients, boxes = arrays
    grid = grid_of(height_px, width_px, stride)
    number = torch.tensor(len(boxes) if count is None else count)
    size = (prototypes.shape[0], prototypes.shape[1])
    with torch.inference_mode(), NoWaiting():
        planes = mask_planes(prototypes, coefficients, boxes, crop_in_image=crop_in_image)
        rectangles = mask_rectangles(boxes, number, size, grid, crop_in_image=crop_in_image)
    host_rectangles = rectangles.numpy()
    windows = []
    for first_byte in range(0, crop_bytes(host_rectangles), device_masks.WINDOW_BYTES):
        first = torch.tensor(first_byte, dtype=torch.int32)
        with torch.inference_mode(), NoWaiting():
            windows.append(window_bits(planes, rectangles, grid, first))
    bits = torch.cat(windows).numpy() if windows else np.zeros(0, np.uint8)
    return crops_from_bits(host_rectangles, bits)


def on_host(
    arrays: Scene, height_px: int, width_px: int, stride: int = 1, crop_in_image: bool = False
) -> list[MaskCrop]:
    host = (array.numpy() for array in arrays)
    return assemble_mask_crops(
        *host, height_px, width_px, stride=stride, crop_in_image=crop_in_image
    )


def assert_same_masks(
    arrays: Scene, height_px: int, width_px: int, stride: int = 1, crop_in_image: bool = False
) -> None:
    """The same rectangles, and the same bits where the mask's value is not at the threshold."""
    ours, theirs = (
        make(arrays, height_px, width_px, stride, crop_in_image=crop_in_image)
        for make in (on_device, on_host)
    )
    assert len(ours) == len(theirs)
    values = F.interpolate(
        (mask_logits(*arrays) if crop_in_image else assemble_masks(*arrays) - 0.5)[None],
        (-(-height_px // stride), -(-width_px // stride)),
        mode="bilinear",
        align_corners=False,
    )[0].numpy()
    values = values.repeat(stride, axis=1).repeat(stride, axis=2)
    for mask, expected, value in zip(ours, theirs, values, strict=True):
        rectangle = (mask.x_offset, mask.y_offset, mask.width, mask.height)
        assert rectangle == (
            expected.x_offset,
            expected.y_offset,
            expected.width,
            expected.height,
        )
        rows = slice(mask.y_offset, mask.y_offset + mask.height)
        inside = value[rows, mask.x_offset : mask.x_offset + mask.width]
        bits, expected_bits = (
            unpack_bits(crop.bits, crop.height, crop.width) for crop in (mask, expected)
        )
        assert (np.abs(inside[bits != expected_bits]) < 1e-4).all()


@pytest.mark.parametrize(("width_px", "height_px"), [(160, 120), (163, 119), (40, 40), (33, 21)])
@pytest.mark.parametrize("stride", [1, 4])
@pytest.mark.parametrize("crop_in_image", [False, True])
def test_the_masks_are_those_of_the_host(
    width_px: int, height_px: int, stride: int, crop_in_image: bool
) -> None:
    assert_same_masks(scene(1, 20), height_px, width_px, stride, crop_in_image)


@settings(max_examples=40)
@given(
    seed=st.integers(0, 10_000),
    count=st.integers(1, 12),
    size=st.tuples(st.integers(5, 50), st.integers(5, 50)),
    image=st.tuples(st.integers(1, 120), st.integers(1, 120)),
    stride=st.integers(1, 5),
    crop_in_image=st.booleans(),
    order=st.integers(0, 4),
)
def test_any_sizes_give_the_masks_of_the_host(
    seed: int,
    count: int,
    size: tuple[int, int],
    image: tuple[int, int],
    stride: int,
    crop_in_image: bool,
    order: int,
) -> None:
    assert_same_masks(scene(seed, count, *size, order=order), *image, stride, crop_in_image)


def test_the_scene_has_masks_and_some_cross_a_window() -> None:
    crops = on_device(scene(1, 20), 120, 160)
    areas = [int(np.unpackbits(crop.bits).sum()) for crop in crops]
    assert sum(area > 0 for area in areas) >= 10
    assert sum(crop.bits.size for crop in crops) > 3 * device_masks.WINDOW_BYTES


def test_only_the_first_rows_have_rectangles() -> None:
    arrays = scene(1, 20)
    some, all_of_them = (on_device(arrays, 120, 160, count=count) for count in (7, 20))
    for mask, expected in zip(some[:7], all_of_them[:7], strict=True):
        np.testing.assert_array_equal(mask.bits, expected.bits)
    assert all(mask.bits.size == 0 for mask in some[7:])


def test_a_window_behind_the_end_of_the_string_is_empty() -> None:
    prototypes, coefficients, boxes = scene(1, 5)
    grid = grid_of(120, 160)
    planes = mask_planes(prototypes, coefficients, boxes, crop_in_image=False)
    rectangles = mask_rectangles(boxes, torch.tensor(5), (40, 40), grid, crop_in_image=False)
    behind = torch.tensor(crop_bytes(rectangles.numpy()), dtype=torch.int32)
    bits = window_bits(planes, rectangles, grid, behind)
    assert bits.shape == (device_masks.WINDOW_BYTES,)
    assert not bits.any()


def test_planes_are_the_papers_soft_masks_less_one_half() -> None:
    arrays = scene(3, 9)
    planes = mask_planes(*arrays, crop_in_image=False)
    torch.testing.assert_close(planes, assemble_masks(*arrays) - 0.5)
