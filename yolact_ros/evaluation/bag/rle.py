"""Masks of COCO's compressed run lengths as crops of bits, and how far they overlap."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from yolact_ros.dependencies import require
from yolact_ros.ops.coco_rle import decode_mask, mask_box_xywh
from yolact_ros.structures import MaskCrop

__all__ = ["mask_iou", "rle_to_crop"]


def rle_to_crop(counts: str, shape: tuple[int, int]) -> MaskCrop:
    """The smallest crop that holds a mask of compressed run lengths.

    Args:
        counts: text as in COCO files.
        shape: height and width of the image.

    Raises:
        DataError: the run lengths do not add up to the image.
    """
    box = mask_box_xywh(counts, *shape)
    if box is None:
        return MaskCrop(0, 0, 0, 0, np.zeros(0, np.uint8))
    x_px, y_px, width, height = map(int, box)
    full = decode_mask(counts, *shape)
    bits = np.packbits(full[y_px : y_px + height, x_px : x_px + width])
    return MaskCrop(x_px, y_px, width, height, bits)


def mask_iou(first: list[str], second: list[str], shape: tuple[int, int]) -> NDArray[np.float64]:
    """IoU of every mask of ``first`` with every one of ``second``: float64[n, m]."""
    coco_mask = require("pycocotools.mask", extra="evaluate")
    if not first or not second:
        return np.zeros((len(first), len(second)))
    size = list(shape)
    rows = [{"size": size, "counts": counts.encode()} for counts in first]
    columns = [{"size": size, "counts": counts.encode()} for counts in second]
    return np.asarray(coco_mask.iou(rows, columns, [0] * len(columns)), np.float64)
