"""Truth from a COCO annotation file, its images tied to frames by stamp or index."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path, PurePath
from typing import Any

from yolact_ros.datasets.coco_data import CocoCategory, CocoData, CocoImage
from yolact_ros.datasets.coco_file import read_coco_file
from yolact_ros.datasets.values import Id, number, whole_number
from yolact_ros.errors import DataError
from yolact_ros.evaluation.bag.frame import FoundInstance, FrameInstances
from yolact_ros.evaluation.bag.truth.truth import Truth

__all__ = ["read_truth_file", "truth_from_data"]

STAMP_NAME = re.compile(r"(\d{8,10})[._](\d{9})|(\d{16,19})")
_HELP = {
    "stamp": '"stamp_ns" (integer), "stamp" (seconds) or a file name that is the stamp',
    "index": '"frame_index" or "index" (integer)',
}
# Stamps and positions fit the whole numbers of messages.
MAX_INT64 = (1 << 63) - 1


def read_truth_file(path: Path, key: str = "auto") -> Truth:
    """Read COCO annotations of a bag's frames.

    Args:
        path: of a COCO annotation file.
        key: what ties an image of the file to a frame. ``stamp``: its ``stamp_ns`` (integer
            nanoseconds), ``stamp`` (seconds, best as text) or a file name such as
            ``1700000000_123456789.png``. ``index``: its ``frame_index`` or ``index``, the
            position on the topic from 0. ``order``: its position in the file's list. ``auto``:
            the first of these that every image has.

    Raises:
        DataError: not such a file, no key for some image, or a key twice.
    """
    data = read_coco_file(path)
    try:
        return truth_from_data(data, key)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def truth_from_data(data: CocoData, key: str = "auto") -> Truth:
    """The truth in COCO annotations, its categories numbered from 1; see :func:`read_truth_file`.

    Raises:
        DataError: no key for some image, or a key twice.
    """
    used, keys = _keys(data.images, key)
    twice = len(keys) - len(set(keys))
    if twice:
        raise DataError(f"{twice} images have the {used} of another one")
    categories = [CocoCategory(id_, row.name) for id_, row in enumerate(data.categories, 1)]
    kind = "stamp" if used == "stamp" else "index"
    return Truth(kind, categories, _frames(data, keys), data.defects)


def _keys(images: Sequence[CocoImage], key: str) -> tuple[str, list[int]]:
    finders: dict[str, Callable[[CocoImage], int | None]] = {"stamp": _stamp_ns, "index": _index}
    for name in finders if key == "auto" else [key]:
        if name == "order":
            break
        found = [finders[name](image) for image in images]
        complete = [value for value in found if value is not None]
        if images and len(complete) == len(images):
            return name, complete
        if key == name and images:
            missing = images[found.index(None)]
            raise DataError(
                f"image {missing.file_name or missing.id!r} has no {name}; "
                f"expected {_HELP[name]} in every image"
            )
    return "order", [image.position for image in images]


def _stamp_ns(image: CocoImage) -> int | None:
    given_ns = _int64(image.frame.get("stamp_ns"))
    if given_ns is not None:
        return given_ns
    stamp = image.frame.get("stamp")
    if isinstance(stamp, Mapping):
        seconds = whole_number(stamp.get("sec"))
        nanoseconds = whole_number(stamp.get("nanosec", stamp.get("nsec", 0)))
        if seconds is None or nanoseconds is None:
            return None
        return _int64(seconds * 1_000_000_000 + nanoseconds)
    if number(stamp) is not None:
        # Not by way of a float, which is too coarse for nanoseconds.
        return _int64(int((Decimal(str(stamp)) * 1_000_000_000).to_integral_value()))
    matched = STAMP_NAME.fullmatch(PurePath(image.file_name).stem)
    if matched is None:
        return None
    if matched[3]:
        return _int64(int(matched[3]))
    return _int64(int(matched[1]) * 1_000_000_000 + int(matched[2]))


def _index(image: CocoImage) -> int | None:
    value = _int64(image.frame.get("frame_index", image.frame.get("index")))
    return value if value is not None and value >= 0 else None


def _int64(value: Any) -> int | None:
    found = whole_number(value)
    return found if found is not None and abs(found) <= MAX_INT64 else None


def _frames(data: CocoData, keys: Sequence[int]) -> Iterator[tuple[int, FrameInstances]]:
    class_ids = {row.id: class_id for class_id, row in enumerate(data.categories)}
    by_image: dict[Id, list[FoundInstance]] = defaultdict(list)
    for row in data.annotations:
        class_id = class_ids[row.category_id]
        by_image[row.image_id].append(
            FoundInstance(
                class_id=class_id,
                class_name=data.categories[class_id].name,
                score=0.0 if row.is_crowd else 1.0,
                bbox_xywh=row.bbox_xywh,
                counts=row.counts or "",
                track_id=row.track_id,
                area_px=row.area_px,
            )
        )
    for key, image in zip(keys, data.images, strict=True):
        instances = tuple(by_image[image.id])
        yield key, FrameInstances(image.height_px, image.width_px, instances)
