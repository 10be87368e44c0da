"""Masks between COCO's compressed run lengths, crops of bits and messages."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from yolact_ros.dependencies import require
from yolact_ros.errors import DataError
from yolact_ros.structures import MaskCrop

__all__ = ["mask_iou", "rle_to_crop", "segmentation_to_rle"]

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
    except DataError:
        raise
    except Exception as error:
        # pycocotools raises bare exceptions for what it does not know.
        raise DataError(f"not a COCO segmentation: {error!r}") from error
    counts = rle["counts"]
    text = counts.decode() if isinstance(counts, bytes) else str(counts)
    return {"size": list(shape), "counts": text}


def rle_to_crop(counts: str, shape: tuple[int, int]) -> MaskCrop:
    """The smallest crop that holds a mask of compressed run lengths.

    Args:
        counts: text as in COCO files.
        shape: height and width of the image.

    Raises:
        DataError: the run lengths do not add up to the image.
    """
    runs = _run_lengths(counts)
    if int(runs.sum()) != shape[0] * shape[1]:
        raise DataError(f"run lengths of a mask do not add up to {shape[1]}x{shape[0]} pixels")
    inside = np.arange(len(runs)) % 2 == 1
    ends = np.cumsum(runs)[inside]
    starts = ends - runs[inside]
    starts, ends = starts[ends > starts], ends[ends > starts]
    if not len(starts):
        return MaskCrop(0, 0, 0, 0, np.zeros(0, np.uint8))
    x_px, last_column = int(starts[0]) // shape[0], int(ends[-1] - 1) // shape[0]
    full = np.repeat(inside, runs).reshape(shape[1], shape[0])
    columns = full[x_px : last_column + 1]
    rows = np.flatnonzero(columns.any(axis=0))
    y_px, last_row = int(rows[0]), int(rows[-1])
    bits = np.packbits(columns[:, y_px : last_row + 1].T)
    return MaskCrop(x_px, y_px, last_column + 1 - x_px, last_row + 1 - y_px, bits)


def _run_lengths(counts: str) -> NDArray[np.int64]:
    """COCO's text of run lengths: five bits a letter, differences to the run before last."""
    runs: list[int] = []
    value = shift = 0
    for letter in counts.encode():
        bits = letter - 48
        value |= (bits & 0x1F) << shift
        shift += 5
        if bits & 0x20:
            continue
        if bits & 0x10:
            value -= 1 << shift
        if len(runs) > 2:
            value += runs[-2]
        runs.append(value)
        value = shift = 0
    return np.array(runs, np.int64)


def mask_iou(first: list[str], second: list[str], shape: tuple[int, int]) -> NDArray[np.float64]:
    """IoU of every mask of ``first`` with every one of ``second``: float64[n, m]."""
    coco_mask = require("pycocotools.mask", extra="evaluate")
    if not first or not second:
        return np.zeros((len(first), len(second)))
    size = list(shape)
    rows = [{"size": size, "counts": counts.encode()} for counts in first]
    columns = [{"size": size, "counts": counts.encode()} for counts in second]
    return np.asarray(coco_mask.iou(rows, columns, [0] * len(columns)), np.float64)
