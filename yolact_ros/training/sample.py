"""One training image in memory: pixels, boxes, masks, and how they are read from disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from yolact_ros.inference.image_file import read_annotated_image
from yolact_ros.ops.coco_rle import decode_mask
from yolact_ros.training.annotations import ImageRecord

__all__ = ["MaskPatch", "Sample", "load_sample"]


@dataclass(frozen=True)
class MaskPatch:
    """A binary mask cut to its bounding rectangle.

    Attributes:
        x_px, y_px: left and top edge in the image.
        pixels (uint8[h, w]): 0 or 1.
    """

    x_px: int
    y_px: int
    pixels: NDArray[np.uint8]


@dataclass(frozen=True)
class Sample:
    """An image with n objects, crowds last.

    Attributes:
        image_bgr (uint8[H, W, 3]): pixels.
        boxes_xyxy (float32[n, 4]): pixels of ``image_bgr``.
        class_ids (int64[n]): index in the class list; -1 for crowds.
        labelled (bool[C]): classes that are labelled in this image.
    """

    name: str
    image_bgr: NDArray[np.uint8]
    boxes_xyxy: NDArray[np.float32]
    class_ids: NDArray[np.int64]
    masks: tuple[MaskPatch, ...]
    labelled: NDArray[np.bool_]


def load_sample(record: ImageRecord, max_side_px: int = 0) -> Sample:
    """Decode an image and its masks, shrunk to the longest side ``max_side_px`` if that is not 0.

    A smaller image makes the cache and every later step cheaper.

    Raises:
        ImageError: the file cannot be read as an image.
        DataError: it is of another size than annotated.
    """
    image: NDArray[Any]
    image, _ = read_annotated_image(record.path, (record.height_px, record.width_px))
    scale = min(1.0, max_side_px / max(image.shape[:2])) if max_side_px else 1.0
    width = max(1, round(record.width_px * scale))
    height = max(1, round(record.height_px * scale))
    if scale < 1.0:
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    factors = np.array([width / record.width_px, height / record.height_px] * 2, np.float32)
    ordered = sorted(record.objects, key=lambda item: item.is_crowd)
    masks, boxes, class_ids = [], [], []
    for item in ordered:
        mask = decode_mask(item.counts, record.height_px, record.width_px)
        if scale < 1.0:
            shrunk = cv2.resize(mask * 255, (width, height), interpolation=cv2.INTER_AREA)
            mask = (shrunk > 127).astype(np.uint8)
        if not mask.any():
            continue  # thinner than a pixel after shrinking; whole-size empty masks are defects
        masks.append(_cut(mask))
        boxes.append(np.array(item.box_xyxy, np.float32) * factors)
        class_ids.append(-1 if item.is_crowd else item.class_id)
    return Sample(
        name=f"{record.source}/{record.path.name}",
        image_bgr=np.ascontiguousarray(image, dtype=np.uint8),
        boxes_xyxy=np.array(boxes, np.float32).reshape(-1, 4),
        class_ids=np.array(class_ids, np.int64),
        masks=tuple(masks),
        labelled=np.array(record.labelled, np.bool_),
    )


def _cut(mask: NDArray[np.uint8]) -> MaskPatch:
    rows = np.flatnonzero(mask.any(axis=1))
    columns = np.flatnonzero(mask.any(axis=0))
    y1, y2, x1, x2 = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    return MaskPatch(int(x1), int(y1), np.ascontiguousarray(mask[y1:y2, x1:x2]))
