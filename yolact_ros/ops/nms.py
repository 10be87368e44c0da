"""Non-maximum suppression: Fast NMS, its cross-class form, and the standard one to compare."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from yolact_ros.ops.static_nms import static_fast_nms
from yolact_ros.ops.suppression import Selection, select_fast_nms
from yolact_ros.structures import Detections

__all__ = [
    "cross_class_fast_nms",
    "fast_nms",
    "pad_detections",
    "select_cross_class_nms",
    "select_standard_nms",
    "standard_nms",
]


def fast_nms(
    boxes_xyxy: Tensor,
    class_scores: Tensor,
    coefficients: Tensor,
    *,
    score_threshold: float = 0.05,
    iou_threshold: float = 0.5,
    max_candidates_per_class: int = 200,
    max_detections: int = 100,
    display_threshold: float = 0.0,
    static: bool | None = None,
) -> Detections:
    """Fast NMS of B images (YOLACT section 3.3).

    Boxes whose best score is not above ``score_threshold`` are left out. Within each class, a box
    goes if a better one overlaps it by more than ``iou_threshold``, also if that better one goes
    itself. There is no second threshold: a box may come out under several classes, with any score
    above ``display_threshold``. Equal scores rank by row. Boxes that have a NaN score, or a
    coordinate that is not finite, are left out.

    Args:
        boxes_xyxy (Tensor[B, N, 4]): relative to the image.
        class_scores (Tensor[B, N, C]): softmax without the background column.
        coefficients (Tensor[B, N, k]): mask coefficients.
        score_threshold: a box's best score must be above it.
        iou_threshold: overlap above which the lower score goes.
        max_candidates_per_class: best boxes of each class that compete.
        max_detections: K, rows of the result.
        display_threshold: a detection's score must be above it.
        static: True runs on tensors of fixed shape and never waits for the device, see
            :func:`~yolact_ros.ops.static_nms.static_fast_nms` for when that is exact; False runs
            on the host and is always exact; None is True except on the CPU.

    Returns:
        Detections padded to K rows, on the device of the inputs.
    """
    if static is None:
        static = boxes_xyxy.device.type != "cpu"
    if static:
        return static_fast_nms(
            boxes_xyxy,
            class_scores,
            coefficients,
            score_threshold=score_threshold,
            iou_threshold=iou_threshold,
            max_candidates_per_class=max_candidates_per_class,
            max_detections=max_detections,
            display_threshold=display_threshold,
        )

    def select(boxes: NDArray[np.float32], scores: NDArray[np.float32]) -> Selection:
        return select_fast_nms(
            boxes,
            scores,
            iou_threshold=iou_threshold,
            max_candidates_per_class=max_candidates_per_class,
            max_detections=max_detections,
            display_threshold=display_threshold,
        )

    return _select_on_host(
        boxes_xyxy, class_scores, coefficients, score_threshold, max_detections, select
    )


def cross_class_fast_nms(
    boxes_xyxy: Tensor,
    class_scores: Tensor,
    coefficients: Tensor,
    *,
    score_threshold: float = 0.05,
    iou_threshold: float = 0.5,
    max_detections: int = 200,
    display_threshold: float = 0.0,
) -> Detections:
    """Fast NMS over all classes at once: each box has its best class only; on the host.

    As :func:`fast_nms`, but ``max_detections`` is both how many boxes compete and K: the published
    code does not cut the result to 100.
    """

    def select(boxes: NDArray[np.float32], scores: NDArray[np.float32]) -> Selection:
        return select_cross_class_nms(
            boxes,
            scores,
            iou_threshold=iou_threshold,
            max_detections=max_detections,
            display_threshold=display_threshold,
        )

    return _select_on_host(
        boxes_xyxy, class_scores, coefficients, score_threshold, max_detections, select
    )


def standard_nms(
    boxes_xyxy: Tensor,
    class_scores: Tensor,
    coefficients: Tensor,
    *,
    score_threshold: float = 0.05,
    iou_threshold: float = 0.5,
    max_detections: int = 100,
    display_threshold: float = 0.0,
    input_size_px: int = 550,
) -> Detections:
    """Greedy NMS of each class, for comparison; on the host.

    As the published code has it: the threshold holds for every pair of box and class, sides and
    areas are one pixel larger at ``input_size_px``, and an overlap of exactly ``iou_threshold``
    suppresses. Inputs and result as for :func:`fast_nms`.
    """

    def select(boxes: NDArray[np.float32], scores: NDArray[np.float32]) -> Selection:
        return select_standard_nms(
            boxes,
            scores,
            iou_threshold=iou_threshold,
            max_detections=max_detections,
            display_threshold=max(score_threshold, display_threshold),
            input_size_px=input_size_px,
        )

    return _select_on_host(
        boxes_xyxy, class_scores, coefficients, score_threshold, max_detections, select
    )


def select_cross_class_nms(
    boxes_xyxy: NDArray[np.float32],
    class_scores: NDArray[np.float32],
    *,
    iou_threshold: float,
    max_detections: int,
    display_threshold: float,
) -> Selection:
    """:func:`cross_class_fast_nms` of one image's candidate boxes, all finite."""
    class_ids = class_scores.argmax(axis=1)
    selection = select_fast_nms(
        boxes_xyxy,
        class_scores.max(axis=1, keepdims=True),
        iou_threshold=iou_threshold,
        max_candidates_per_class=max_detections,
        max_detections=max_detections,
        display_threshold=display_threshold,
    )
    return selection._replace(class_ids=class_ids[selection.rows])


