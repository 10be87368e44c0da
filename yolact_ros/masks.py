"""Decoders for users of the messages: InstanceMask and InstanceArray to arrays, RLE, polygons.

No ROS is imported: any object with the fields of the messages will do, also one read from a bag.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from yolact_ros.errors import DataError
from yolact_ros.ops.coco_rle import encode_crop
from yolact_ros.ops.packing import pack_bits, rle_decode, unpack_bits
from yolact_ros.structures import MaskCrop

__all__ = [
    "MaskMessage",
    "Polygon",
    "mask_to_array",
    "mask_to_full",
    "to_coco_results",
    "to_coco_rle",
    "to_label_image",
    "to_polygons",
]

ENCODING_NONE = 0
ENCODING_BITS = 1
ENCODING_RLE = 2
MAX_MONO8_INSTANCES = 255


class MaskMessage(Protocol):
    """The fields of yolact_ros/msg/InstanceMask."""

    encoding: int
    x_offset: int
    y_offset: int
    width: int
    height: int
    counts: Any
    data: Any


@dataclass(frozen=True)
class Polygon:
    """One connected part of a mask.

    Attributes:
        outer (int32[n, 2]): x, y of its border pixels, in source-image pixels.
        holes: borders of the holes in it, in the same form.
    """

    outer: NDArray[np.int32]
    holes: tuple[NDArray[np.int32], ...] = ()


def mask_to_array(mask: MaskMessage) -> NDArray[np.bool_]:
    """The mask inside its rectangle.

    Returns:
        bool[height, width], a new array; [0, 0] for an instance without a mask.

    Raises:
        DataError: an unknown encoding, or data that does not fill the rectangle.
    """
    if mask.encoding == ENCODING_NONE:
        return np.zeros((0, 0), np.bool_)
    try:
        if mask.encoding == ENCODING_BITS:
            bits = np.frombuffer(mask.data, np.uint8)
            return unpack_bits(bits, mask.height, mask.width)
        if mask.encoding == ENCODING_RLE:
            return rle_decode(mask.counts, mask.height, mask.width)
    except ValueError as error:
        raise DataError(f"InstanceMask: {error}") from error
    raise DataError(
        f"InstanceMask: encoding {mask.encoding} is unknown; expected 0 (NONE), 1 (BITS) or "
        "2 (RLE): is the message of a newer version?"
    )


def mask_to_full(
    mask: MaskMessage, image_height_px: int, image_width_px: int
) -> NDArray[np.bool_]:
    """The mask in the whole source image.

    Returns:
        bool[image_height_px, image_width_px], a new array.

    Raises:
        DataError: as :func:`mask_to_array`, or the rectangle leaves the image.
    """
    full = np.zeros((image_height_px, image_width_px), np.bool_)
    _window(full, mask)[...] = mask_to_array(mask)
    return full


def to_label_image(instance_array: Any) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Which instance each pixel belongs to: index in ``instances`` + 1, 0 = background.

    Where masks overlap the higher score wins.

    Args:
        instance_array: an InstanceArray message.

    Returns:
        uint8[image_height, image_width], uint16 for more than 255 instances.

    Raises:
        DataError: a mask that cannot be decoded.
    """
    instances = instance_array.instances
    dtype = np.uint8 if len(instances) <= MAX_MONO8_INSTANCES else np.uint16
    labels = np.zeros((instance_array.image_height, instance_array.image_width), dtype)
    for index in sorted(range(len(instances)), key=lambda row: instances[row].score):
        mask = instances[index].mask
        _window(labels, mask)[mask_to_array(mask)] = index + 1
    return labels


def to_coco_rle(mask: MaskMessage, image_height_px: int, image_width_px: int) -> dict[str, Any]:
    """The mask in COCO's compressed RLE, as pycocotools and results files have it.

    Returns:
        ``size`` ([height, width] of the source image) and ``counts`` (str).

    Raises:
        DataError: as :func:`mask_to_full`.
    """
    if mask.encoding == ENCODING_BITS and len(mask.data) == (mask.width * mask.height + 7) // 8:
        bits = np.frombuffer(mask.data, np.uint8)
    else:
        bits = pack_bits(mask_to_array(mask))
    _require_inside(mask, image_height_px, image_width_px)
    crop = MaskCrop(mask.x_offset, mask.y_offset, mask.width, mask.height, bits)
    return encode_crop(crop, image_height_px, image_width_px)


def to_polygons(mask: MaskMessage) -> list[Polygon]:
    """Borders of the mask's connected parts, with their holes.

    The border runs through the centres of border pixels, so filling outer and holes gives the mask
    back where it is at least two pixels wide.

    Raises:
        DataError: as :func:`mask_to_array`.
    """
    array = mask_to_array(mask)
    if not array.any():
        return []
    offset = (mask.x_offset, mask.y_offset)
    contours, hierarchy = cv2.findContours(
        array.view(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE, offset=offset
    )
    parents = hierarchy.reshape(-1, 4)[:, 3]
    rings = [contour.reshape(-1, 2).astype(np.int32, copy=False) for contour in contours]
    return [
        Polygon(rings[row], tuple(rings[hole] for hole in np.flatnonzero(parents == row)))
        for row in np.flatnonzero(parents < 0)
    ]


def to_coco_results(
    instance_array: Any, image_id: int, category_ids: Sequence[int]
) -> list[dict[str, Any]]:
    """The instances as entries of a COCO results file.

    Args:
        instance_array: an InstanceArray message.
        image_id: of the data set.
        category_ids: the data set's id of each class id.

    Raises:
        DataError: a mask that cannot be decoded, or a class without a category id.
    """
    size = (instance_array.image_height, instance_array.image_width)
    results = []
    for instance in instance_array.instances:
        if instance.class_id >= len(category_ids):
            raise DataError(
                f"InstanceArray: class {instance.class_id} ({instance.class_name}) has no "
                f"category id; {len(category_ids)} were given"
            )
        result = {
            "image_id": int(image_id),
            "category_id": int(category_ids[instance.class_id]),
            "score": float(instance.score),
            "bbox": [
                float(instance.x_min),
                float(instance.y_min),
                float(instance.x_max - instance.x_min),
                float(instance.y_max - instance.y_min),
            ],
        }
        if instance.mask.encoding != ENCODING_NONE:
            result["segmentation"] = to_coco_rle(instance.mask, *size)
        results.append(result)
    return results


def _window(image: NDArray[Any], mask: MaskMessage) -> NDArray[Any]:
    """The mask's rectangle as a view of the image."""
    _require_inside(mask, *image.shape)
    rows = slice(mask.y_offset, mask.y_offset + mask.height)
    return image[rows, mask.x_offset : mask.x_offset + mask.width]


def _require_inside(mask: MaskMessage, image_height_px: int, image_width_px: int) -> None:
    right, bottom = mask.x_offset + mask.width, mask.y_offset + mask.height
    if right > image_width_px or bottom > image_height_px:
        raise DataError(
            f"InstanceMask: its rectangle ends at x {right}, y {bottom}, outside of the "
            f"{image_width_px} x {image_height_px} image; is it of another image?"
        )
