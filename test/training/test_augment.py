from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from yolact_ros.training.augment import AugmentSettings, View, draw_view, render, vary_colors
from yolact_ros.training.sample import MaskPatch, Sample

WIDTH, HEIGHT = 120, 80


def make_sample() -> Sample:
    random = np.random.default_rng(1)
    boxes = np.array([[10, 20, 40, 60], [70, 5, 110, 45], [100, 60, 118, 78]], np.float32)
    patches = tuple(
        MaskPatch(int(x1), int(y1), np.ones((int(y2 - y1), int(x2 - x1)), np.uint8))
        for x1, y1, x2, y2 in boxes
    )
    smooth = cv2.resize(random.integers(0, 255, (8, 12, 3)).astype(np.uint8), (WIDTH, HEIGHT))
    labelled = np.array([True, False])
    return Sample("a", smooth, boxes, np.array([0, 1, -1]), patches, labelled)


WHOLE = View(0, 0, WIDTH, HEIGHT)


def test_the_whole_view_is_a_plain_resize() -> None:
    sample = make_sample()
    image, inside, shown = render(sample, WHOLE, 64)
    expected = cv2.resize(sample.image_bgr, (64, 64), interpolation=cv2.INTER_LINEAR)
    assert np.abs(image - expected.astype(np.float32)).max() <= 1.5
    assert inside.all()
    np.testing.assert_allclose(
        shown.boxes_xyxy, sample.boxes_xyxy * np.array([64 / 120, 64 / 80] * 2), rtol=1e-5
    )


def mask_box(pixels: np.ndarray) -> np.ndarray:
    rows, columns = np.nonzero(pixels)
    return np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize(
    "rectangle", [(0, 0, 120, 80), (-30, -10, 150, 100), (5, 3, 115, 79), (-200, 0, 120, 160)]
)
def test_masks_fill_their_boxes_in_every_view(
    rectangle: tuple[float, float, float, float], mirrored: bool
) -> None:
    _, _, shown = render(make_sample(), View(*rectangle, mirrored=mirrored), 200)
    assert len(shown.masks) == 3
    for box, patch in zip(shown.boxes_xyxy, shown.masks, strict=True):
        assert np.abs(mask_box(patch.pixels) - box).max() <= 1.01


def test_the_image_moves_with_the_masks() -> None:
    sample = make_sample()
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    image[20:60, 10:40] = 255
    shown_image, inside, shown = render(
        replace(sample, image_bgr=image), View(-20, -10, 130, 95, mirrored=True), 160
    )
    bright = (shown_image[..., 0] > 127) & inside
    assert (bright != shown.masks[0].pixels.astype(bool)).mean() < 0.003


def test_mirroring_swaps_left_and_right_of_everything() -> None:
    sample = make_sample()
    image, _, shown = render(sample, WHOLE, 60)
    mirrored_image, _, mirrored = render(sample, replace(WHOLE, mirrored=True), 60)
    np.testing.assert_allclose(mirrored_image, image[:, ::-1], atol=1)
    np.testing.assert_allclose(mirrored.boxes_xyxy[:, [0, 2]], 60 - shown.boxes_xyxy[:, [2, 0]])
    for plain, swapped in zip(shown.masks, mirrored.masks, strict=True):
        assert np.array_equal(swapped.pixels, plain.pixels[:, ::-1])


def test_outside_the_image_is_marked() -> None:
    _, inside, _ = render(make_sample(), View(-120, 0, 120, 80), 60)
    assert not inside[:, :30].any()
    assert inside[:, 30:].all()
    _, inside, _ = render(make_sample(), View(-120, 0, 120, 80, mirrored=True), 60)
    assert inside[:, :30].all()


def test_objects_with_their_centre_outside_are_left_out_and_others_cut() -> None:
    _, _, shown = render(make_sample(), View(20, 0, 85, 80), 65)
    assert shown.class_ids.tolist() == [0]  # the second's centre is at x = 90
    np.testing.assert_allclose(shown.boxes_xyxy[0], [0, 20 * 65 / 80, 20, 60 * 65 / 80], rtol=1e-5)


def test_objects_that_become_too_narrow_are_left_out() -> None:
    _, _, shown = render(make_sample(), WHOLE, 24, min_object_px=4)
    assert shown.class_ids.tolist() == [0, 1]


def test_every_drawn_view_shows_the_centre_of_an_object() -> None:
    sample, random = make_sample(), np.random.default_rng(0)
    centers = ((sample.boxes_xyxy[:, :2] + sample.boxes_xyxy[:, 2:]) / 2)[:2]
    mirrored = 0
    for _ in range(300):
        view = draw_view(sample, AugmentSettings(), random)
        inside = (centers > (view.x1_px, view.y1_px)) & (centers < (view.x2_px, view.y2_px))
        assert inside.all(axis=1).any()
        mirrored += view.mirrored
    assert 110 < mirrored < 190


def test_views_are_as_large_as_the_settings_allow() -> None:
    sample, random = make_sample(), np.random.default_rng(0)
    views = [draw_view(sample, AugmentSettings(), random) for _ in range(500)]
    widths = np.array([view.x2_px - view.x1_px for view in views])
    assert 0.3 * WIDTH <= widths.min() < 0.4 * WIDTH
    assert 2.5 * WIDTH < widths.max() <= 4 * WIDTH
    assert 0.05 < np.isclose(widths, WIDTH).mean() < 0.25  # half not expanded, a fair part whole


def test_no_variation_shows_the_whole_image() -> None:
    view = draw_view(make_sample(), AugmentSettings.none(), np.random.default_rng(0))
    assert view == WHOLE


def test_an_image_of_crowds_only_is_shown_whole() -> None:
    sample = replace(make_sample(), class_ids=np.array([-1, -1, -1]))
    settings = AugmentSettings(expand_probability=0.0, mirror_probability=0.0)
    assert draw_view(sample, settings, np.random.default_rng(0)) == WHOLE


def test_colours_stay_without_variation() -> None:
    image = make_sample().image_bgr.astype(np.float32)
    same = vary_colors(image, AugmentSettings.none(), np.random.default_rng(0))
    assert np.array_equal(image, same)


def test_brightness_shifts_within_its_range_and_is_not_clipped() -> None:
    image = np.full((4, 4, 3), 250, np.float32)
    settings = replace(
        AugmentSettings(), color_probability=1.0, contrast=(1, 1), saturation=(1, 1), hue_deg=0
    )
    shifts = [
        float(vary_colors(image, settings, np.random.default_rng(seed)).mean() - 250)
        for seed in range(200)
    ]
    assert min(shifts) == pytest.approx(-32, abs=1)
    assert max(shifts) == pytest.approx(32, abs=1)


def test_grey_stays_grey_when_hue_and_saturation_vary() -> None:
    image = np.full((4, 4, 3), 100, np.float32)
    settings = replace(AugmentSettings(), brightness=0, contrast=(1, 1), color_probability=1.0)
    varied = vary_colors(image, settings, np.random.default_rng(0))
    np.testing.assert_allclose(varied, image, atol=1e-3)


def test_colour_changes_hit_each_half_of_the_time() -> None:
    image = np.random.default_rng(0).uniform(20, 200, (4, 4, 3)).astype(np.float32)
    only_contrast = replace(AugmentSettings(), brightness=0, saturation=(1, 1), hue_deg=0)
    changed = []
    for seed in range(300):
        varied = vary_colors(image, only_contrast, np.random.default_rng(seed))
        changed.append(not np.allclose(varied, image, atol=0.5))
    assert 0.4 < np.mean(changed) < 0.6
