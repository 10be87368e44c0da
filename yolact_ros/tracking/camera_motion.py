"""How the camera moved between two images: sparse optical flow of the background, in small."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["CameraMotion"]

# Longer side of the images that are compared: 0.5 ms instead of 3 ms at 640 x 480, and what is
# lost in precision is far below the size of an object.
SIDE_PX = 160
MAX_POINTS = 80
POINT_QUALITY = 0.01
POINT_GAP_PX = 6
WINDOW_PX = 11
LEVELS = 3
MIN_POINTS = 8
RANSAC_PX = 1.0
# A camera that turned or zoomed farther than this was not understood.
MAX_SCALE = 1.5


class CameraMotion:
    """Compares each image with the one before.

    A similarity (shift, turn, scale) is fitted with RANSAC (Fischler and Bolles 1981) to points
    that Lucas and Kanade's method followed; objects are left out, since they move by themselves.
    """

    def __init__(self) -> None:
        self._small: NDArray[np.uint8] | None = None
        self._points: NDArray[np.float32] | None = None

    def update(
        self, image_bgr: NDArray[np.uint8], boxes_xyxy: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Pixels of the last image to pixels of this one, float64[2, 3].

        The identity for the first image, and where too little can be followed.

        Args:
            image_bgr (uint8[H, W, 3]): of the same size as the last one.
            boxes_xyxy (float64[n, 4]): the objects in it, pixels.
        """
        step = max(1, -(-max(image_bgr.shape[:2]) // SIDE_PX))
        # Every so many pixels are enough for flow, and a tenth of the time of averaging.
        small = cv2.cvtColor(np.ascontiguousarray(image_bgr[::step, ::step]), cv2.COLOR_BGR2GRAY)
        motion = self._compare(np.asarray(small, np.uint8), step)
        self._small = np.asarray(small, np.uint8)
        self._points = _background_points(self._small, boxes_xyxy / step)
        return motion

    def _compare(self, small: NDArray[np.uint8], step: int) -> NDArray[np.float64]:
        still = np.eye(2, 3)
        before, points = self._small, self._points
        if before is None or points is None or before.shape != small.shape:
            return still
        moved, found, _ = cv2.calcOpticalFlowPyrLK(
            before,
            small,
            points,
            np.empty_like(points),
            winSize=(WINDOW_PX, WINDOW_PX),
            maxLevel=LEVELS,
        )
        kept = found.ravel() == 1
        if kept.sum() < MIN_POINTS:
            return still
        motion, inliers = cv2.estimateAffinePartial2D(
            points[kept], moved[kept], method=cv2.RANSAC, ransacReprojThreshold=RANSAC_PX
        )
        if motion is None or inliers.sum() < max(MIN_POINTS, kept.sum() / 3):
            return still
        scale = np.sqrt(abs(np.linalg.det(motion[:, :2])))
        if not 1 / MAX_SCALE < scale < MAX_SCALE:
            return still
        motion[:, 2] *= step
        return np.asarray(motion, np.float64)


def _background_points(
    small: NDArray[np.uint8], boxes_xyxy: NDArray[np.float64]
) -> NDArray[np.float32] | None:
    """Corners outside the objects, float32[p, 1, 2]; None without any."""
    height, width = small.shape
    mask = np.full((height, width), 255, np.uint8)
    corners = boxes_xyxy.clip(0, max(height, width)).astype(int)
    for left, top, right, bottom in corners.tolist():
        mask[top : bottom + 1, left : right + 1] = 0
    points = cv2.goodFeaturesToTrack(
        small, MAX_POINTS, POINT_QUALITY, POINT_GAP_PX, mask=mask, blockSize=3
    )
    return None if points is None else np.asarray(points, np.float32)
