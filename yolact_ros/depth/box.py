"""Boxes around points, along the camera's axes or upright."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["box_around", "upright_axes"]

Floats = NDArray[np.float64]

# Share of the points at each end that may be wrong.
OUTLIERS = 0.01
# A camera that looks along gravity within 6 degrees has no direction ahead on the ground.
LEAST_AHEAD = 0.1
ENOUGH_POINTS = 128
COARSE_DEG, FINE_DEG = 3.0, 0.5


def box_around(points_m: Floats, rotation: Floats) -> tuple[Floats, Floats]:
    """Centre and sides of the box with these axes, float64[3] each.

    Args:
        points_m (float64[n, 3]): of the surface.
        rotation (float64[3, 3]): its columns are the axes.
    """
    along = np.sort(points_m @ rotation, axis=0)
    outside = int(OUTLIERS * len(along))
    low, high = along[outside], along[-1 - outside]
    return rotation @ ((low + high) / 2), high - low


def upright_axes(points_m: Floats, gravity: Floats) -> Floats:
    """The axes of the upright box that the points lie closest to the sides of, float64[3, 3].

    Of a box two sides are seen, an L on the ground, around which a rectangle along its diagonal is
    as small as the right one. Closeness to the sides is Zhang et al. 2017, section III B.

    Args:
        points_m (float64[n, 3]): of the surface, in the optical frame.
        gravity (float64[3]): direction of gravity there.

    Returns:
        columns: x horizontal and, of the four sides, the one that points most away from the
        camera; y to its left; z up.
    """
    up = -gravity / np.linalg.norm(gravity)
    forward = np.array([0.0, 0.0, 1.0])
    if np.linalg.norm(np.cross(forward, up)) < LEAST_AHEAD:
        forward = np.array([0.0, -1.0, 0.0])
    ahead = forward - (forward @ up) * up
    ahead /= np.linalg.norm(ahead)
    left = np.cross(up, ahead)
    plan = np.stack((points_m @ ahead, points_m @ left))[:, :: -(-len(points_m) // ENOUGH_POINTS)]
    coarse = _best_yaw(plan, np.arange(-45.0, 45.0, COARSE_DEG))
    yaw = np.radians(_best_yaw(plan, coarse + np.arange(-COARSE_DEG, COARSE_DEG, FINE_DEG)))
    x_axis = np.cos(yaw) * ahead + np.sin(yaw) * left
    return np.stack((x_axis, np.cross(up, x_axis), up), axis=1)


def _best_yaw(plan: Floats, yaws_deg: Floats) -> float:
    """The yaw whose rectangle around points (float64[2, n]) has its sides closest to them."""
    cosine, sine = np.cos(np.radians(yaws_deg)), np.sin(np.radians(yaws_deg))
    gaps = []
    for along in (np.outer(cosine, plan[0]) + np.outer(sine, plan[1]),
                  np.outer(cosine, plan[1]) - np.outer(sine, plan[0])):  # fmt: skip
        low, high = along.min(axis=1, keepdims=True), along.max(axis=1, keepdims=True)
        gaps.append(np.minimum(along - low, high - along))
    return float(yaws_deg[np.minimum(*gaps).sum(axis=1).argmin()])
