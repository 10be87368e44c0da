"""Pictures of predictions: the overlay and the label image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import cv2
import numpy as np
from numpy.typing import NDArray

from yolact_ros.errors import ImageError
from yolact_ros.ops.packing import unpack_bits
from yolact_ros.palette import (
    Color,
    ColorBy,
    PaletteName,
    instance_colors_bgr,
    track_colors_bgr,
)
from yolact_ros.prediction import Prediction
from yolact_ros.structures import MaskCrop

__all__ = ["Trails", "caption", "colors_of", "draw_overlay", "label_image"]

Trails = Mapping[int, NDArray[np.float32]]
"""Points that each object passed (float32[k, 2], pixels, oldest first), by its track id."""

Rectangle = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels; right and bottom exclusive."""

NO_TRAILS: Trails = MappingProxyType({})
FONT = cv2.FONT_HERSHEY_SIMPLEX
# Lines and letters grow with the image; these are for its shorter side of 480 px.
REFERENCE_SIDE_PX = 480
FONT_SCALE = 0.45
LINE_PX = 1.6
MIN_FONT_SCALE = 0.35
LABEL_MARGIN_PX = 3
MAX_UINT8_INSTANCES = 255
BLACK: Color = (0, 0, 0)
WHITE: Color = (255, 255, 255)
# Weights of blue, green and red in brightness (ITU-R BT.601).
LUMA_BGR = (0.114, 0.587, 0.299)
DARK_TEXT_LUMA = 140


def draw_overlay(
    image_bgr: NDArray[np.uint8],
    prediction: Prediction,
    class_names: Sequence[str] = (),
    *,
    alpha: float = 0.45,
    palette: PaletteName = "vivid",
    color_by: ColorBy = "class",
    trails: Trails = NO_TRAILS,
) -> NDArray[np.uint8]:
    """The image with tinted and outlined masks, boxes, class names and scores.

    A class keeps its hue from image to image; instances of the same class differ in shade. Where
    masks overlap, the higher score is on top.

    Args:
        image_bgr (uint8[H, W, 3]): the source image, left as it is.
        prediction: of that image; without masks only boxes are drawn.
        class_names: in place of the prediction's own; the index is the class id.
        alpha: opacity of the tint, 0..1.
        palette: "vivid" or the colour-blind-safe "okabe-ito".
        color_by: "class", or "track" for a colour for each object.
        trails: the way that objects came, drawn as lines.

    Returns:
        uint8[H, W, 3]: a new BGR image.

    Raises:
        ImageError: the image is not of the prediction's size.
        ConfigError: no such palette.
    """
    size = (prediction.image_height_px, prediction.image_width_px)
    if image_bgr.shape != (*size, 3):
        raise ImageError(
            f"the prediction is of an image of {size[1]} x {size[0]} pixels, "
            f"not of one with shape {list(image_bgr.shape)}"
        )
    colors = colors_of(prediction, palette, color_by)
    picture = _tint(image_bgr, prediction, colors, alpha)
    scale = max(min(size) / REFERENCE_SIDE_PX, MIN_FONT_SCALE / FONT_SCALE)
    line_px = max(1, round(LINE_PX * scale))
    # The best last, so that it is on top.
    for index in reversed(range(len(prediction))):
        if prediction.mask_crops:
            _outline(picture, prediction.mask_crops[index], colors[index], line_px)
        left, top, right, bottom = (round(float(v)) for v in prediction.boxes_xyxy[index])
        cv2.rectangle(picture, (left, top), (right - 1, bottom - 1), colors[index], 1)
        if len(prediction.track_ids) and int(prediction.track_ids[index]) in trails:
            points = trails[int(prediction.track_ids[index])].round().astype(np.int32)
            cv2.polylines(picture, [points], False, colors[index], line_px, cv2.LINE_AA)
    taken: list[Rectangle] = []
    for index in range(len(prediction)):
        text = caption(prediction, index, class_names)
        left, top = (round(float(v)) for v in prediction.boxes_xyxy[index, :2])
        taken.append(_label(picture, text, (left, top), colors[index], FONT_SCALE * scale, taken))
    return picture


def caption(prediction: Prediction, index: int, class_names: Sequence[str] = ()) -> str:
    """Class name, id of the object if it is tracked, and score of an instance, for people."""
    class_id = int(prediction.class_ids[index])
    known = class_id < len(class_names)
    name = class_names[class_id] if known else prediction.class_name(index)
    track_id = int(prediction.track_ids[index]) if len(prediction.track_ids) else 0
    return f"{name}{f' #{track_id}' if track_id else ''} {prediction.scores[index]:.2f}"


