"""The surface of an object without the sensor's noise: planes fitted to parts of it.

A plane has an inverse depth that is linear in the rays, whatever the lens, and the noise of a
stereo camera is the same at all distances in it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["Surface", "fit_surface"]

Floats = NDArray[np.float64]

# Cells along the longer side: more cost time and show no more.
MAX_CELLS = 32
# A part is so large that the noise of its edges is this share of the object's size.
NOISE_SHARE = 0.015
# Parts must explain this share of what one plane leaves; they do with noise alone up to here.
STRUCTURE = 0.4
# One plane is good that leaves less than this share of the noise.
GOOD_PLANE = 0.1
# Keeps the slope of a part that is one line of cells at 0, and costs others 0.4 per cent of it.
FLATNESS = 0.05


class Planes(NamedTuple):
    """Planes by least squares, one for each cell or one for all.

    Attributes:
        x, y (float64[r, c] or [1, 1]): the middle of the readings,
        inverse: their mean inverse depth,
        slope_x, slope_y: and its change with the ray.
    """

    x: Floats
    y: Floats
    inverse: Floats
    slope_x: Floats
    slope_y: Floats

    @classmethod
    def of(cls, moments: Floats, pitch: float) -> Planes:
        """Fit them.

        Args:
            moments (float64[r, c, 9]): sums of 1, x, y, i, xx, xy, yy, xi, yi over the readings.
            pitch: of the cells, in rays.
        """
        flat = (FLATNESS * pitch) ** 2
        n = np.maximum(moments[..., 0], 1)
        x, y, i, xx, xy, yy, xi, yi = (moments[..., k] / n for k in range(1, 9))
        xx, xy, yy = xx - x * x + flat, xy - x * y, yy - y * y + flat
        xi, yi = xi - x * i, yi - y * i
        determinant = np.maximum(xx * yy - xy * xy, flat * flat)
        return cls(x, y, i, (yy * xi - xy * yi) / determinant, (xx * yi - xy * xi) / determinant)

    def residuals(self, x: Floats, y: Floats, inverse: Floats) -> Floats:
        """What the planes leave of inverse depths at these rays, an array of the cells."""
        planes: Floats = self.inverse + (x - self.x) * self.slope_x + (y - self.y) * self.slope_y
        return inverse - planes

    def at(self, x: Floats, y: Floats, cells: tuple[NDArray[np.int64], ...]) -> Floats:
        """Inverse depth along rays, by the planes of these cells."""
        if self.inverse.size == 1:
            return -self.residuals(x, y, np.zeros(1)).ravel()
        here = Planes(*(values[cells] for values in self))
        return -here.residuals(x, y, np.zeros(1))


@dataclass(frozen=True, eq=False)
class Surface:
    """Planes on a grid of cells over a window of the depth image.

    Attributes:
        step_px: sides of a cell, in depth pixels.
        planes: in rays and inverse depths (1/m) less the origin.
        origin (float64[3]): mean ray and inverse depth of the readings.
        rays (float64[2, r, c]): the middle of each cell's readings, less the origin.
        filled (bool[r, c]): cells with readings.
        limits_m: the object is between these depths.
    """

    step_px: int
    planes: Planes
    origin: Floats
    rays: Floats
    filled: NDArray[np.bool_]
    limits_m: tuple[float, float]

    def points(self) -> Floats:
        """The surface at the cells with readings, float64[n, 3]."""
        cells = np.nonzero(self.filled)
        return self._points(self.rays[:, cells[0], cells[1]], cells)

    def points_at(self, rays: Floats, places: Floats) -> Floats:
        """The surface along rays, float64[m, 3], m <= n: those that the lens has.

        Args:
            rays (float64[n, 2]): where; a place without readings has the plane of the nearest.
            places (float64[n, 2]): the same in the grid, x and y in cells; what is outside counts
                as at its border.
        """
        known = np.isfinite(rays[:, 0])
        rays = rays[known].T - self.origin[:2, None]
        last = np.array(self.filled.shape[::-1]) - 1
        columns, rows = np.floor(places[known]).astype(np.int64).clip(0, last).T
        cells: tuple[NDArray[np.int64], ...] = (rows, columns)
        if self.planes.inverse.size > 1:
            cells = tuple(_nearest(self.filled)[rows, columns].T)
        return self._points(rays, cells)

    def _points(self, rays: Floats, cells: tuple[NDArray[np.int64], ...]) -> Floats:
        """The surface along rays (float64[2, n], less the origin), within its limits."""
        inverse = self.planes.at(rays[0], rays[1], cells) + self.origin[2]
        nearest, farthest = self.limits_m
        depth_m = 1 / inverse.clip(1 / farthest, 1 / nearest)
        across = rays + self.origin[:2, None]
        return np.stack((across[0] * depth_m, across[1] * depth_m, depth_m), axis=1)


def fit_surface(
    depth_m: NDArray[np.float32],
    kept: NDArray[np.bool_],
    rays: NDArray[np.float32],
    noise_per_m: float,
    limits_m: tuple[float, float],
) -> Surface:
    """Fit planes by least squares to the readings around each cell.

    Args:
        depth_m (float32[h, w]): a window of the depth image.
        kept (bool[h, w]): the object's readings, at least one.
        rays (float32[2, h, w]): of its pixels.
        noise_per_m: standard deviation of the sensor at 1 m, which is that of the inverse depth.
        limits_m: the object is between these depths.
    """
    step = -(-max(kept.shape) // MAX_CELLS)
    sums = _sums(depth_m, kept, rays, step)
    count = sums[0]
    means = sums[1:] / np.maximum(count, 1)
    total = count.sum()
    origin = sums[1:].sum(axis=(1, 2)) / total
    x, y, inverse = means - origin[:, None, None]
    moments = np.empty((*count.shape, 9))
    moments[..., 0] = count
    weighted = count * x, count * y, count * inverse
    moments[..., 1], moments[..., 2], moments[..., 3] = weighted
    np.multiply(weighted[0], x, out=moments[..., 4])
    np.multiply(weighted[0], y, out=moments[..., 5])
    np.multiply(weighted[1], y, out=moments[..., 6])
    np.multiply(weighted[2], x, out=moments[..., 7])
    np.multiply(weighted[2], y, out=moments[..., 8])
    whole: Floats = moments.sum(axis=(0, 1), keepdims=True)
    pitch = step * _pitch(rays)
    planes = plane = Planes.of(whole, pitch)
    size = 2 * _reach(whole[0, 0], origin[2], noise_per_m, step) + 1
    if size < 2 * max(count.shape):
        around: Any = cv2.boxFilter(
            moments, -1, (size, size), normalize=False, borderType=cv2.BORDER_CONSTANT
        )
        parts = Planes.of(around, pitch)
        errors = [float((count * p.residuals(x, y, inverse) ** 2).sum()) for p in (parts, plane)]
        enough = float(total) * (GOOD_PLANE * noise_per_m) ** 2
        if errors[1] > enough and errors[0] < (1 - STRUCTURE) * errors[1]:
            planes = parts
    return Surface(step, planes, origin, np.stack((x, y)), count > 0.5, limits_m)


def _nearest(filled: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Row and column of the filled cell nearest to each, int64[r, c, 2]."""
    _, labels = cv2.distanceTransformWithLabels(
        (~filled).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    rows, columns = np.nonzero(filled)
    where = np.zeros((int(labels.max()) + 1, 2), np.int64)
    where[labels[rows, columns]] = np.stack((rows, columns), 1)
    nearest: NDArray[np.int64] = where[labels]
    return nearest


def _sums(
    depth_m: NDArray[np.float32],
    kept: NDArray[np.bool_],
    rays: NDArray[np.float32],
    step: int,
) -> Floats:
    """Of each cell: readings, and the sums of their rays and inverse depths, float64[4, r, c]."""
    height, width = kept.shape
    rows, columns = -(-height // step), -(-width // step)
    full = np.zeros((4, rows * step, columns * step), np.float32)
    part = full[:, :height, :width]
    part[0] = kept
    # A ray that the lens does not have, and a depth without a reading, are NaN.
    part[1:3] = np.where(kept, rays, np.float32(0))
    part[3] = np.float32(1) / np.where(kept, depth_m, np.float32(np.inf))
    if step == 1:
        return full.astype(np.float64)
    means = [cv2.resize(plane, (columns, rows), interpolation=cv2.INTER_AREA) for plane in full]
    sums = np.array(means, np.float64) * (step * step)
    sums[0] = np.rint(sums[0])
    return sums


def _reach(summed: Floats, inverse_mean: float, noise_per_m: float, step: int) -> int:
    """Cells to each side that the part around a cell has, so that noise does not matter.

    Args:
        summed (float64[9]): moments of the whole object.
    """
    # Of a square with this variance in x and y together.
    size = math.sqrt(6 * max((float(summed[4]) + float(summed[6])) / float(summed[0]), 1e-12))
    edge_noise = 2 * noise_per_m / inverse_mean
    side_px = edge_noise / (NOISE_SHARE * size)
    return max(1, math.ceil((side_px / step - 1) / 2))


def _pitch(rays: NDArray[np.float32]) -> float:
    """The angle between neighbouring pixels."""
    _, height, width = rays.shape
    apart = np.abs(rays[:, -1, -1].astype(float) - rays[:, 0, 0]).max()
    pitch = float(apart) / max(height - 1, width - 1, 1)
    return pitch if np.isfinite(pitch) and pitch > 0 else 1e-3
