"""Slow, obvious twins of the suppression algorithms, and boxes to try them on."""

from __future__ import annotations

import numpy as np

Row = tuple[int, int, float]
"""Row of the input, class id and score of a detection."""


def iou(a: np.ndarray, b: np.ndarray) -> float:
    """Of two float32 boxes x1, y1, x2, y2."""
    width = max(np.minimum(a[2], b[2]) - np.maximum(a[0], b[0]), np.float32(0))
    height = max(np.minimum(a[3], b[3]) - np.maximum(a[1], b[1]), np.float32(0))
    inside = width * height
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inside
    return float(inside / union) if union else 0.0


def fast_nms_one_by_one(
    boxes: np.ndarray,
    scores: np.ndarray,
    *,
    score_threshold: float = 0.05,
    iou_threshold: float = 0.5,
    max_candidates_per_class: int = 200,
    max_detections: int = 100,
    display_threshold: float = 0.0,
) -> list[Row]:
    """The paper's Fast NMS: every class ranks the passing boxes, any better one suppresses."""
    passing = [row for row in range(len(boxes)) if scores[row].max(initial=0) > score_threshold]
    kept: list[Row] = []
    for class_id in range(scores.shape[1]):
        ranked = sorted(passing, key=lambda row: (-scores[row, class_id], row))
        ranked = ranked[:max_candidates_per_class]
        for rank, row in enumerate(ranked):
            better = ranked[:rank]
            if all(iou(boxes[row], boxes[other]) <= iou_threshold for other in better):
                kept.append((row, class_id, float(scores[row, class_id])))
    kept = [item for item in kept if item[2] > 0]
    kept.sort(key=lambda item: (-item[2], item[1], item[0]))
    # The reference cuts to the best 100 first and applies the display threshold afterwards.
    return [item for item in kept[:max_detections] if item[2] > display_threshold]


def cross_class_nms_one_by_one(
    boxes: np.ndarray, scores: np.ndarray, *, max_detections: int = 200
) -> list[Row]:
    """Every box has its best class only; one ranking for all."""
    passing = [row for row in range(len(boxes)) if scores[row].max() > 0.05]
    ranked = sorted(passing, key=lambda row: (-scores[row].max(), row))[:max_detections]
    return [
        (row, int(scores[row].argmax()), float(scores[row].max()))
        for rank, row in enumerate(ranked)
        if all(iou(boxes[row], boxes[other]) <= 0.5 for other in ranked[:rank])
    ]


def standard_nms_one_by_one(
    boxes: np.ndarray,
    scores: np.ndarray,
    *,
    input_size_px: int = 550,
    max_detections: int = 100,
    margin_px: float = 1.0,
) -> list[Row]:
    """Greedy, boxes one pixel larger, an overlap of exactly a half suppresses."""
    enlarged = boxes * np.float32(input_size_px)
    enlarged += np.array([0, 0, margin_px, margin_px], np.float32)
    kept: list[Row] = []
    for class_id in range(scores.shape[1]):
        candidates = [row for row in range(len(boxes)) if scores[row, class_id] > 0.05]
        alive: list[int] = []
        for row in sorted(candidates, key=lambda row: (-scores[row, class_id], row)):
            if all(iou(enlarged[row], enlarged[other]) < 0.5 for other in alive):
                alive.append(row)
        kept += [(row, class_id, float(scores[row, class_id])) for row in sorted(alive)]
    return sorted(kept, key=lambda item: -item[2])[:max_detections]


def crowded_boxes(
    seed: int, num_boxes: int, num_classes: int, num_objects: int
) -> tuple[np.ndarray, np.ndarray]:
    """Boxes that gather around objects, and softmax scores that favour each object's class.

    Returns:
        float32[num_boxes, 4] and float32[num_boxes, num_classes].
    """
    random = np.random.default_rng(seed)
    centers = random.uniform(0.1, 0.9, (num_objects, 2))
    sizes = random.uniform(0.05, 0.3, (num_objects, 2))
    objects = random.integers(0, num_objects, num_boxes)
    center = centers[objects] + random.normal(size=(num_boxes, 2)) * sizes[objects] * 0.15
    size = sizes[objects] * np.exp(random.normal(size=(num_boxes, 2)) * 0.2)
    logits = random.normal(size=(num_boxes, num_classes + 1))
    logits[:, 0] += 2.5
    logits[np.arange(num_boxes), 1 + objects % num_classes] += 3 + random.normal(size=num_boxes)
    scores = np.exp(logits)
    scores /= scores.sum(axis=1, keepdims=True)
    boxes = np.concatenate((center - size / 2, center + size / 2), axis=1)
    return boxes.astype(np.float32), scores[:, 1:].astype(np.float32)
