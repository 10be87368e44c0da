"""From raw network output to detections in fixed shapes, without waiting for the device."""

from __future__ import annotations

from torch import Tensor

from yolact_ros.inference.rescoring import MaskRescoring, rescore_fixed_shape
from yolact_ros.inference.settings import MAX_CANDIDATES_PER_CLASS
from yolact_ros.ops.decoder import OutputDecoder
from yolact_ros.ops.fixed_shape_nms import FixedShapeDetections, fixed_shape_fast_nms
from yolact_ros.structures import NetworkOutput

__all__ = ["detect_fixed_shape"]


def detect_fixed_shape(
    output: NetworkOutput,
    decoder: OutputDecoder,
    *,
    score_threshold: float | Tensor,
    nms_threshold: float | Tensor,
    takes_part: Tensor | None,
    max_detections: int,
    mask_rescoring: MaskRescoring | None = None,
) -> FixedShapeDetections:
    """Decoding, Fast NMS and YOLACT++'s rescoring without a data-dependent shape.

    Args:
        output: of the network for B images.
        decoder: of the network.
        score_threshold, nms_threshold: numbers, or ``Tensor[]`` that can change between replays.
        takes_part (Tensor[C]): bool, the class filter; None is all classes.
        max_detections: rows of each image.
        mask_rescoring: see :mod:`~yolact_ros.inference.rescoring`.

    Returns:
        FixedShapeDetections: ``counts`` is -1 where the output has NaN.
    """
    boxes_xyxy, scores = decoder.decode(output)
    broken = scores.isnan().any(dim=2).any(dim=1)
    if takes_part is not None:
        # Below every threshold, so that other classes suppress nothing.
        scores = scores.where(takes_part, -1)
    detections = fixed_shape_fast_nms(
        boxes_xyxy,
        scores,
        output.coefficients.float(),
        score_threshold=decoder.least_score,
        iou_threshold=nms_threshold,
        max_candidates_per_class=MAX_CANDIDATES_PER_CLASS,
        max_detections=max_detections,
        display_threshold=score_threshold,
    )
    if mask_rescoring is not None:
        detections = rescore_fixed_shape(detections, output.prototypes, mask_rescoring)
    return FixedShapeDetections(
        boxes_xyxy=detections.boxes_xyxy,
        scores=detections.scores,
        class_ids=detections.class_ids,
        coefficients=detections.coefficients,
        counts=detections.counts.where(~broken, -1),
    )
