"""Masks between COCO's compressed run lengths, crops of bits and messages."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from yolact_ros.dependencies import require
from yolact_ros.errors import DataError
from yolact_ros.structures import MaskCrop

__all__ = ["crop_to_rle", "mask_iou", "rle_to_crop", "segmentation_to_rle"]

Rle = dict[str, Any]
"""``size`` [height, width] and ``counts``, compressed, as text."""


def segmentation_to_rle(segmentation: Any, shape: tuple[int, int]) -> Rle:
    """COCO's ``segmentation`` (polygons, plain or compressed run lengths) as compressed RLE.

    Raises:
        DataError: none of these, or run lengths of another image size than ``shape``.
    """
    coco_mask = require("pycocotools.mask", extra="evaluate")
    try:
        if isinstance(segmentation, list):
            rle = coco_mask.merge(coco_mask.frPyObjects(segmentation, *shape))
        else:
            if tuple(segmentation["size"]) != shape:
                raise DataError(
                    f"a mask of {segmentation['size']} belongs to an image of {list(shape)}"
                )
            rle = segmentation
            if isinstance(rle["counts"], list):
                rle = coco_mask.frPyObjects(rle, *shape)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise DataError(f"not a COCO segmentation: {error!r}") from error
    counts = rle["counts"]
    text = counts.decode() if isinstance(counts, bytes) else str(counts)
    return {"size": list(shape), "counts": text}


def crop_to_rle(crop: MaskCrop, shape: tuple[int, int]) -> str:
    """Compressed run lengths of a crop's mask in an image of ``shape`` (height, width)."""
    coco_mask = require("pycocotools.mask", extra="evaluate")
    full = np.zeros(shape, np.uint8, order="F")
    count = crop.width * crop.height
    if count:
        bits = np.unpackbits(crop.bits, count=count).reshape(crop.height, crop.width)
        rows = slice(crop.y_offset, crop.y_offset + crop.height)
        full[rows, crop.x_offset : crop.x_offset + crop.width] = bits
    return str(coco_mask.encode(full)["counts"].decode())


def rle_to_crop(counts: str, shape: tuple[int, int]) -> MaskCrop:
    """The smallest crop that holds a mask of compressed run lengths."""
    coco_mask = require("pycocotools.mask", extra="evaluate")
    rle = {"size": list(shape), "counts": counts.encode()}
    x_px, y_px, width_px, height_px = (int(edge) for edge in coco_mask.toBbox(rle))
    if width_px == 0 or height_px == 0:
        return MaskCrop(0, 0, 0, 0, np.zeros(0, np.uint8))
    full = coco_mask.decode(rle)
    bits = np.packbits(full[y_px : y_px + height_px, x_px : x_px + width_px])
    return MaskCrop(x_px, y_px, width_px, height_px, bits)


def mask_iou(first: list[str], second: list[str], shape: tuple[int, int]) -> NDArray[np.float64]:
    """IoU of every mask of ``first`` with every one of ``second``: float64[n, m]."""
    coco_mask = require("pycocotools.mask", extra="evaluate")
    if not first or not second:
        return np.zeros((len(first), len(second)))
    size = list(shape)
    rows = [{"size": size, "counts": counts.encode()} for counts in first]
    columns = [{"size": size, "counts": counts.encode()} for counts in second]
    return np.asarray(coco_mask.iou(rows, columns, [0] * len(columns)), np.float64)
