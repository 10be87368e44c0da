"""From pixels to the rays that they look along, for every camera that a camera_info describes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from yolact_ros.errors import DepthError

__all__ = ["CameraModel"]

FISHEYE_MODELS = ("equidistant", "fisheye")
POLYNOMIAL_MODELS = ("plumb_bob", "rational_polynomial")
STRAIGHT_MODELS = ("", "none")
# OpenCV's counts; further values that a driver fills in are zeros.
POLYNOMIAL_COUNTS = (4, 5, 8, 12, 14)
FISHEYE_COUNT = 4
# OpenCV's own five rounds leave up to half a pixel at the corners of a wide lens.
CRITERIA = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 50, 1e-10)
# Where a ray does not come back to within this of its pixel, the lens's formula has no inverse.
MAX_ERROR_PX = 0.5


@dataclass(frozen=True)
class CameraModel:
    """A camera's projection; pixel coordinates are whole numbers at the centres of pixels.

    Attributes:
        fx, fy: focal length in pixels.
        cx, cy: pixel of the optical axis.
        distortion: coefficients in OpenCV's order; empty for a straight image.
        fisheye: they are of OpenCV's fisheye model (ROS: "equidistant").
    """

    width_px: int
    height_px: int
    fx: float
    fy: float
    cx: float
    cy: float
    distortion: tuple[float, ...] = ()
    fisheye: bool = False

    @classmethod
    def assumed(cls, width_px: int, height_px: int) -> CameraModel:
        """For a camera that says nothing: the focal length is the image's width.

        That is a horizontal field of view of 53 degrees, and makes the image one metre wide at a
        distance of one metre.
        """
        focal_px = float(width_px)
        center_px = ((width_px - 1) / 2, (height_px - 1) / 2)
        return cls(width_px, height_px, focal_px, focal_px, *center_px)

    @classmethod
    def from_calibration(
        cls,
        *,
        width_px: int,
        height_px: int,
        k: Sequence[float],
        d: Sequence[float] = (),
        distortion_model: str = "",
        p: Sequence[float] = (),
        binning: tuple[int, int] = (0, 0),
        roi_xywh: tuple[int, int, int, int] = (0, 0, 0, 0),
        rectified: bool = False,
    ) -> CameraModel:
        """The projection of the image that arrives, from the fields of sensor_msgs/CameraInfo.

        Calibrations are of the whole sensor. Of it the driver sends the region of interest, where
        one is set, and makes one pixel of each ``binning`` pixels; the model is of that image.

        Args:
            width_px, height_px: of the calibrated image.
            k: the camera matrix, 9 values row by row.
            d, distortion_model: the lens, "plumb_bob", "rational_polynomial", "equidistant" or "".
            p: the projection matrix, 12 values row by row; needed for rectified images.
            binning: pixels combined in x and y; 0 is 1.
            roi_xywh: left, top, width and height in the calibrated image; no width is all of it.
            rectified: the image was rectified: ``p`` holds instead of ``k`` and ``d``.

        Raises:
            DepthError: it is not calibrated, or what it says is not understood.
        """
        name, matrix, row = ("P", p, 4) if rectified else ("K", k, 3)
        if len(matrix) != 3 * row or not all(math.isfinite(value) for value in matrix):
            raise DepthError(
                f"camera_info: {name} is {list(matrix)}, expected {3 * row} finite numbers"
            )
        if matrix[0] <= 0 or matrix[row + 1] <= 0:
            raise DepthError(
                f"camera_info: the focal lengths in {name} are {matrix[0]:g} and "
                f"{matrix[row + 1]:g}, expected positive ones: calibrate the camera "
                "(camera_calibration) or let its driver publish the calibration"
            )
        if width_px <= 0 or height_px <= 0:
            raise DepthError(
                f"camera_info: the image is {width_px} x {height_px}, expected its size in pixels"
            )
        left, top, full_width, full_height = (
            roi_xywh if roi_xywh[2] and roi_xywh[3] else (0, 0, width_px, height_px)
        )
        fisheye, distortion = (False, ()) if rectified else _lens(distortion_model, d)
        whole_roi = cls(
            full_width,
            full_height,
            float(matrix[0]),
            float(matrix[row + 1]),
            float(matrix[2]) - left,
            float(matrix[row + 2]) - top,
            distortion,
            fisheye,
        )
        across, down = (max(1, int(step)) for step in binning)
        return whole_roi.resized(full_width // across, full_height // down, (1 / across, 1 / down))

    def resized(
        self, width_px: int, height_px: int, scale: tuple[float, float] | None = None
    ) -> CameraModel:
        """The model of an image of another size with the same field of view.

        Args:
            scale: its pixels per pixel of this one in x and y; of the sizes unless given.
        """
        across, down = scale or (width_px / self.width_px, height_px / self.height_px)
        # The centre of the first pixel is at 0, so scaling is about the image's corner at -0.5.
        return replace(
            self,
            width_px=width_px,
            height_px=height_px,
            fx=self.fx * across,
            fy=self.fy * down,
            cx=(self.cx + 0.5) * across - 0.5,
            cy=(self.cy + 0.5) * down - 0.5,
        )

    def rays(self, points_px: NDArray[np.floating]) -> NDArray[np.float64]:
        """Where the rays of pixels meet the plane at a distance of 1 from the camera.

        Args:
            points_px: [n, 2], x right and y down.

        Returns:
            float64[n, 2]: x right and y down of the optical axis; NaN where the formula of the
            lens has no inverse, as beyond the edge of a wide one.
        """
        straight = (np.asarray(points_px, np.float64) - (self.cx, self.cy)) / (self.fx, self.fy)
        if not self.distortion or not len(straight):
            return straight
        # The points are already in units of the focal length.
        undistort = cv2.fisheye.undistortPoints if self.fisheye else _undistort
        found = undistort(
            straight[:, None], np.eye(3), np.array(self.distortion), criteria=CRITERIA
        )
        rays = np.asarray(found, np.float64).reshape(-1, 2)
        error = np.abs(self._distorted(rays) - straight) * (self.fx, self.fy)
        rays[~(error.max(axis=1) <= MAX_ERROR_PX)] = np.nan
        return rays

    @property
    def ray_table(self) -> NDArray[np.float32]:
        """The rays of all pixels, float32[2, height, width], x before y.

        Read-only; made when first needed, and kept for the cameras that were used last.
        """
        return _ray_table(self)

    def _distorted(self, rays: NDArray[np.float64]) -> NDArray[np.float64]:
        coefficients = np.array(self.distortion)
        usable = np.nan_to_num(rays)
        if self.fisheye:
            bent = cv2.fisheye.distortPoints(usable[:, None], np.eye(3), coefficients)
        else:
            points = np.concatenate((usable, np.ones((len(rays), 1))), axis=1)
            still = np.zeros(3)
            bent, _ = cv2.projectPoints(points, still, still, np.eye(3), coefficients)
        return np.asarray(bent, np.float64).reshape(-1, 2)


@lru_cache(maxsize=4)
def _ray_table(camera: CameraModel) -> NDArray[np.float32]:
    pixels = np.stack(np.meshgrid(np.arange(camera.width_px), np.arange(camera.height_px)), -1)
    rays = camera.rays(pixels.reshape(-1, 2).astype(np.float64))
    table = np.ascontiguousarray(rays.T, np.float32)
    table = table.reshape(2, camera.height_px, camera.width_px)
    table.flags.writeable = False
    return table


def _undistort(points: Any, matrix: Any, coefficients: Any, *, criteria: Any) -> Any:
    """OpenCV's function by the name that it has in each version."""
    versions: Any = cv2
    if hasattr(versions, "undistortPointsIter"):
        return versions.undistortPointsIter(points, matrix, coefficients, None, None, criteria)
    return versions.undistortPoints(points, matrix, coefficients, criteria=criteria)


