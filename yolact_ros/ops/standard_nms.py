"""Standard NMS on the host, to compare Fast NMS with."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from yolact_ros.ops.fast_nms import Selection

__all__ = ["standard_nms"]


def standard_nms(
    boxes_xyxy: NDArray[np.float32],
    class_scores: NDArray[np.float32],
    *,
    iou_threshold: float,
    max_detections: int,
    display_threshold: float,
    input_size_px: int,
) -> Selection:
    """Greedy NMS of each class over the candidate boxes of one image.

    As the published code has it: sides and areas are one pixel larger at ``input_size_px``, and
    an overlap of exactly ``iou_threshold`` suppresses.

    Args:
        boxes_xyxy (float32[n, 4]): finite, relative to the image.
        class_scores (float32[n, C]): finite, no background.
        max_detections: so many of all classes are selected, best first.
        display_threshold: a pair of box and class needs a higher score to take part.
    """
    with np.errstate(over="ignore"):  # boxes too large for float32 suppress nothing
        boxes_px = boxes_xyxy * np.float32(input_size_px)
    rows, class_ids = [], []
    for class_id in range(class_scores.shape[1]):
        candidates = np.flatnonzero(class_scores[:, class_id] > display_threshold)
        kept = _suppress_greedily(
            boxes_px[candidates], class_scores[candidates, class_id], iou_threshold
        )
        rows.append(candidates[kept])
        class_ids.append(np.full(len(rows[-1]), class_id))
    all_rows, all_classes = np.concatenate(rows), np.concatenate(class_ids)
    scores = class_scores[all_rows, all_classes]
    order = np.argsort(-scores, kind="stable")[:max_detections]
    return Selection(all_rows[order], all_classes[order], scores[order])


def _suppress_greedily(
    boxes_px: NDArray[np.float32], scores: NDArray[np.float32], iou_threshold: float
) -> NDArray[np.int64]:
    """Rows that are left, in rising order."""
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        lower, upper = boxes_px[:, :2], boxes_px[:, 2:] + 1
        areas = (upper - lower).prod(axis=1)
        sides = np.minimum(upper[:, None], upper) - np.maximum(lower[:, None], lower)
        intersections = np.maximum(sides, 0).prod(axis=2)
        near = intersections / (areas[:, None] + areas - intersections) >= iou_threshold
    alive = np.ones(len(boxes_px), np.bool_)
    for row in np.argsort(-scores, kind="stable"):
        if alive[row]:
            alive &= ~near[row]
            alive[row] = True
    return np.flatnonzero(alive)
