"""COCO's ``segmentation`` in all its forms as one: compressed run lengths."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from yolact_ros.dependencies import require
from yolact_ros.errors import DataError
from yolact_ros.ops.coco_rle import compress, run_lengths, without_empty_runs

__all__ = ["has_segmentation", "to_counts"]

MIN_POINTS = 3
# pycocotools walks along every edge: without an end to it, one wrong point takes all memory.
MARGIN_IMAGES = 1.0


def has_segmentation(segmentation: Any) -> bool:
    """Whether there is a mask at all: null, [], [[]] and {} are none."""
    return segmentation is not None and segmentation not in ([], [[]], {}, "")


def to_counts(segmentation: Any, height_px: int, width_px: int) -> tuple[str, int]:
    """A segmentation as COCO's text of run lengths over the whole image.

    Args:
        segmentation: polygons, one polygon that is not nested, points as pairs, or an RLE,
            compressed or not.

    Returns:
        the text, and how many polygons of several could not be used.

    Raises:
        DataError: none of these, or of another image size.
    """
    if isinstance(segmentation, list | tuple):
        return _of_polygons(segmentation, height_px, width_px)
    if isinstance(segmentation, dict) and "counts" in segmentation:
        return _of_rle(segmentation, height_px, width_px), 0
    raise DataError(
        f"a mask is {_shown(segmentation)}, expected polygons or an RLE with size and counts"
    )


def _of_rle(rle: dict[str, Any], height_px: int, width_px: int) -> str:
    size = rle.get("size")
    if size is not None and _as_array(size).tolist() != [height_px, width_px]:
        raise DataError(f"a mask of {_shown(size)} belongs to an image of {[height_px, width_px]}")
    counts = rle["counts"]
    num_pixels = height_px * width_px
    if isinstance(counts, bytes):
        counts = counts.decode("ascii", "replace")
    if isinstance(counts, str):
        runs = run_lengths(counts, num_pixels)
        return compress(without_empty_runs(runs)) if (runs[1:] == 0).any() else counts
    plain = _as_array(counts)
    if plain.ndim != 1 or not np.array_equal(plain, plain.round()) or (plain < 0).any():
        raise DataError(f"its counts are {_shown(counts)}, expected whole numbers from 0")
    if plain.sum() != num_pixels:
        raise DataError(f"its run lengths do not add up to the {num_pixels} pixels of the image")
    return compress(without_empty_runs(plain.astype(np.int64)))


def _of_polygons(
    polygons: list[Any] | tuple[Any, ...], height_px: int, width_px: int
) -> tuple[str, int]:
    coco_mask = require("pycocotools.mask", extra="evaluate")
    nested = _nested(polygons)
    usable, reason = [], ""
    for polygon in nested:
        try:
            usable.append(_ring(polygon, height_px, width_px))
        except DataError as error:
            reason = reason or str(error)
    if not usable:
        raise DataError(reason or "no polygon")
    merged = coco_mask.merge(coco_mask.frPyObjects(usable, height_px, width_px))
    return merged["counts"].decode(), len(nested) - len(usable)


def _nested(polygons: list[Any] | tuple[Any, ...]) -> list[Any]:
    """The polygons; [x, y, x, y, ...] and [[x, y], [x, y], ...] are one."""
    if not any(isinstance(item, list | tuple) for item in polygons):
        return [polygons]
    pairs = all(
        isinstance(item, list | tuple)
        and len(item) == 2
        and not any(isinstance(value, list | tuple) for value in item)
        for item in polygons
    )
    return [polygons] if pairs else list(polygons)


def _ring(polygon: Any, height_px: int, width_px: int) -> NDArray[np.float64]:
    """One polygon as x, y, x, y, ..."""
    array = _as_array(polygon)
    if array.ndim > 2 or (array.ndim == 2 and array.shape[0] != 1 and array.shape[1] != 2):
        raise DataError(f"a polygon is {_shown(polygon)}, expected x, y, x, y, ...")
    points = array.reshape(-1)
    if points.size % 2 or points.size < 2 * MIN_POINTS:
        raise DataError(f"a polygon of {points.size} numbers has no three points")
    x, y = points[0::2], points[1::2]
    if not (
        (np.abs(x - width_px / 2) <= (0.5 + MARGIN_IMAGES) * width_px).all()
        and (np.abs(y - height_px / 2) <= (0.5 + MARGIN_IMAGES) * height_px).all()
    ):
        raise DataError("a polygon lies farther outside than its image is large")
    return points


def _as_array(value: Any) -> NDArray[np.float64]:
    """Finite numbers, also those written as text."""
    try:
        array = np.asarray(value, np.float64)
    except (TypeError, ValueError, OverflowError):
        array = np.array([np.nan])
    if not np.isfinite(array).all():
        raise DataError(f"{_shown(value)} are not finite numbers")
    return array


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