def colors_of(
    prediction: Prediction, palette: PaletteName = "vivid", color_by: ColorBy = "class"
) -> list[Color]:
    """The colour of each instance.

    Raises:
        ConfigError: no such palette.
    """
    if color_by == "track" and len(prediction.track_ids):
        return track_colors_bgr(prediction.track_ids.tolist(), palette)
    return instance_colors_bgr(prediction.class_ids.tolist(), palette)


def label_image(prediction: Prediction) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Which instance each pixel belongs to: its index in the prediction + 1, 0 is background.

    Where masks overlap, the higher score wins.

    Returns:
        uint8[H, W], or uint16[H, W] with more than 255 instances.
    """
    dtype = np.uint8 if len(prediction) <= MAX_UINT8_INSTANCES else np.uint16
    labels = np.zeros((prediction.image_height_px, prediction.image_width_px), dtype)
    for index in reversed(range(len(prediction.mask_crops))):
        crop = prediction.mask_crops[index]
        if crop.width == 0:
            continue
        mask = unpack_bits(crop.bits, crop.height, crop.width)
        np.copyto(crop.window(labels), index + 1, where=mask, casting="unsafe")
    return labels


def _tint(
    image_bgr: NDArray[np.uint8], prediction: Prediction, colors: Sequence[Color], alpha: float
) -> NDArray[np.uint8]:
    """A copy of the image with each mask's pixels mixed with its colour."""
    picture = image_bgr.copy()
    if not prediction.mask_crops:
        return picture
    labels = label_image(prediction)
    table = np.array([BLACK, *colors], np.uint8)
    if labels.dtype == np.uint8:
        # Five times as fast as indexing: 0.6 ms instead of 3.0 ms at 640x480.
        padded = np.zeros((256, 1, 3), np.uint8)
        padded[: len(table), 0] = table
        tint = cv2.LUT(cv2.merge((labels, labels, labels)), padded)
    else:
        tint = table[labels]
    cv2.addWeighted(image_bgr, 1 - alpha, tint, alpha, 0, dst=picture)
    cv2.copyTo(image_bgr, (labels == 0).view(np.uint8), picture)
    return picture


def _outline(picture: NDArray[np.uint8], crop: MaskCrop, color: Color, line_px: int) -> None:
    if crop.width == 0:
        return
    mask = unpack_bits(crop.bits, crop.height, crop.width).view(np.uint8)
    contours, _ = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    offset = (crop.x_offset, crop.y_offset)
    cv2.drawContours(picture, contours, -1, color, line_px, cv2.LINE_AA, offset=offset)


def _free_top(
    top: int, columns: tuple[int, int], height: int, height_px: int, taken: Sequence[Rectangle]
) -> int:
    """The free place nearest to ``top`` for a label; the nearest of all if none is free."""
    beside = [r for r in taken if r[0] < columns[1] and columns[0] < r[2]]
    lowest = max(0, height_px - height)
    top = max(0, min(top, lowest))
    places = [top, *(r[3] for r in beside), *(r[1] - height for r in beside)]
    free = [
        place
        for place in places
        if 0 <= place <= lowest and not any(place < r[3] and r[1] < place + height for r in beside)
    ]
    return min(free, key=lambda place: abs(place - top), default=top)


def _label(
    picture: NDArray[np.uint8],
    text: str,
    corner: tuple[int, int],
    color: Color,
    font_scale: float,
    taken: Sequence[Rectangle],
) -> Rectangle:
    """Write a label above a box's corner, moved inside the image and off other labels."""
    height_px, width_px = picture.shape[:2]
    (text_width, text_height), baseline = cv2.getTextSize(text, FONT, font_scale, 1)
    width = text_width + 2 * LABEL_MARGIN_PX
    height = text_height + baseline + LABEL_MARGIN_PX
    x = max(0, min(corner[0], width_px - width))
    y = _free_top(corner[1] - height, (x, x + width), height, height_px, taken)
    cv2.rectangle(picture, (x, y), (x + width - 1, y + height - 1), color, cv2.FILLED)
    luma = sum(weight * value for weight, value in zip(LUMA_BGR, color, strict=True))
    ink = BLACK if luma > DARK_TEXT_LUMA else WHITE
    origin = (x + LABEL_MARGIN_PX, y + text_height + LABEL_MARGIN_PX - 1)
    cv2.putText(picture, text, origin, FONT, font_scale, ink, 1, cv2.LINE_AA)
    return x, y, x + width, y + height
