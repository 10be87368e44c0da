"""Where the objects of an image are: masks and a depth image to places."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from yolact_ros.depth.box import box_around, upright_axes
from yolact_ros.depth.camera_model import CameraModel
from yolact_ros.depth.depth_image import check_same_view
from yolact_ros.depth.layers import (
    MIN_GAP_STEPS,
    find_layer,
    sides_of_jumps,
    to_metres,
    to_steps,
)
from yolact_ros.depth.settings import DepthSettings
from yolact_ros.depth.surface import Surface, fit_surface
from yolact_ros.ops.packing import unpack_bits
from yolact_ros.structures import MaskCrop

__all__ = ["NoPlace", "ObjectPlace", "Place", "locate_objects"]

Floats = NDArray[np.float64]
Window = tuple[slice, slice]
Mask = NDArray[np.bool_]

# Of a normal distribution: between the quartiles, in standard deviations.
QUARTILES = 1.349
# Of more values the median is no better known than the sensor allows.
ENOUGH_VALUES = 4096
# Larger objects are looked at in every third pixel, or fifth, or ...
ENOUGH_SIDE_PX = 160
# Around a pixel without a reading.
HOLE = (15, 15)


@dataclass(frozen=True, eq=False)
class ObjectPlace:
    """Where the visible surface of an object is, in the camera's optical frame.

    That frame has x to the right, y down and z forward (REP 103).

    Attributes:
        centroid_m (float64[3]): mean of its points.
        box_center_m (float64[3]): middle of the box around the visible surface.
        box_size_m (float64[3]): its sides along its own axes.
        box_rotation (float64[3, 3]): its columns are the box's axes. The identity, or where
            gravity is known: z up, x horizontal and away from the camera, y to the left.
        distance_m: median distance of its points from the camera, along their rays.
        num_points: depth readings that are the object's.
        spread_m: standard deviation of these distances, from their quartiles.
        points_m (float32[num_points, 3] | None): the readings, where they were asked for.
    """

    centroid_m: NDArray[np.float64]
    box_center_m: NDArray[np.float64]
    box_size_m: NDArray[np.float64]
    box_rotation: NDArray[np.float64]
    distance_m: float
    num_points: int
    spread_m: float
    points_m: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class NoPlace:
    """Why an object has no place, such as "too few depth pixels (3 of 210)"."""

    reason: str


Place = ObjectPlace | NoPlace


def locate_objects(
    masks: Sequence[MaskCrop],
    depth_m: NDArray[np.float32],
    camera: CameraModel,
    settings: DepthSettings,
    *,
    gravity: Floats | None = None,
    with_points: bool = False,
) -> tuple[Place, ...]:
    """The place of each object, in the order of the masks.

    Args:
        masks: of the instances, in the pixels of the colour image.
        depth_m (float32[h, w]): along the optical axis, NaN without a reading
            (:func:`~yolact_ros.depth.depth_image.depth_in_metres`); of the colour image's size,
            or larger or smaller with the same field of view. Each depth pixel belongs to the mask
            that covers its middle.
        camera: of the colour image.
        gravity (float64[3] | None): direction of gravity in the optical frame, of any length; the
            boxes then stand upright.

    Raises:
        DepthError: the depth image has another field of view.
    """
    height, width = depth_m.shape
    check_same_view((width, height), (camera.width_px, camera.height_px))
    views: dict[int, _View] = {}
    places = []
    for crop in masks:
        step = _step(crop, width / camera.width_px)
        if step not in views:
            views[step] = _View(depth_m, camera, settings, step)
        places.append(views[step].place(crop, gravity, with_points=with_points))
    return tuple(places)


class _View:
    """A depth image, or every so many pixels of it, and how it lies in the colour image."""

    def __init__(
        self,
        depth_m: NDArray[np.float32],
        camera: CameraModel,
        settings: DepthSettings,
        step: int,
    ) -> None:
        height, width = depth_m.shape
        self._depth_m = depth_m[step // 2 :: step, step // 2 :: step]
        self._camera = camera
        self._settings = settings
        self._erosion_px = -(-settings.erosion_px // step)
        # Depth pixels per colour pixel.
        across, down = width / camera.width_px / step, height / camera.height_px / step
        self._scale = np.array((across, down))
        rows, columns = self._depth_m.shape
        self._rays = camera.resized(columns, rows, (across, down)).ray_table

    def place(self, crop: MaskCrop, gravity: Floats | None, *, with_points: bool) -> Place:
        """The place of one object."""
        mask = unpack_bits(crop.bits, crop.height, crop.width)
        across = _Axis(crop.x_offset, crop.width, self._scale[0])
        down = _Axis(crop.y_offset, crop.height, self._scale[1])
        if across.first >= across.last or down.first >= down.last:
            return NoPlace("no depth pixel is in its mask")
        seen = across.sample(down.sample(mask, 0), 1)
        # With a pixel more on each side: what is beside the object shows where it ends.
        wide, inner = self._window(across, down)
        settings = self._settings
        depth_m, rays = self._depth_m[wide], self._rays[:, wide[0], wide[1]]
        good = (depth_m >= settings.min_depth_m) & (depth_m <= settings.max_depth_m)
        good &= np.isfinite(rays[0])
        # What has no reading gets one that is never looked at.
        steps = to_steps(np.where(good, depth_m, np.float32(1)), settings.noise_per_m)
        jumps, sides = sides_of_jumps(steps, good)
        depth_m, rays, good = depth_m[inner], rays[:, inner[0], inner[1]], good[inner]
        steps, jumps, sides = steps[inner], jumps[inner], sides[inner]

        inside = _eroded(seen, self._erosion_px)
        wanted = int(inside.sum())
        usable = good & inside
        enough = max(settings.min_pixels, settings.min_share * wanted)
        clear = usable & ~jumps
        # Of narrow things every pixel is beside a jump.
        chosen = steps[clear] if clear.sum() >= enough else steps[usable]
        if len(chosen) < enough:
            return NoPlace(f"too few depth pixels ({len(chosen)} of {wanted})")
        layer = find_layer(chosen)
        kept = usable & layer.has(steps)
        count = int(kept.sum())
        if count < enough:
            return NoPlace(f"too few depth pixels ({count} of {wanted}) at one distance")

        z = depth_m[kept]
        x, y = rays[0][kept], rays[1][kept]
        points_m = np.stack((x * z, y * z, z))
        half_m, spread_m = _distribution(z * np.sqrt(x * x + y * y + np.float32(1)))
        certain = good & seen & layer.has(steps)
        # A step more on each side, for the edge that was taken off.
        limits_m = (
            to_metres(layer.low - 1, settings.noise_per_m),
            min(to_metres(layer.high + 1, settings.noise_per_m), settings.max_depth_m),
        )
        surface = fit_surface(depth_m, certain, rays, settings.noise_per_m, limits_m)
        likely = good & layer.has(sides, MIN_GAP_STEPS)
        other = _elsewhere(certain, likely, good, seen)
        edge_px = _edge(mask & ~across.spread(down.spread(other, 0), 1))
        outline = self._outline(surface, edge_px, across, down)
        around = np.concatenate((surface.points(), outline))
        rotation = np.eye(3) if gravity is None else upright_axes(around, gravity)
        center, size = box_around(around, rotation)
        return ObjectPlace(
            centroid_m=points_m.mean(axis=1, dtype=np.float64),
            box_center_m=center,
            box_size_m=size,
            box_rotation=rotation,
            distance_m=half_m,
            num_points=count,
            spread_m=spread_m,
            points_m=np.ascontiguousarray(points_m.T) if with_points else None,
        )

    def _outline(self, surface: Surface, edge_px: Floats, across: _Axis, down: _Axis) -> Floats:
        """The surface at the edge of the mask, float64[n, 3]; the edge is in its rectangle."""
        image_px = edge_px + np.array((across.offset, down.offset))
        cells = ((image_px + 0.5) * self._scale - (across.first, down.first)) / surface.step_px
        return surface.points_at(self._camera.rays(image_px), cells)

    def _window(self, across: _Axis, down: _Axis) -> tuple[Window, Window]:
        """A rectangle with a pixel more where the depth image has one, and the rectangle in it."""
        height, width = self._depth_m.shape
        top, left = max(down.first - 1, 0), max(across.first - 1, 0)
        wide = (
            slice(top, min(down.last + 1, height)),
            slice(left, min(across.last + 1, width)),
        )
        inner = (
            slice(down.first - top, down.last - top),
            slice(across.first - left, across.last - left),
        )
        return wide, inner


class _Axis:
    """Columns or rows of a mask's rectangle, in the colour image and in the depth image.

    Args:
        offset, length: of the rectangle in the colour image.
        scale: depth pixels per colour pixel.

    Attributes:
        first, last: the depth pixels whose middles are in the rectangle, last exclusive.
    """

    def __init__(self, offset: int, length: int, scale: float) -> None:
        self.first = math.ceil(offset * scale - 0.5)
        self.last = math.ceil((offset + length) * scale - 0.5)
        self._same = scale == 1
        self.offset, self._length, self._scale = offset, length, scale

    def sample(self, values: NDArray[np.bool_], axis: int) -> NDArray[np.bool_]:
        """From colour to depth pixels: what the middle of each shows."""
        if self._same:
            return values
        middles = (np.arange(self.first, self.last) + 0.5) / self._scale
        index = (np.floor(middles).astype(np.int64) - self.offset).clip(0, self._length - 1)
        sampled: NDArray[np.bool_] = values.take(index, axis)
        return sampled

    def spread(self, values: NDArray[np.bool_], axis: int) -> NDArray[np.bool_]:
        """From depth to colour pixels, likewise."""
        if self._same:
            return values
        middles = (np.arange(self.offset, self.offset + self._length) + 0.5) * self._scale
        index = np.floor(middles).astype(np.int64) - self.first
        spread: NDArray[np.bool_] = values.take(index.clip(0, self.last - self.first - 1), axis)
        return spread


def _step(crop: MaskCrop, scale: float) -> int:
    """Every so many depth pixels are enough; odd, so that the middles stay where they are."""
    return 2 * math.ceil((max(crop.width, crop.height) * scale / ENOUGH_SIDE_PX - 1) / 2) + 1


def _eroded(mask: NDArray[np.bool_], erosion_px: int) -> NDArray[np.bool_]:
    """The mask without its edge, of which narrow ones lose less: never more than a half."""
    padded = np.zeros((mask.shape[0] + 2, mask.shape[1] + 2), np.uint8)
    padded[1:-1, 1:-1] = mask
    distances = cv2.distanceTransform(padded, cv2.DIST_C, 3)[1:-1, 1:-1]
    taken = min(erosion_px, int(distances.max()) // 2)
    inside: NDArray[np.bool_] = distances > taken
    return inside


def _elsewhere(certain: Mask, likely: Mask, good: Mask, mask: Mask) -> Mask:
    """Pixels of a mask that show something else than the object, all bool[h, w].

    Args:
        certain: the reading is the object's.
        likely: it is on the object's side of a jump.
        good: there is a reading.
        mask: of the object.
    """
    here, there = (likely & mask).view(np.uint8), (good & mask & ~likely).view(np.uint8)
    if not there.any():
        return there.view(np.bool_)
    # A reading counts as most of its neighbours do, unless it is certain.
    most = cv2.medianBlur((good & ~likely).view(np.uint8), 3) > 0
    # Where there is none, it is what most readings of the mask around are.
    votes = [
        cv2.boxFilter(one, cv2.CV_32F, HOLE, normalize=False, borderType=cv2.BORDER_CONSTANT)
        for one in (there, here)
    ]
    return np.where(good, most & ~certain, votes[0] > votes[1])


def _edge(shown: NDArray[np.bool_]) -> Floats:
    """Where the first and last pixels of every row and column end, float64[n, 2], x and y."""
    height, width = shown.shape
    rows, columns = np.flatnonzero(shown.any(axis=1)), np.flatnonzero(shown.any(axis=0))
    left = shown.argmax(axis=1)[rows] - 0.5
    right = width - shown[:, ::-1].argmax(axis=1)[rows] - 0.5
    top = shown.argmax(axis=0)[columns] - 0.5
    bottom = height - shown[::-1].argmax(axis=0)[columns] - 0.5
    x = np.concatenate((left, right, columns, columns))
    y = np.concatenate((rows, rows, top, bottom))
    return np.stack((x, y), axis=1)


def _distribution(values: NDArray[np.float32]) -> tuple[float, float]:
    """Median, and standard deviation from the quartiles, of as many values as that needs."""
    some = values[:: -(-len(values) // ENOUGH_VALUES)]
    places = [len(some) // 4, len(some) // 2, 3 * len(some) // 4]
    low, middle, high = np.partition(some, places)[places].tolist()
    return middle, (high - low) / QUARTILES
