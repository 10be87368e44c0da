"""Pictures of predictions: overlay and label image."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from yolact_ros.errors import ConfigError
from yolact_ros.ops.packing import unpack_bits
from yolact_ros.structures import MaskCrop, Prediction

__all__ = ["PALETTES", "class_color_bgr", "draw_overlay", "label_image"]

Color = tuple[int, int, int]

PALETTES = ("vivid", "okabe_ito")

# Okabe and Ito's eight colours, which people with any colour blindness tell apart (Color Universal
# Design, 2008), less black, which is invisible on dark images. RGB.
_OKABE_ITO_RGB: tuple[Color, ...] = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
)
# Neighbouring class ids get hues far apart: the golden angle never repeats.
_GOLDEN_TURN = 0.6180339887498949
_FIRST_HUE = 0.08
# Instances of one class keep its hue and differ in lightness: none, towards white, towards black.
_SHADES = (0.0, 0.45, -0.4)
_REFERENCE_SIDE_PX = 480
MAX_MONO8_INSTANCES = 255


@lru_cache(maxsize=1024)
def class_color_bgr(class_id: int, palette: str = "vivid") -> Color:
    """Colour of a class, the same in every frame and every run.

    Raises:
        ConfigError: no such palette.
    """
    if palette == "okabe_ito":
        red, green, blue = _OKABE_ITO_RGB[class_id % len(_OKABE_ITO_RGB)]
        return blue, green, red
    if palette != "vivid":
        raise ConfigError(f"no palette {palette!r}; choose one of {PALETTES}")
    hue = (_FIRST_HUE + class_id * _GOLDEN_TURN) % 1.0
    red_f, green_f, blue_f = colorsys.hsv_to_rgb(hue, 0.85, 1.0)
    return round(blue_f * 255), round(green_f * 255), round(red_f * 255)


def draw_overlay(
    image_bgr: NDArray[np.uint8],
    prediction: Prediction,
    class_names: Sequence[str],
    *,
    alpha: float = 0.45,
    palette: str = "vivid",
) -> NDArray[np.uint8]:
    """The image with masks, their contours, boxes and names; the highest score on top.

    Args:
        image_bgr (uint8[H, W, 3]): not changed.
        prediction: of this image; without masks only boxes and names are drawn.
        class_names: the index is the class id.
        alpha: opacity of the masks, 0..1.
        palette: one of :data:`PALETTES`; ``okabe_ito`` is safe for colour-blind people.

    Returns:
        uint8[H, W, 3], a new array.

    Raises:
        ConfigError: no such palette.
    """
    overlay = image_bgr.copy()
    scale = float(np.clip(min(image_bgr.shape[:2]) / _REFERENCE_SIDE_PX, 0.6, 3.0))
    thickness = max(round(1.5 * scale), 1)
    colors = _instance_colors(prediction, palette)
    for row in reversed(range(len(prediction.masks))):
        _draw_mask(overlay, prediction.masks[row], colors[row], alpha, thickness)
    for row in reversed(range(len(prediction))):
        x_min, y_min, x_max, y_max = (round(float(edge)) for edge in prediction.boxes_xyxy[row])
        cv2.rectangle(overlay, (x_min, y_min), (x_max - 1, y_max - 1), colors[row], 1)
    for row in reversed(range(len(prediction))):
        name = class_names[int(prediction.class_ids[row])]
        text = f"{name} {prediction.scores[row]:.2f}"
        corner = (float(prediction.boxes_xyxy[row, 0]), float(prediction.boxes_xyxy[row, 1]))
        _draw_label(overlay, text, corner, colors[row], scale)
    return overlay


def label_image(prediction: Prediction) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Which instance each pixel belongs to: its row + 1, 0 = background; the higher score wins.

    Returns:
        uint8[H, W], uint16 for more than 255 instances.
    """
    dtype = np.uint8 if len(prediction) <= MAX_MONO8_INSTANCES else np.uint16
    labels = np.zeros((prediction.image_height_px, prediction.image_width_px), dtype)
    for row in reversed(range(len(prediction.masks))):
        mask = prediction.masks[row]
        _window(labels, mask)[unpack_bits(mask.bits, mask.height, mask.width)] = row + 1
    return labels


def _instance_colors(prediction: Prediction, palette: str) -> list[Color]:
    """One colour an instance: its class's, lighter or darker for the class's further ones."""
    seen: dict[int, int] = {}
    colors = []
    for class_id in prediction.class_ids.tolist():
        rank = seen.get(class_id, 0)
        seen[class_id] = rank + 1
        shade = _SHADES[rank % len(_SHADES)]
        target = 255.0 if shade > 0 else 0.0
        channels = class_color_bgr(class_id, palette)
        blue, green, red = (round(c + (target - c) * abs(shade)) for c in channels)
        colors.append((blue, green, red))
    return colors


def _draw_mask(
    overlay: NDArray[np.uint8], mask: MaskCrop, color: Color, alpha: float, thickness: int
) -> None:
    if mask.width == 0 or mask.height == 0:
        return
    inside = unpack_bits(mask.bits, mask.height, mask.width).view(np.uint8)
    window = _window(overlay, mask)
    # addWeighted on the whole rectangle and one masked copy: 7 times faster than indexing with
    # the boolean mask.
    tint = np.empty_like(window)
    tint[:] = color
    blended = cv2.addWeighted(window, 1.0 - alpha, tint, alpha, 0.0)
    cv2.copyTo(blended, inside, window)
    contours, _ = cv2.findContours(inside, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(
        overlay, contours, -1, color, thickness, offset=(mask.x_offset, mask.y_offset)
    )


def _draw_label(
    overlay: NDArray[np.uint8],
    text: str,
    corner: tuple[float, float],
    color: Color,
    scale: float,
) -> None:
    """A name on a filled plate above the box, or inside it at the image's upper edge."""
    font, font_scale, weight = cv2.FONT_HERSHEY_SIMPLEX, 0.45 * scale, max(round(scale), 1)
    (width, height), baseline = cv2.getTextSize(text, font, font_scale, weight)
    plate_height = height + baseline + 2
    left = int(np.clip(corner[0], 0, max(overlay.shape[1] - width - 4, 0)))
    top = int(corner[1]) - plate_height
    if top < 0:
        top = max(int(corner[1]), 0)
    cv2.rectangle(overlay, (left, top), (left + width + 3, top + plate_height), color, -1)
    blue, green, red = color
    dark_text = 0.114 * blue + 0.587 * green + 0.299 * red > 140
    ink = (0, 0, 0) if dark_text else (255, 255, 255)
    position = (left + 2, top + height + 2)
    cv2.putText(overlay, text, position, font, font_scale, ink, weight, cv2.LINE_AA)


def _window(image: NDArray[Any], mask: MaskCrop) -> NDArray[Any]:
    """The mask's rectangle as a view of the image."""
    rows = slice(mask.y_offset, mask.y_offset + mask.height)
    return image[rows, mask.x_offset : mask.x_offset + mask.width]
