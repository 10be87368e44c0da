"""Outlines of masks and the trapezoids between them, against the masks themselves."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from yolact_ros.ops.outlines import mask_rings, trapezoids
from yolact_ros.structures import MaskCrop


def crop_of(mask: np.ndarray, x_offset: int = 0, y_offset: int = 0) -> MaskCrop:
    height, width = mask.shape
    return MaskCrop(x_offset, y_offset, width, height, np.packbits(mask))


def blobs(seed: int, shape: tuple[int, int] = (90, 120)) -> np.ndarray:
    """Smooth parts with holes in them."""
    noise = np.random.default_rng(seed).random(shape).astype(np.float32)
    return cv2.GaussianBlur(noise, (0, 0), 4) > 0.5


def ring_area(ring: np.ndarray) -> float:
    x, y = ring.T
    return abs(float(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1)))) / 2


def trapezoid_area(corners: np.ndarray) -> float:
    top_left, top_right, bottom_left, bottom_right = corners
    height = bottom_left[1] - top_left[1]
    return float(height * (top_right[0] - top_left[0] + bottom_right[0] - bottom_left[0]) / 2)


def test_a_rectangle_has_its_four_corners_in_the_image() -> None:
    (ring,) = mask_rings(crop_of(np.ones((5, 8), bool), x_offset=20, y_offset=10))
    assert sorted(map(tuple, ring.tolist())) == [(20, 10), (20, 14), (27, 10), (27, 14)]


def test_holes_and_separate_parts_are_rings_of_their_own() -> None:
    mask = np.zeros((30, 40), bool)
    mask[2:28, 2:20] = True
    mask[10:20, 6:14] = False
    mask[5:10, 30:38] = True
    rings = mask_rings(crop_of(mask))
    # A hole's border runs through the pixels around it.
    assert sorted(map(ring_area, rings)) == pytest.approx([4 * 7, 11 * 9 - 2, 25 * 17])


def test_nothing_comes_of_nothing() -> None:
    assert mask_rings(crop_of(np.zeros((4, 4), bool))) == []
    assert mask_rings(MaskCrop(0, 0, 0, 0, np.zeros(0, np.uint8))) == []
    assert mask_rings(crop_of(np.ones((1, 1), bool))) == []
    assert trapezoids([]).shape == (0, 4, 2)


@pytest.mark.parametrize("seed", range(3))
def test_a_simplified_outline_stays_near_the_true_one(seed: int) -> None:
    crop = crop_of(blobs(seed))
    exact, simple = mask_rings(crop), mask_rings(crop, tolerance_px=1.0)
    assert sum(map(len, simple)) < 0.6 * sum(map(len, exact))
    border = np.concatenate(exact)
    for point in np.concatenate(simple):
        assert np.hypot(*(border - point).T).min() <= 1.5


@pytest.mark.parametrize("tolerance_px", [0.0, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_trapezoids_cover_the_mask_and_not_its_holes(seed: int, tolerance_px: float) -> None:
    mask = blobs(seed)
    rings = mask_rings(crop_of(mask), tolerance_px)
    painted = np.zeros(mask.shape, np.uint8)
    for corners in trapezoids(rings):
        # fillConvexPoly goes around; the corners come row by row.
        around = np.round(corners[[0, 1, 3, 2]]).astype(np.int32)
        cv2.fillConvexPoly(painted, around, 1)
    differing = (painted.astype(bool) != mask).mean()
    assert differing < (0.02 if tolerance_px == 0 else 0.05)


@pytest.mark.parametrize("seed", range(3))
def test_the_area_of_the_trapezoids_is_that_of_the_rings(seed: int) -> None:
    rng = np.random.default_rng(seed)
    angles = np.sort(rng.uniform(0, 2 * np.pi, 12))
    star = np.stack([np.cos(angles), np.sin(angles)], 1) * rng.uniform(20, 40, (12, 1))
    hole = np.array([[-1.0, -1.0], [1.0, -0.5], [0.5, 1.0]])
    area = sum(map(trapezoid_area, trapezoids([star, hole])))
    inside = np.hypot(*star.T).min() > 10
    assert inside
    assert area == pytest.approx(ring_area(star) - ring_area(hole))
