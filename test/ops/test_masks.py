"""Mask assembly: the paper's way against the recorded reference, the fast way against that."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from yolact_ros.ops import contours, crops
from yolact_ros.ops.masks import (
    assemble_mask_crops,
    assemble_masks,
    binarize_masks,
    crop_masks,
)
from yolact_ros.ops.packing import unpack_bits
from yolact_ros.ops.scratch import Scratch
from yolact_ros.structures import MaskCrop

DATA = Path(__file__).parents[1] / "data"
Scene = tuple[np.ndarray, np.ndarray, np.ndarray]


@pytest.fixture(scope="module")
def unit() -> dict[str, np.ndarray]:
    with np.load(DATA / "unit.npz") as file:
        return {key: file[key] for key in file.files}


def scene(
    seed: int, count: int, size: int = 40, k: int = 8, spread: float = 2.0, order: int = 0
) -> Scene:
    """Smooth prototypes, coefficients and boxes; some boxes leave the image or are tiny."""
    random = np.random.default_rng(seed)
    coarse = torch.from_numpy(random.normal(size=(1, k, 7, 7)).astype(np.float32))
    smooth = F.interpolate(coarse, (size, size), mode="bilinear", align_corners=False)
    prototypes = smooth[0].permute(1, 2, 0).clamp(min=0).contiguous().numpy()
    coefficients = (random.normal(size=(count, k + order**2)) * spread).astype(np.float32)
    corners = random.uniform(-0.2, 1.1, (count, 2))
    sides = random.choice([0.01, 0.1, 0.5, 1.2], (count, 2)) * random.uniform(0, 1, (count, 2))
    boxes = np.concatenate((corners, corners + sides), axis=1).astype(np.float32)
    return prototypes, coefficients, boxes


DAMAGED_COLUMNS = slice(8, 11)


def damaged_scene(value: float) -> Scene:
    """One instance, sure of all its 20 x 20 pixels but of three columns: ``value`` there."""
    prototypes = np.zeros((20, 20, 2), np.float32)
    prototypes[..., 0] = 1
    prototypes[:, DAMAGED_COLUMNS, 0] = value
    boxes = np.array([[0.1, 0.1, 0.9, 0.9]], np.float32)
    return prototypes, np.array([[20.0, -20.0]], np.float32), boxes


def full_masks(found: list[MaskCrop], height_px: int, width_px: int) -> np.ndarray:
    masks = np.zeros((len(found), height_px, width_px), np.bool_)
    for mask, crop in zip(masks, found, strict=True):
        rows = slice(crop.y_offset, crop.y_offset + crop.height)
        window = mask[rows, crop.x_offset : crop.x_offset + crop.width]
        assert window.shape == (crop.height, crop.width), "the rectangle leaves the image"
        window[...] = unpack_bits(crop.bits, crop.height, crop.width)
    return masks


def check_equal_but_at_the_threshold(
    arrays: Scene, height_px: int, width_px: int, masks: np.ndarray
) -> None:
    """Equal to the paper's way, except where its value is within 1e-4 of one half."""
    soft = assemble_masks(*(torch.from_numpy(array) for array in arrays))
    values = F.interpolate(soft[None], (height_px, width_px), mode="bilinear")[0].numpy()
    differing = masks != (values > 0.5)
    assert (np.abs(values[differing] - 0.5) < 1e-4).all()


def inside_one_by_one(box: np.ndarray, height: int, width: int, padding: int = 1) -> np.ndarray:
    """Slow twin of the crop: the condition of each pixel."""
    inside = np.zeros((height, width), np.bool_)
    x1, x2 = sorted((box[0] * np.float32(width), box[2] * np.float32(width)))
    y1, y2 = sorted((box[1] * np.float32(height), box[3] * np.float32(height)))
    for row in range(height):
        for column in range(width):
            inside[row, column] = (
                max(x1 - padding, 0) <= column < min(x2 + padding, width)
                and max(y1 - padding, 0) <= row < min(y2 + padding, height)
            )  # fmt: skip
    return inside


def test_crops_are_the_references(unit: dict[str, np.ndarray]) -> None:
    masks = torch.from_numpy(unit["crop/masks_hwn"]).permute(2, 0, 1)
    cropped = crop_masks(masks, torch.from_numpy(unit["crop/boxes"]))
    np.testing.assert_array_equal(cropped.permute(1, 2, 0), unit["crop/out"])


@given(
    box=st.lists(st.floats(-0.25, 1.25, width=32), min_size=4, max_size=4),
    height=st.integers(1, 12),
    width=st.integers(1, 12),
    padding=st.integers(0, 2),
)
@settings(max_examples=80)
def test_a_pixel_stays_if_it_is_inside_the_padded_box(
    box: list[float], height: int, width: int, padding: int
) -> None:
    array = np.array(box, np.float32)
    cropped = crop_masks(torch.ones(1, height, width), torch.from_numpy(array)[None], padding)
    np.testing.assert_array_equal(
        cropped[0].bool(), inside_one_by_one(array, height, width, padding)
    )