def select_standard_nms(
    boxes_xyxy: NDArray[np.float32],
    class_scores: NDArray[np.float32],
    *,
    iou_threshold: float,
    max_detections: int,
    display_threshold: float,
    input_size_px: int,
) -> Selection:
    """:func:`standard_nms` of one image's candidate boxes, all finite."""
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


def pad_detections(
    selections: Sequence[Selection],
    boxes_xyxy: Sequence[NDArray[np.float32]],
    coefficients: Sequence[NDArray[np.float32]],
    max_detections: int,
) -> Detections:
    """What was selected in each of B images, padded to K = ``max_detections`` rows, on the host.

    Args:
        selections: of each image, at most K rows.
        boxes_xyxy: the float32[m, 4] of each selection.
        coefficients: the float32[m, k] of each selection.
    """
    batch, size = len(selections), max_detections
    boxes = np.zeros((batch, size, 4), np.float32)
    scores = np.zeros((batch, size), np.float32)
    class_ids = np.zeros((batch, size), np.int64)
    vectors = np.zeros((batch, size, coefficients[0].shape[1]), np.float32)
    for image, selection in enumerate(selections):
        count = len(selection.rows)
        boxes[image, :count] = boxes_xyxy[image]
        scores[image, :count] = selection.scores
        class_ids[image, :count] = selection.class_ids
        vectors[image, :count] = coefficients[image]
    counts = np.array([len(selection.rows) for selection in selections], np.int64)
    # Filled by NumPy: a dozen small operations of torch take ten times as long.
    return Detections(
        *(torch.from_numpy(array) for array in (boxes, scores, class_ids, vectors, counts))
    )


def _select_on_host(
    boxes_xyxy: Tensor,
    class_scores: Tensor,
    coefficients: Tensor,
    score_threshold: float,
    max_detections: int,
    select: Callable[[NDArray[np.float32], NDArray[np.float32]], Selection],
) -> Detections:
    selections, boxes, vectors = [], [], []
    for image_boxes, image_scores, image_vectors in zip(
        boxes_xyxy, class_scores, coefficients, strict=True
    ):
        host_boxes = image_boxes.float().cpu().numpy()
        host_scores = image_scores.float().cpu().numpy()
        # max hands NaN on, and NaN is not above anything.
        passing = host_scores.max(axis=1, initial=0.0) > score_threshold
        candidates = np.flatnonzero(passing & np.isfinite(host_boxes).all(axis=1))
        selection = select(host_boxes[candidates], host_scores[candidates])
        rows = candidates[selection.rows]
        selections.append(selection)
        boxes.append(host_boxes[rows])
        vectors.append(image_vectors.float().cpu().numpy()[rows])
    found = pad_detections(selections, boxes, vectors, max_detections)
    device = boxes_xyxy.device
    return Detections(
        boxes_xyxy=found.boxes_xyxy.to(device),
        scores=found.scores.to(device),
        class_ids=found.class_ids.to(device),
        coefficients=found.coefficients.to(device),
        counts=found.counts.to(device),
    )


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
