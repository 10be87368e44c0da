"""Truth from a COCO annotation file, its images tied to frames by stamp or index."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path, PurePath
from typing import Any

from yolact_ros.errors import DataError
from yolact_ros.evaluation.bag.rle import segmentation_to_rle
from yolact_ros.evaluation.bag.truth import Truth, TruthFrame
from yolact_ros.evaluation.coco import Dataset, load_ground_truth

__all__ = ["read_truth_file", "truth_from_dataset"]

KEYS = ("auto", "stamp", "index", "order")
STAMP_NAME = re.compile(r"(\d{8,10})[._](\d{9})|(\d{16,19})")
_HELP = {
    "stamp": '"stamp_ns" (integer), "stamp" (seconds) or a file name that is the stamp',
    "index": '"frame_index" or "index" (integer)',
}

Image = Mapping[str, Any]


def read_truth_file(path: Path, key: str = "auto") -> tuple[Truth, str]:
    """Read COCO annotations of a bag's frames.

    Args:
        path: of a COCO annotation file.
        key: what ties an image of the file to a frame. ``stamp``: its ``stamp_ns`` (integer
            nanoseconds), ``stamp`` (seconds, best as text) or a file name such as
            ``1700000000_123456789.png``. ``index``: its ``frame_index`` or ``index``, the
            position on the topic from 0. ``order``: its position in the file's list. ``auto``:
            the first of these that every image has.

    Returns:
        the truth and the key that was used.

    Raises:
        DataError: not such a file, no key for some image, or a key twice.
    """
    try:
        return truth_from_dataset(load_ground_truth(path), key)
    except DataError as error:
        text = str(error)
        raise DataError(text if str(path) in text else f"{path}: {text}") from error


def truth_from_dataset(dataset: Dataset, key: str = "auto") -> tuple[Truth, str]:
    """The truth in COCO annotations; see :func:`read_truth_file`.

    Raises:
        DataError: no key for some image, a key twice, or a malformed image.
    """
    images: list[Image] = list(dataset["images"])
    used, keys = _keys(images, key)
    twice = len(keys) - len(set(keys))
    if twice:
        raise DataError(f"{twice} images have the {used} of another one")
    frames = _frames(dataset, keys)
    return Truth("stamp" if used == "stamp" else "index", dataset["categories"], frames), used


def _keys(images: Sequence[Image], key: str) -> tuple[str, list[int]]:
    if key not in KEYS:
        raise DataError(f"truth key {key!r} is unknown, expected one of {', '.join(KEYS)}")
    finders: dict[str, Callable[[Image], int | None]] = {"stamp": _stamp_ns, "index": _index}
    for name in finders if key == "auto" else [key]:
        if name == "order":
            break
        found = [finders[name](image) for image in images]
        complete = [value for value in found if value is not None]
        if images and len(complete) == len(images):
            return name, complete
        if key == name:
            missing = images[found.index(None)] if images else {}
            raise DataError(
                f"image {missing.get('file_name', missing.get('id'))!r} has no {name}; "
                f"expected {_HELP[name]} in every image"
            )
    return "order", list(range(len(images)))


def _stamp_ns(image: Image) -> int | None:
    if isinstance(image.get("stamp_ns"), int):
        return int(image["stamp_ns"])
    stamp = image.get("stamp")
    if isinstance(stamp, Mapping):
        nanosec = stamp.get("nanosec", stamp.get("nsec", 0))
        return int(stamp["sec"]) * 1_000_000_000 + int(nanosec) if "sec" in stamp else None
    if isinstance(stamp, str | int | float):
        try:
            return int((Decimal(str(stamp)) * 1_000_000_000).to_integral_value())
        except InvalidOperation:
            return None
    matched = STAMP_NAME.fullmatch(PurePath(str(image.get("file_name", ""))).stem)
    if matched is None:
        return None
    if matched[3]:
        return int(matched[3])
    return int(matched[1]) * 1_000_000_000 + int(matched[2])


def _index(image: Image) -> int | None:
    value = image.get("frame_index", image.get("index"))
    return int(value) if isinstance(value, int) and value >= 0 else None


def _frames(dataset: Mapping[str, Any], keys: Sequence[int]) -> Iterator[tuple[int, TruthFrame]]:
    by_image: dict[Any, list[Mapping[str, Any]]] = defaultdict(list)
    for row in dataset["annotations"]:
        by_image[row["image_id"]].append(row)
    for key, image in zip(keys, dataset["images"], strict=True):
        try:
            shape = (int(image["height"]), int(image["width"]))
            rows = [_annotation(row, shape) for row in by_image[image["id"]]]
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"image {image.get('id')!r} is malformed: {error!r}") from error
        yield key, {"height": shape[0], "width": shape[1], "annotations": rows}


def _annotation(row: Mapping[str, Any], shape: tuple[int, int]) -> dict[str, Any]:
    annotation = {
        "category_id": row["category_id"],
        "bbox": row["bbox"],
        "iscrowd": int(row.get("iscrowd", 0)),
    }
    if row.get("segmentation"):
        annotation["segmentation"] = segmentation_to_rle(row["segmentation"], shape)
    if "area" in row:
        annotation["area"] = row["area"]
    return annotation
