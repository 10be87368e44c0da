"""Standard NMS on the host: greedy, of each class."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from yolact_ros.ops.fast_nms import Selection, ranked_pairs

__all__ = ["standard_nms"]


def standard_nms(
    boxes_xyxy: NDArray[np.float32],
    class_scores: NDArray[np.float32],
    *,
    iou_threshold: float,
    max_detections: int,
    display_threshold: float,
    input_size_px: int,
    margin_px: float = 1.0,
) -> Selection:
    """Greedy NMS of each class over the candidate boxes of one image.

    An overlap of exactly ``iou_threshold`` suppresses. Every step selects the best pair of box and
    class that is left and drops what it overlaps, so the time goes with what is selected.

    Args:
        boxes_xyxy (float32[n, 4]): finite, relative to the input.
        class_scores (float32[n, C]): finite, no background.
        max_detections: so many of all classes are selected, best first.
        display_threshold: a pair of box and class needs a higher score to take part.
        margin_px: sides and areas are so much larger, by one pixel in YOLACT's published code.
    """
    ranked = ranked_pairs(class_scores, display_threshold)
    with np.errstate(over="ignore"):  # boxes too large for float32 suppress nothing
        corners = boxes_xyxy[ranked.rows].T * np.float32(input_size_px)
        x_min, y_min = corners[:2]
        x_max, y_max = corners[2:] + np.float32(margin_px)
        areas = (x_max - x_min) * (y_max - y_min)
    left = np.stack((x_min, y_min, x_max, y_max, areas))
    places, class_ids = np.arange(len(ranked.rows)), ranked.class_ids
    chosen: list[int] = []
    while len(places) and len(chosen) < max_detections:
        chosen.append(int(places[0]))
        stays = ~_overlaps(left[:, 0], left[:, 1:], iou_threshold)
        stays |= class_ids[1:] != class_ids[0]
        left, places, class_ids = left[:, 1:][:, stays], places[1:][stays], class_ids[1:][stays]
    return ranked.take(chosen)


def _overlaps(
    one: NDArray[np.float32], others: NDArray[np.float32], iou_threshold: float
) -> NDArray[np.bool_]:
    """Whether boxes overlap one box by the threshold; x1, y1, x2, y2 and area in dimension 0."""
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        widths = np.minimum(others[2], one[2]) - np.maximum(others[0], one[0])
        heights = np.minimum(others[3], one[3]) - np.maximum(others[1], one[1])
        intersections = np.maximum(widths, 0) * np.maximum(heights, 0)
        overlaps: NDArray[np.bool_] = (
            intersections / (others[4] + one[4] - intersections) >= iou_threshold
        )
    return overlaps