def test_cropping_in_half_precision_counts_pixels_exactly() -> None:
    masks = torch.ones(1, 400, 400, dtype=torch.bfloat16)
    cropped = crop_masks(masks, torch.tensor([[0.25, 0.0, 0.75, 1.0]], dtype=torch.bfloat16))
    assert cropped.dtype == torch.bfloat16
    assert cropped[0, 0].nonzero().ravel().tolist() == list(range(99, 301))


def test_gradients_pass_through_the_crop() -> None:
    masks = torch.ones(1, 6, 6, requires_grad=True)
    crop_masks(masks, torch.tensor([[0.0, 0.0, 0.5, 0.5]])).sum().backward()
    assert masks.grad is not None
    assert masks.grad.sum() == 16


def test_soft_masks_are_the_references(unit: dict[str, np.ndarray]) -> None:
    soft = assemble_masks(
        torch.from_numpy(unit["assembly/proto_hwk"]),
        torch.from_numpy(unit["assembly/coef"]),
        torch.from_numpy(unit["assembly/boxes"]),
    )
    expected = unit["assembly/lowres_sigmoid_cropped_hwn"]
    np.testing.assert_allclose(soft.permute(1, 2, 0), expected, atol=1e-6)
    binary = binarize_masks(soft, 120, 160)
    np.testing.assert_array_equal(binary.sum(dim=(1, 2)), unit["assembly/out_areas"])


def test_the_references_masks_come_out_of_the_fast_way(unit: dict[str, np.ndarray]) -> None:
    crops = assemble_mask_crops(
        unit["assembly/proto_hwk"], unit["assembly/coef"], unit["assembly/boxes"], 120, 160
    )
    bits = np.unpackbits(unit["assembly/out_masks_160x120_bits"], axis=1)
    expected = bits.reshape(7, 120, 160).astype(np.bool_)
    differing = full_masks(crops, 120, 160) != expected
    assert differing.sum() <= 2


@pytest.mark.parametrize(
    ("height_px", "width_px"), [(480, 640), (61, 333), (40, 40), (25, 19), (1, 1), (720, 7)]
)
def test_the_fast_way_gives_the_papers_masks(height_px: int, width_px: int) -> None:
    arrays = scene(height_px, 25)
    crops = assemble_mask_crops(*arrays, height_px, width_px)
    masks = full_masks(crops, height_px, width_px)
    assert masks.any()
    check_equal_but_at_the_threshold(arrays, height_px, width_px, masks)


@given(
    seed=st.integers(0, 10_000),
    height_px=st.integers(1, 90),
    width_px=st.integers(1, 250),
    order=st.integers(0, 4),
)
@settings(max_examples=80)
def test_the_fast_way_gives_the_same_masks_at_any_size(
    seed: int, height_px: int, width_px: int, order: int
) -> None:
    arrays = scene(seed, 5, size=17, order=order)
    masks = full_masks(assemble_mask_crops(*arrays, height_px, width_px), height_px, width_px)
    check_equal_but_at_the_threshold(arrays, height_px, width_px, masks)


def test_a_mask_that_fills_the_image_is_complete() -> None:
    prototypes = np.ones((20, 20, 1), np.float32)
    everything = np.array([[0, 0, 1, 1]], np.float32)
    (crop,) = assemble_mask_crops(prototypes, np.array([[9]], np.float32), everything, 97, 129)
    assert (crop.x_offset, crop.y_offset) == (0, 0)
    assert unpack_bits(crop.bits, crop.height, crop.width).shape == (97, 129)
    assert unpack_bits(crop.bits, crop.height, crop.width).all()


def test_a_rectangle_is_no_larger_than_what_its_mask_can_reach() -> None:
    """With prototypes that set every pixel they may, the mask fills its rectangle's rows."""
    prototypes = np.ones((138, 138, 1), np.float32)
    random = np.random.default_rng(3)
    corners = random.uniform(0, 0.7, (30, 2))
    boxes = np.concatenate((corners, corners + 0.25), axis=1).astype(np.float32)
    for crop in assemble_mask_crops(prototypes, np.full((30, 1), 60.0, "f4"), boxes, 480, 640):
        mask = unpack_bits(crop.bits, crop.height, crop.width)
        assert mask.any(axis=0).all()
        assert mask.any(axis=1).all()


def test_masks_without_a_pixel_have_no_rectangle() -> None:
    prototypes, _, _ = scene(1, 1)
    outside_or_negative = np.array([[2, 2, 3, 3], [-1, 0.1, -0.5, 0.2], [0.2, 0.2, 0.8, 0.8]])
    coefficients = np.full((3, 8), -9, np.float32)
    for crop in assemble_mask_crops(
        prototypes, coefficients, outside_or_negative.astype(np.float32), 48, 64
    ):
        assert (crop.width, crop.height, crop.bits.size) == (0, 0, 0)


