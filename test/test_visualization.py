"""Overlay and label image."""

from __future__ import annotations

import numpy as np
import pytest

from yolact_ros.errors import ConfigError, ImageError
from yolact_ros.palette import class_color_bgr, instance_colors_bgr
from yolact_ros.prediction import Prediction
from yolact_ros.structures import MaskCrop
from yolact_ros.visualization import draw_overlay, label_image

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
        mask_crops=masks,
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


def test_labels_of_neighbours_do_not_cover_each_other() -> None:
    """Each label's plate keeps its size and its own colour."""
    crowd = prediction(*[(class_id, 40, 50, 30, 40) for class_id in (0, 1, 0, 1)])
    boxes = Prediction(
        crowd.image_height_px,
        crowd.image_width_px,
        crowd.class_ids,
        crowd.scores,
        crowd.boxes_xyxy,
    )
    black = np.zeros_like(GRAY)
    together = draw_overlay(black, boxes, NAMES)
    for index, color in enumerate(instance_colors_bgr(crowd.class_ids.tolist())):
        alone = Prediction(
            crowd.image_height_px,
            crowd.image_width_px,
            crowd.class_ids[index : index + 1],
            crowd.scores[index : index + 1],
            crowd.boxes_xyxy[index : index + 1],
        )
        own = class_color_bgr(int(crowd.class_ids[index]))
        plate = (draw_overlay(black, alone, NAMES) == own).all(axis=2).sum()
        box_outline = 2 * (30 + 40) - 4
        assert (together == color).all(axis=2).sum() >= plate - box_outline


@pytest.mark.parametrize("gray", [0, 90, 140, 255])
def test_a_label_is_readable_on_any_background(gray: int) -> None:
    image = np.full_like(GRAY, gray)
    for class_id in range(12):
        one = prediction((class_id, 20, 40, 100, 50))
        overlay = draw_overlay(image, one, [f"class{i}" for i in range(12)])
        plate = overlay[25:39, 22:90].reshape(-1, 3).astype(float)
        luma = plate @ (0.114, 0.587, 0.299)
        assert np.ptp(luma) > 90, class_id


def test_a_class_without_a_name_is_drawn_with_its_number() -> None:
    one = prediction((7, 20, 40, 40, 50))
    np.testing.assert_array_equal(
        draw_overlay(GRAY, one, NAMES), draw_overlay(GRAY, one, [""] * 7 + ["class 7"])
    )


def test_an_image_of_another_size_is_refused() -> None:
    with pytest.raises(ImageError, match="160 x 120"):
        draw_overlay(GRAY[:60], prediction((0, 20, 30, 40, 20)), NAMES)


def test_many_instances_are_drawn_too() -> None:
    rows = [(1, index % 160, index // 160 * 10 + 90, 1, 1) for index in range(300)]
    overlay = draw_overlay(GRAY, prediction(*rows), NAMES, alpha=1.0)
    assert overlay.shape == GRAY.shape


def test_an_unknown_palette_is_named() -> None:
    with pytest.raises(ConfigError, match=r"'neon'.*okabe-ito"):
        draw_overlay(GRAY, prediction((0, 20, 40, 40, 50)), NAMES, palette="neon")  # type: ignore[arg-type]


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
