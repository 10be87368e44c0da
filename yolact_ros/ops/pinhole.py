"""From pixels to the rays that they look along."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["Pinhole"]


@dataclass(frozen=True)
class Pinhole:
    """A camera's projection; pixel coordinates are whole numbers at the centres of pixels.

    Attributes:
        focal_px: focal length in x and y.
        center_px: x, y of the optical axis.
        distortion: coefficients in OpenCV's order; empty for a straight image.
        fisheye: they are of OpenCV's fisheye model (ROS: "equidistant").
    """

    focal_px: tuple[float, float]
    center_px: tuple[float, float]
    distortion: tuple[float, ...] = ()
    fisheye: bool = False

    @classmethod
    def assumed(cls, width_px: int, height_px: int) -> Pinhole:
        """For a camera that says nothing: the focal length is the image's width.

        That is a horizontal field of view of 53 degrees, and makes the image one metre wide at a
        distance of one metre.
        """
        center_px = ((width_px - 1) / 2, (height_px - 1) / 2)
        return cls((float(width_px), float(width_px)), center_px)

    def rays(self, points_px: NDArray[np.float64]) -> NDArray[np.float64]:
        """Where the rays of pixels meet the plane at a distance of 1 from the camera.

        Args:
            points_px: float64[n, 2], x right and y down.

        Returns:
            float64[n, 2]: x right and y down of the optical axis.
        """
        straight = (points_px - self.center_px) / self.focal_px
        if not any(self.distortion) or not len(points_px):
            return straight
        undistort = cv2.fisheye.undistortPoints if self.fisheye else cv2.undistortPoints
        # The points are already in units of the focal length.
        rays = undistort(straight[:, None], np.eye(3), np.array(self.distortion))
        return np.asarray(rays, np.float64).reshape(-1, 2)
