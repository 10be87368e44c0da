"""Where an object is, or why that is not known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["NoPlace", "ObjectPlace"]


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
    """Why an object has no place.

    Attributes:
        reason: for people, such as "too few depth pixels (3 of 210)".
    """

    reason: str
