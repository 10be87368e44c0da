"""Overlay and label image."""

from __future__ import annotations

import numpy as np
import pytest

from yolact_ros.errors import ConfigError
from yolact_ros.structures import MaskCrop, Prediction
from yolact_ros.visualization import PALETTES, class_color_bgr, draw_overlay, label_image

NAMES = ("person", "dog")
GRAY = np.full((120, 160, 3), 128, np.uint8)


def prediction(*rows: tuple[int, int, int, int, int]) -> Prediction:
    """Instances (class, x_min, y_min, width, height) whose masks fill their boxes."""
    masks = tuple(
        MaskCrop(x, y, w, h, np.packbits(np.ones((h, w), np.bool_))) for _, x, y, w, h in rows
    )
    return Prediction(
        image_height_px=120,
        image_width_px=160,
        class_ids=np.array([row[0] for row in rows], np.int64),
        scores=np.linspace(0.9, 0.4, len(rows), dtype=np.float32),
        boxes_xyxy=np.array([(x, y, x + w, y + h) for _, x, y, w, h in rows], np.float32).reshape(
            -1, 4
        ),
        masks=masks,
    )


def test_an_empty_prediction_leaves_the_image_as_it_is() -> None:
    overlay = draw_overlay(GRAY, prediction(), NAMES)
    np.testing.assert_array_equal(overlay, GRAY)
    assert overlay is not GRAY


def test_the_input_image_is_not_changed() -> None:
    image = GRAY.copy()
    draw_overlay(image, prediction((0, 20, 30, 40, 50)), NAMES)
    np.testing.assert_array_equal(image, GRAY)


def test_a_mask_is_blended_inside_and_nothing_changes_far_from_it() -> None:
    overlay = draw_overlay(GRAY, prediction((0, 20, 40, 40, 50)), NAMES, alpha=0.5)
    color = np.array(class_color_bgr(0), float)
    np.testing.assert_allclose(overlay[65, 40], (128 + color) / 2, atol=1)
    np.testing.assert_array_equal(overlay[:, 120:], GRAY[:, 120:])


def test_the_mask_shape_counts_and_not_its_rectangle() -> None:
    triangle = np.tri(40, 40, dtype=np.bool_)
    one = prediction((0, 20, 40, 40, 40))
    masks = (MaskCrop(20, 40, 40, 40, np.packbits(triangle)),)
    one = Prediction(120, 160, one.class_ids, one.scores, one.boxes_xyxy, masks)
    overlay = draw_overlay(GRAY, one, NAMES)
    assert (overlay[70, 25] != 128).any()
    assert (overlay[50, 55] == 128).all()


def test_without_masks_boxes_and_names_are_drawn() -> None:
    one = prediction((0, 20, 40, 40, 50))
    boxes = Prediction(120, 160, one.class_ids, one.scores, one.boxes_xyxy)
    overlay = draw_overlay(GRAY, boxes, NAMES)
    assert (overlay[65, 20] == class_color_bgr(0)).all()
    assert (overlay[65, 40] == 128).all()


def test_the_best_instance_is_drawn_on_top() -> None:
    overlay = draw_overlay(
        GRAY, prediction((0, 20, 40, 40, 50), (1, 20, 40, 40, 50)), NAMES, alpha=1.0
    )
    assert (overlay[65, 40] == class_color_bgr(0)).all()


def test_instances_of_one_class_can_be_told_apart() -> None:
    overlay = draw_overlay(
        GRAY, prediction((0, 10, 40, 30, 50), (0, 60, 40, 30, 50)), NAMES, alpha=1.0
    )
    assert (overlay[65, 25] != overlay[65, 75]).any()


def test_boxes_partly_outside_and_empty_masks_are_drawn_without_error() -> None:
    odd = Prediction(
        120,
        160,
        np.array([0, 1]),
        np.array([0.9, 0.8], np.float32),
        np.array([[150, 0, 160, 3], [0, 110, 5, 120]], np.float32),
        (
            MaskCrop(0, 0, 0, 0, np.zeros(0, np.uint8)),
            MaskCrop(0, 110, 1, 1, np.array([128], "u1")),
        ),
    )
    assert draw_overlay(GRAY, odd, NAMES).shape == GRAY.shape


@pytest.mark.parametrize("palette", PALETTES)
def test_every_class_of_a_small_model_has_its_own_color(palette: str) -> None:
    colors = [class_color_bgr(class_id, palette) for class_id in range(7)]
    assert len(set(colors)) == 7
    assert colors == [class_color_bgr(class_id, palette) for class_id in range(7)]


def test_an_unknown_palette_is_named() -> None:
    with pytest.raises(ConfigError, match=r"'neon'.*okabe_ito"):
        draw_overlay(GRAY, prediction((0, 20, 40, 40, 50)), NAMES, palette="neon")


def test_the_label_image_holds_rows_and_the_better_one_wins() -> None:
    labels = label_image(prediction((0, 10, 10, 20, 20), (1, 20, 20, 20, 20)))
    assert labels.dtype == np.uint8
    assert labels.shape == (120, 160)
    assert labels[15, 15] == 1
    assert labels[25, 25] == 1
    assert labels[35, 35] == 2
    assert (labels > 0).sum() == 400 + 400 - 100


def test_label_images_of_many_instances_have_16_bits() -> None:
    rows = [(0, index % 160, index // 160, 1, 1) for index in range(256)]
    labels = label_image(prediction(*rows))
    assert labels.dtype == np.uint16
    assert labels[1, 95] == 256
