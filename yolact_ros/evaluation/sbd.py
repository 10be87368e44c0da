"""Pascal SBD (Hariharan et al., ICCV 2011) as a COCO data set."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from yolact_ros.classes import PASCAL_CLASSES
from yolact_ros.dependencies import require
from yolact_ros.errors import DataError
from yolact_ros.ops.coco_rle import encode_crop
from yolact_ros.structures import MaskCrop

__all__ = ["convert_sbd", "find_sbd_root"]


def find_sbd_root(folder: Path) -> Path:
    """The folder with ``img`` and ``inst``: ``folder`` itself, or below it as in the archive.

    Raises:
        DataError: neither has them.
    """
    for candidate in (folder, folder / "dataset", folder / "benchmark_RELEASE" / "dataset"):
        if (candidate / "inst").is_dir() and (candidate / "img").is_dir():
            return candidate
    raise DataError(
        f"{folder}: expected the folders img and inst of SBD there, or in dataset or "
        "benchmark_RELEASE/dataset below it"
    )


def convert_sbd(
    folder: Path, split: str, *, progress: Callable[[int, int], None] | None = None
) -> dict[str, Any]:
    """Read one split of SBD into a COCO annotation dictionary.

    Category ids are 1..20 in the order of :data:`yolact_ros.classes.PASCAL_CLASSES`; masks are
    compressed RLE; ``file_name`` is relative to SBD's folder ``img``.

    Args:
        folder: see :func:`find_sbd_root`.
        split: name of the list of images, "train" or "val".
        progress: called with images done and in all.

    Raises:
        DataError: a file is missing or not what SBD has; the message names it.
        DependencyError: scipy, which reads MATLAB's files, is not installed.
    """
    root = find_sbd_root(folder)
    list_path = root / f"{split}.txt"
    try:
        names = list_path.read_text().split()
    except OSError as error:
        raise DataError(f"{list_path}: cannot be read: {error.strerror}") from error
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id, name in enumerate(names, start=1):
        segmentation, categories = _read_instances(root / "inst" / f"{name}.mat")
        height_px, width_px = segmentation.shape
        images.append(
            {"id": image_id, "file_name": f"{name}.jpg", "height": height_px, "width": width_px}
        )
        for number, category_id in enumerate(categories, start=1):
            mask = segmentation == number
            if mask.any():
                annotation = _annotation(mask)
                annotation |= {"id": len(annotations) + 1, "image_id": image_id}
                annotations.append({**annotation, "category_id": category_id, "iscrowd": 0})
        if progress is not None:
            progress(image_id, len(names))
    return {
        "images": images,
        "annotations": annotations,
        "categories": [
            {"id": index, "name": name} for index, name in enumerate(PASCAL_CLASSES, start=1)
        ],
    }


def _read_instances(path: Path) -> tuple[NDArray[np.int64], list[int]]:
    """Instance number of every pixel (0 background) and the category of each instance."""
    scipy_io = require("scipy.io", extra="pascal")
    try:
        instances = scipy_io.loadmat(path, struct_as_record=False, squeeze_me=True)["GTinst"]
        segmentation = np.asarray(instances.Segmentation, dtype=np.int64)
        categories = [int(value) for value in np.atleast_1d(instances.Categories)]
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: not an instance file of SBD: {error}") from error
    in_range = all(1 <= category <= len(PASCAL_CLASSES) for category in categories)
    if segmentation.ndim != 2 or segmentation.max() > len(categories) or not in_range:
        raise DataError(
            f"{path}: expected an image of instance numbers up to {len(categories)} and "
            f"categories 1..{len(PASCAL_CLASSES)}, got {categories}"
        )
    return segmentation, categories


def _annotation(mask: NDArray[np.bool_]) -> dict[str, Any]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top, left = int(rows[0]), int(columns[0])
    height, width = int(rows[-1]) + 1 - top, int(columns[-1]) + 1 - left
    bits = np.packbits(mask[top : top + height, left : left + width])
    return {
        "bbox": [left, top, width, height],
        "area": int(mask.sum()),
        "segmentation": encode_crop(MaskCrop(left, top, width, height, bits), *mask.shape),
    }
