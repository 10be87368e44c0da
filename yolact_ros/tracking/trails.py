"""The way that each object came, for pictures."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from yolact_ros.prediction import Prediction

__all__ = ["Trails"]

TRAIL_S = 1.0


class Trails:
    """Remembers where the objects of one camera were during the last second of its stamps."""

    def __init__(self) -> None:
        self._points: dict[int, deque[tuple[float, float, float]]] = {}
        self._last_s = 0.0

    def add(self, prediction: Prediction, time_s: float) -> Mapping[int, NDArray[np.float32]]:
        """Note the objects of an image.

        Args:
            time_s: the image's stamp; an earlier one than the last begins anew.

        Returns:
            float32[k, 2] by id: the middles of its boxes, oldest first, in pixels.
        """
        if time_s < self._last_s:
            self._points.clear()
        self._last_s = time_s
        boxes = prediction.boxes_xyxy
        middles = (boxes[:, :2] + boxes[:, 2:]) / 2
        for track_id, middle in zip(prediction.track_ids.tolist(), middles.tolist(), strict=False):
            if track_id:
                self._points.setdefault(track_id, deque()).append((time_s, *middle))
        for track_id, points in list(self._points.items()):
            while points and points[0][0] < time_s - TRAIL_S:
                points.popleft()
            if not points:
                del self._points[track_id]
        shown = set(prediction.track_ids.tolist())
        return {
            track_id: np.array([point[1:] for point in points], np.float32)
            for track_id, points in self._points.items()
            if track_id in shown
        }