def test_huge_boxes_and_coefficients_are_no_problem() -> None:
    prototypes, _, _ = scene(2, 1)
    boxes = np.array([[-1e30, -1e30, 1e30, 1e30]] * 2, np.float32)
    coefficients = np.stack((np.full(8, 1e30), np.full(8, -1e30))).astype(np.float32)
    arrays = (prototypes, coefficients, boxes)
    with np.errstate(all="raise"):
        masks = full_masks(assemble_mask_crops(*arrays, 48, 64), 48, 64)
    check_equal_but_at_the_threshold(arrays, 48, 64, masks)


@pytest.mark.parametrize(
    ("damage", "like"),
    [(np.nan, -1.0), (-np.inf, -1.0), (np.inf, 1.0)],
    ids=["not a number", "minus infinity", "infinity"],
)
def test_prototypes_that_are_not_finite_are_set_only_where_infinitely_sure(
    damage: float, like: float
) -> None:
    prototypes, coefficients, boxes = damaged_scene(damage)
    (crop,) = assemble_mask_crops(prototypes, coefficients, boxes, 48, 64)
    certain, _, _ = damaged_scene(like * 1e6)
    (expected,) = assemble_mask_crops(certain, coefficients, boxes, 48, 64)
    assert expected.bits.any()
    np.testing.assert_array_equal(crop.bits, expected.bits)


def test_products_that_overflow_spoil_nothing_beside_them() -> None:
    """What they give themselves is the CPU's matter: NaN, or with fused products infinity."""
    prototypes, coefficients, boxes = damaged_scene(0.0)
    (expected,) = full_masks(assemble_mask_crops(prototypes, coefficients, boxes, 48, 60), 48, 60)
    prototypes[:, DAMAGED_COLUMNS] = 1e38
    coefficients = np.array([[1e38, -1e38]], np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        crops = assemble_mask_crops(prototypes, coefficients, boxes, 48, 60)
    (mask,) = full_masks(crops, 48, 60)
    reached = slice(3 * (DAMAGED_COLUMNS.start - 1), 3 * (DAMAGED_COLUMNS.stop + 1))
    mask[:, reached] = expected[:, reached] = False
    assert expected.any()
    np.testing.assert_array_equal(mask, expected)


def test_memory_that_is_used_again_changes_nothing() -> None:
    """Neither the next masks nor those of the call before, whose bits the caller keeps."""
    scratch = Scratch()
    first, second = scene(9, 30), scene(10, 12)
    kept = assemble_mask_crops(*first, 240, 320, scratch=scratch)
    masks = full_masks(kept, 240, 320)
    assert masks.any()
    again = full_masks(assemble_mask_crops(*second, 240, 320, scratch=scratch), 240, 320)
    np.testing.assert_array_equal(
        again, full_masks(assemble_mask_crops(*second, 240, 320), 240, 320)
    )
    np.testing.assert_array_equal(full_masks(kept, 240, 320), masks)


def test_more_than_is_held_at_a_time_gives_the_same_masks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arrays = scene(11, 30)
    together = full_masks(assemble_mask_crops(*arrays, 240, 320), 240, 320)
    monkeypatch.setattr(crops, "MAX_VALUES", 5000)
    monkeypatch.setattr(contours, "MAX_CELLS", 50)
    np.testing.assert_array_equal(
        full_masks(assemble_mask_crops(*arrays, 240, 320), 240, 320), together
    )


def test_no_instances_give_no_masks() -> None:
    prototypes, coefficients, boxes = scene(4, 0)
    assert assemble_mask_crops(prototypes, coefficients, boxes, 48, 64) == []


def test_prototypes_of_any_memory_layout_are_taken() -> None:
    prototypes, coefficients, boxes = scene(5, 6)
    planar = np.ascontiguousarray(prototypes.transpose(2, 0, 1)).transpose(1, 2, 0)
    expected = assemble_mask_crops(prototypes, coefficients, boxes, 48, 64)
    for ours, theirs in zip(
        assemble_mask_crops(planar, coefficients, boxes, 48, 64), expected, strict=True
    ):
        np.testing.assert_array_equal(ours.bits, theirs.bits)


@pytest.mark.parametrize("size", [(48, 64), (49, 63), (1, 2)])
@pytest.mark.parametrize("stride", [2, 3])
def test_coarser_masks_are_those_of_a_smaller_image_enlarged(
    stride: int, size: tuple[int, int]
) -> None:
    height_px, width_px = size
    arrays = scene(8, 12)
    arrays[2][0] = (0, 0, 1, 1)
    arrays[1][0] = 99  # reaches the image's last row and column
    small = (-(-height_px // stride), -(-width_px // stride))
    expected = full_masks(assemble_mask_crops(*arrays, *small), *small)
    expected = expected.repeat(stride, axis=1).repeat(stride, axis=2)
    coarse = assemble_mask_crops(*arrays, height_px, width_px, stride=stride)
    masks = full_masks(coarse, height_px, width_px)
    np.testing.assert_array_equal(masks, expected[:, :height_px, :width_px])
