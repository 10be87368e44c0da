"""Boxes around points, along the camera's axes or upright."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["box_around", "upright_axes"]

Floats = NDArray[np.float64]

# Share of the points at each end that may be wrong.
OUTLIERS = 0.01
# A camera that looks along gravity within 6 degrees has no direction ahead on the ground.
LEAST_AHEAD = 0.1


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
    """The axes of the upright box whose ground plan is smallest, float64[3, 3].

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
    plan = np.stack((points_m @ ahead, points_m @ left), axis=1).astype(np.float32)
    corners = cv2.boxPoints(cv2.minAreaRect(plan))
    sides = corners - np.roll(corners, 1, axis=0)
    x_side = sides[np.argmax((sides**2).sum(axis=1))].astype(float)
    yaw = np.arctan2(x_side[1], x_side[0])
    # The same rectangle, turned by quarters until its x axis is within 45 degrees of ahead.
    yaw -= np.round(yaw / (np.pi / 2)) * (np.pi / 2)
    x_axis = np.cos(yaw) * ahead + np.sin(yaw) * left
    return np.stack((x_axis, np.cross(up, x_axis), up), axis=1)
