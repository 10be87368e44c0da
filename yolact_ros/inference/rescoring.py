"""YOLACT++'s mask rescoring, applied to detections."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from yolact_ros.ops.fixed_shape_nms import FixedShapeDetections
from yolact_ros.ops.masks import assemble_masks
from yolact_ros.structures import Detections

__all__ = ["MaskRescoring", "rescore", "rescore_fixed_shape"]

MaskRescoring = Callable[[Tensor], Tensor]
"""Cropped soft masks ``[n, 1, h, w]`` to the IoU that each would have as each class ``[n, C]``."""


def rescore(
    detections: Detections, prototypes: Tensor, mask_rescoring: MaskRescoring
) -> Detections:
    """Multiply scores by the predicted IoU of the masks and sort again (YOLACT++ section 5.1).

    ``prototypes [h, w, k]`` of the image are on the device of ``mask_rescoring``.
    """
    if not len(detections):
        return detections
    boxes_xyxy, scores, class_ids, coefficients = (
        torch.from_numpy(values).to(prototypes.device)
        for values in (
            detections.boxes_xyxy,
            detections.scores,
            detections.class_ids,
            detections.coefficients,
        )
    )
    ious = _mask_ious(boxes_xyxy, class_ids, coefficients, prototypes, mask_rescoring)
    # torch sorts NaN to the front, where it is noticed.
    values, order = (scores * ious).cpu().sort(descending=True, stable=True)
    rows = order.numpy()
    return Detections(
        boxes_xyxy=detections.boxes_xyxy[rows],
        scores=values.numpy(),
        class_ids=detections.class_ids[rows],
        coefficients=detections.coefficients[rows],
    )


def rescore_fixed_shape(
    detections: FixedShapeDetections, prototypes: Tensor, mask_rescoring: MaskRescoring
) -> FixedShapeDetections:
    """:func:`rescore` for B images, padding too, so that no shape depends on their instances."""
    ious = torch.stack(
        [
            _mask_ious(
                detections.boxes_xyxy[image],
                detections.class_ids[image],
                detections.coefficients[image],
                prototypes[image],
                mask_rescoring,
            )
            for image in range(len(prototypes))
        ]
    )
    # A rescored detection may fall to 0 and must not change places with padding: stable.
    values, order = (detections.scores * ious).sort(dim=1, descending=True, stable=True)
    rows = order[:, :, None]
    return FixedShapeDetections(
        boxes_xyxy=detections.boxes_xyxy.gather(1, rows.expand_as(detections.boxes_xyxy)),
        scores=values,
        class_ids=detections.class_ids.gather(1, order),
        coefficients=detections.coefficients.gather(1, rows.expand_as(detections.coefficients)),
        counts=detections.counts,
    )


def _mask_ious(
    boxes_xyxy: Tensor,
    class_ids: Tensor,
    coefficients: Tensor,
    prototypes: Tensor,
    mask_rescoring: MaskRescoring,
) -> Tensor:
    """The predicted IoU of each instance's mask (Tensor[n]), of one image."""
    soft = assemble_masks(prototypes.float(), coefficients, boxes_xyxy)
    return mask_rescoring(soft[:, None]).gather(1, class_ids[:, None])[:, 0]
