"""SSD's augmentation as the paper uses it, drawn first and applied in one resampling.

Expansion, random crop, mirroring and the resize to the network input are all axis-aligned, so
together they are one rectangle of the source image, which may stick out of it, shown at the
input size. Drawing that rectangle is cheap; only the final pixels are ever computed.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from yolact_ros.training.sample import MaskPatch, Sample

__all__ = ["AugmentSettings", "View", "draw_view", "render", "vary_colors"]

# SSD draws one of six modes; four of them ask for a least IoU that the paper's code cannot
# reject on, so they crop freely, as the sixth does. Only the first keeps the whole image.
NUM_CROP_MODES = 6
CROP_TRIES = 50


@dataclass(frozen=True)
class AugmentSettings:
    """What is varied; the defaults are the paper's.

    Attributes:
        brightness: largest change, grey levels.
        contrast: range of the factor.
        saturation: range of the factor.
        hue_deg: largest change.
        color_probability: of each of the changes above.
        expand_ratio: largest factor by which the image is placed in a larger canvas.
        expand_probability: of that.
        crop_min_side: least side of a random crop relative to the image.
        crop: whether random crops are drawn at all.
        mirror_probability: of a horizontal flip.
        min_object_px: objects with a narrower side at network resolution are not trained.
    """

    brightness: float = 32.0
    contrast: tuple[float, float] = (0.5, 1.5)
    saturation: tuple[float, float] = (0.5, 1.5)
    hue_deg: float = 18.0
    color_probability: float = 0.5
    expand_ratio: float = 4.0
    expand_probability: float = 0.5
    crop_min_side: float = 0.3
    crop: bool = True
    mirror_probability: float = 0.5
    min_object_px: float = 1.0

    @classmethod
    def none(cls) -> AugmentSettings:
        """No variation at all: every view is the whole image."""
        return cls(
            color_probability=0.0, expand_probability=0.0, crop=False, mirror_probability=0.0
        )


@dataclass(frozen=True)
class View:
    """A rectangle of the source image in its pixels, which may lie outside of it.

    Mirrored, left and right are swapped.
    """

    x1_px: float
    y1_px: float
    x2_px: float
    y2_px: float
    mirrored: bool = False


def draw_view(sample: Sample, settings: AugmentSettings, random: np.random.Generator) -> View:
    """Draw expansion, crop and mirroring for an image.

    A crop is only taken when the centre of at least one object that is no crowd lies in it.
    """
    height, width = sample.image_bgr.shape[:2]
    left, top, canvas_width, canvas_height = 0.0, 0.0, float(width), float(height)
    if random.random() < settings.expand_probability:
        ratio = random.uniform(1.0, settings.expand_ratio)
        canvas_width, canvas_height = width * ratio, height * ratio
        left = -random.uniform(0.0, canvas_width - width)
        top = -random.uniform(0.0, canvas_height - height)
    whole = (left, top, left + canvas_width, top + canvas_height)
    rectangle = _draw_crop(sample, whole, settings, random) if settings.crop else whole
    return View(*rectangle, mirrored=bool(random.random() < settings.mirror_probability))


def _draw_crop(
    sample: Sample,
    whole: tuple[float, float, float, float],
    settings: AugmentSettings,
    random: np.random.Generator,
) -> tuple[float, float, float, float]:
    boxes = sample.boxes_xyxy[sample.class_ids >= 0]
    centers = (boxes[:, :2] + boxes[:, 2:]) / 2
    if len(centers) == 0:
        return whole
    canvas_width, canvas_height = whole[2] - whole[0], whole[3] - whole[1]
    while True:
        if random.integers(NUM_CROP_MODES) == 0:
            return whole
        for _ in range(CROP_TRIES):
            width = random.uniform(settings.crop_min_side, 1.0) * canvas_width
            height = random.uniform(settings.crop_min_side, 1.0) * canvas_height
            if not 0.5 <= height / width <= 2.0:
                continue
            x1 = whole[0] + random.uniform(0.0, canvas_width - width)
            y1 = whole[1] + random.uniform(0.0, canvas_height - height)
            inside = (centers > (x1, y1)) & (centers < (x1 + width, y1 + height))
            if inside.all(axis=1).any():
                return (x1, y1, x1 + width, y1 + height)


def render(
    sample: Sample, view: View, size_px: int, *, min_object_px: float = 1.0
) -> tuple[NDArray[np.float32], NDArray[np.bool_], Sample]:
    """Show a view at the network's input size.

    Objects whose centre is outside the view are left out, as are those narrower than
    ``min_object_px`` or without a mask pixel; the boxes of the others are cut at its edge.

    Returns:
        The image float32[S, S, 3], 0..255, and bool[S, S], true where the view shows the image
        and not what lies outside it; and a :class:`Sample` with boxes and masks at size S, each
        mask a patch as large as the view.
    """
    scale_x = size_px / (view.x2_px - view.x1_px)
    scale_y = size_px / (view.y2_px - view.y1_px)
    matrix = _view_matrix(view, scale_x, scale_y, size_px)
    target = (size_px, size_px)
    image = cv2.warpAffine(
        sample.image_bgr, matrix, target, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    height, width = sample.image_bgr.shape[:2]
    inside = _inside(view, scale_x, scale_y, width, height, size_px)
    boxes = sample.boxes_xyxy
    centers = (boxes[:, :2] + boxes[:, 2:]) / 2
    seen = ((centers > (view.x1_px, view.y1_px)) & (centers < (view.x2_px, view.y2_px))).all(
        axis=1
    )
    shown = (boxes - np.array([view.x1_px, view.y1_px] * 2, np.float32)) * np.array(
        [scale_x, scale_y] * 2, np.float32
    )
    if view.mirrored:
        shown = np.stack(
            [size_px - shown[:, 2], shown[:, 1], size_px - shown[:, 0], shown[:, 3]], axis=1
        )
    shown = shown.clip(0, size_px)
    seen &= (shown[:, 2:] - shown[:, :2] >= min_object_px).all(axis=1)
    kept, patches = [], []
    for index in np.flatnonzero(seen):
        pixels = _render_mask(sample.masks[index], matrix, target)
        if pixels.any():
            kept.append(index)
            patches.append(MaskPatch(0, 0, pixels))
    result = Sample(
        name=sample.name,
        image_bgr=image.astype(np.uint8, copy=False),
        boxes_xyxy=shown[kept].astype(np.float32).reshape(-1, 4),
        class_ids=sample.class_ids[kept],
        masks=tuple(patches),
        labelled=sample.labelled,
    )
    return image.astype(np.float32), inside, result


def _view_matrix(view: View, scale_x: float, scale_y: float, size_px: int) -> NDArray[np.float64]:
    """Source pixel centres to view pixel centres; half a pixel as every resize has it."""
    shift_x = (0.5 - view.x1_px) * scale_x - 0.5
    shift_y = (0.5 - view.y1_px) * scale_y - 0.5
    if view.mirrored:
        return np.array([[-scale_x, 0, size_px - 1 - shift_x], [0, scale_y, shift_y]])
    return np.array([[scale_x, 0, shift_x], [0, scale_y, shift_y]])


def _render_mask(
    patch: MaskPatch, matrix: NDArray[np.float64], target: tuple[int, int]
) -> NDArray[np.uint8]:
    moved = matrix.copy()
    moved[:, 2] += matrix[:, :2] @ (patch.x_px, patch.y_px)
    soft = cv2.warpAffine(patch.pixels * 255, moved, target, flags=cv2.INTER_LINEAR)
    return (soft > 127).astype(np.uint8)


def _inside(
    view: View, scale_x: float, scale_y: float, width: int, height: int, size_px: int
) -> NDArray[np.bool_]:
    pixels = np.arange(size_px) + 0.5
    x = pixels / scale_x + view.x1_px
    y = pixels / scale_y + view.y1_px
    columns = (x > 0) & (x < width)
    if view.mirrored:
        columns = columns[::-1]
    return ((y > 0) & (y < height))[:, None] & columns


def vary_colors(
    image: NDArray[np.float32], settings: AugmentSettings, random: np.random.Generator
) -> NDArray[np.float32]:
    """Brightness, contrast, saturation and hue of a BGR image 0..255; nothing is clipped."""

    def drawn() -> bool:
        return bool(random.random() < settings.color_probability)

    if drawn():
        image = image + np.float32(random.uniform(-settings.brightness, settings.brightness))
    contrast = np.float32(random.uniform(*settings.contrast)) if drawn() else None
    contrast_first = random.random() < 0.5
    saturation = np.float32(random.uniform(*settings.saturation)) if drawn() else None
    hue = np.float32(random.uniform(-settings.hue_deg, settings.hue_deg)) if drawn() else None
    if contrast is not None and contrast_first:
        image = image * contrast
    if saturation is not None or hue is not None:
        hsv = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2HSV), np.float32)
        if saturation is not None:
            hsv[..., 1] *= saturation
        if hue is not None:
            hsv[..., 0] = (hsv[..., 0] + hue) % 360
        image = np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR), np.float32)
    if contrast is not None and not contrast_first:
        image = image * contrast
    return image.astype(np.float32, copy=False)