def _lens(model: str, coefficients: Sequence[float]) -> tuple[bool, tuple[float, ...]]:
    """Whether it is a fisheye lens, and its coefficients as OpenCV takes them."""
    values = tuple(float(value) for value in coefficients)
    if not all(math.isfinite(value) for value in values):
        raise DepthError(f"camera_info: D is {list(values)}, expected finite numbers")
    fisheye = model in FISHEYE_MODELS
    # Zeros bend nothing with any polynomial; the fisheye model's do.
    if not fisheye and (not any(values) or model in STRAIGHT_MODELS):
        return False, ()
    if fisheye:
        if len(values) < FISHEYE_COUNT:
            raise DepthError(
                f"camera_info: D of the model {model} has {len(values)} values, expected 4"
            )
        return True, values[:FISHEYE_COUNT]
    if model not in POLYNOMIAL_MODELS:
        known = ", ".join((*POLYNOMIAL_MODELS, FISHEYE_MODELS[0]))
        raise DepthError(
            f"camera_info: the distortion model is {model!r}, expected one of {known}; "
            "rectify the images (image_proc) and use those"
        )
    if len(values) not in POLYNOMIAL_COUNTS:
        raise DepthError(
            f"camera_info: D of the model {model} has {len(values)} values, expected 4, 5, 8, "
            "12 or 14"
        )
    return False, values
