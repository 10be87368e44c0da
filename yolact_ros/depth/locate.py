"""Where the objects of an image are: masks and a depth image to places."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from yolact_ros.depth.camera_model import CameraModel
from yolact_ros.depth.depth_image import check_same_view
from yolact_ros.depth.place import NoPlace, ObjectPlace
from yolact_ros.depth.settings import DepthSettings
from yolact_ros.ops.packing import unpack_bits
from yolact_ros.structures import MaskCrop

__all__ = ["locate_objects"]


def locate_objects(
    masks: Sequence[MaskCrop],
    depth_m: NDArray[np.float32],
    camera: CameraModel,
    settings: DepthSettings,
    *,
    gravity: NDArray[np.float64] | None = None,
    with_points: bool = False,
) -> tuple[ObjectPlace | NoPlace, ...]:
    """The place of each object, in the order of the masks.

    Args:
        masks: of the instances, in the pixels of the colour image.
        depth_m (float32[h, w]): along the optical axis, NaN without a reading
            (:func:`~yolact_ros.depth.depth_image.depth_in_metres`); of the colour image's size,
            or larger or smaller with the same field of view. Each depth pixel belongs to the mask
            that covers its middle.
        camera: of the colour image.
        settings: which readings count.
        gravity (float64[3] | None): direction of gravity in the optical frame, of any length; the
            boxes then stand upright.
        with_points: keep the readings of each object.

    Raises:
        DepthError: the depth image has another field of view.
    """
    height, width = depth_m.shape
    check_same_view((width, height), (camera.width_px, camera.height_px))
    places: list[ObjectPlace | NoPlace] = []
    for crop in masks:
        mask = np.zeros((camera.height_px, camera.width_px), np.bool_)
        rows = slice(crop.y_offset, crop.y_offset + crop.height)
        mask[rows, crop.x_offset : crop.x_offset + crop.width] = unpack_bits(
            crop.bits, crop.height, crop.width
        )
        good = mask & (depth_m > settings.min_depth_m) & (depth_m < settings.max_depth_m)
        count = int(good.sum())
        if count < settings.min_pixels:
            places.append(NoPlace(f"too few depth pixels ({count} of {int(mask.sum())})"))
            continue
        z = depth_m[good]
        rays = camera.ray_table[good]
        points = np.concatenate((rays * z[:, None], z[:, None]), axis=1)
        low, high = points.min(axis=0).astype(float), points.max(axis=0).astype(float)
        ranges = np.linalg.norm(points, axis=1)
        quarter, half, three = np.percentile(ranges, (25, 50, 75))
        places.append(
            ObjectPlace(
                points.mean(axis=0, dtype=np.float64),
                (low + high) / 2,
                high - low,
                np.eye(3),
                float(half),
                count,
                float((three - quarter) / 1.349),
                points if with_points else None,
            )
        )
    return tuple(places)
