"""Fast NMS on tensors of fixed shape, for devices that must not wait for the host."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from yolact_ros.ops.boxes import pairwise_iou

__all__ = ["FixedShapeDetections", "fixed_shape_fast_nms"]

MAX_BOXES = 1000


@dataclass(frozen=True)
class FixedShapeDetections:
    """Detections of B images, padded to K rows so that shapes never change; best score first.

    Rows from ``counts[b]`` on are padding: score 0, class 0, box and coefficients 0.

    Attributes:
        boxes_xyxy (Tensor[B, K, 4]): relative to the image, not clipped.
        scores (Tensor[B, K]): 0..1.
        class_ids (Tensor[B, K]): int64, 0-based without background.
        coefficients (Tensor[B, K, k]): mask coefficients.
        counts (Tensor[B]): int64, number of valid rows of each image.
    """

    boxes_xyxy: Tensor
    scores: Tensor
    class_ids: Tensor
    coefficients: Tensor
    counts: Tensor


def fixed_shape_fast_nms(
    boxes_xyxy: Tensor,
    class_scores: Tensor,
    coefficients: Tensor,
    *,
    score_threshold: float = 0.05,
    iou_threshold: float | Tensor = 0.5,
    max_candidates_per_class: int = 200,
    max_detections: int = 100,
    display_threshold: float | Tensor = 0.0,
    max_boxes: int = MAX_BOXES,
) -> FixedShapeDetections:
    """Fast NMS (YOLACT section 3.3) without a data-dependent shape or a synchronisation.

    Boxes whose best score is not above ``score_threshold`` are left out, as are those with a NaN
    score or a coordinate that is not finite. What is left is selected from as by
    :func:`~yolact_ros.ops.fast_nms.fast_nms`; equal scores rank by class, then by row.

    Only the ``max_boxes`` boxes with the best scores compete, so shapes depend on the arguments
    alone and the whole function can be captured in a CUDA graph. The result is exact where no more
    than ``max_boxes`` boxes pass the thresholds, and otherwise down to the best score of the boxes
    left out.

    Args:
        boxes_xyxy (Tensor[B, N, 4]), coefficients (Tensor[B, N, k]): relative to the image.
        class_scores (Tensor[B, N, C]): softmax without the background column.
        score_threshold: a box's best score must be above it.
        iou_threshold: overlap above which the lower score goes. As ``Tensor[]`` on the same
            device, thresholds can change without another capture.
        display_threshold: a detection's score must be above it.
    """
    batch, num_boxes, num_classes = class_scores.shape
    best = class_scores.amax(dim=2)
    is_candidate = (best > score_threshold) & (best > display_threshold)
    passing = is_candidate & boxes_xyxy.isfinite().all(dim=2)
    size = min(max_boxes, num_boxes)
    rows = best.where(passing, -1).topk(size, dim=1, sorted=False).indices
    rows = rows.sort(dim=1).values  # so that equal scores rank by row
    boxes = _take_rows(boxes_xyxy, rows)
    scores = _take_rows(class_scores, rows).where(passing.gather(1, rows)[:, :, None], -1)
    near = pairwise_iou(boxes, boxes) > iou_threshold

    ranks = min(max_candidates_per_class, size)
    by_class = scores.transpose(1, 2).sort(dim=2, descending=True, stable=True)
    ranked_scores, ranked = by_class.values[:, :, :ranks], by_class.indices[:, :, :ranks]
    images = torch.arange(batch, device=rows.device)[:, None, None, None]
    overlaps = near[images, ranked[:, :, :, None], ranked[:, :, None, :]]
    suppressed = overlaps.triu(diagonal=1).any(dim=2)
    kept = ranked_scores.where(~suppressed & (ranked_scores > display_threshold), -1)

    # Flattened by class and rank, which is the order of equal scores.
    kept = kept.reshape(batch, num_classes * ranks)
    top = kept.sort(dim=1, descending=True, stable=True)
    found = min(max_detections, kept.shape[1])
    top_scores, places = top.values[:, :found], top.indices[:, :found]
    valid = top_scores >= 0
    top_rows = rows.gather(1, ranked.reshape(batch, -1).gather(1, places))
    class_ids = places.div(ranks, rounding_mode="floor")
    return FixedShapeDetections(
        boxes_xyxy=_pad(
            _take_rows(boxes_xyxy, top_rows).where(valid[:, :, None], 0), max_detections
        ),
        scores=_pad(top_scores.where(valid, 0), max_detections),
        class_ids=_pad(class_ids.where(valid, 0), max_detections),
        coefficients=_pad(
            _take_rows(coefficients, top_rows).where(valid[:, :, None], 0), max_detections
        ),
        counts=valid.sum(dim=1),
    )


def _take_rows(values: Tensor, rows: Tensor) -> Tensor:
    """``[B, N, d], [B, m] -> [B, m, d]``"""
    return values.gather(1, rows[:, :, None].expand(-1, -1, values.shape[2]))


def _pad(values: Tensor, size: int) -> Tensor:
    """Zeros appended to dimension 1 up to ``size``."""
    missing = size - values.shape[1]
    if missing == 0:
        return values
    return torch.cat(
        (values, values.new_zeros(values.shape[0], missing, *values.shape[2:])), dim=1
    )
