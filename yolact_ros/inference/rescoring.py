"""YOLACT++'s mask rescoring, applied to detections."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from yolact_ros.ops.masks import assemble_masks
from yolact_ros.structures import Detections

__all__ = ["rescore"]


def rescore(
    detections: Detections,
    prototypes: Tensor,
    mask_rescoring: Callable[[Tensor], Tensor],
    *,
    fixed_shape: bool = False,
) -> Detections:
    """Multiply scores by the predicted IoU of the masks and sort again (YOLACT++ section 5.1).

    Args:
        detections: of B images, on the prototypes' device or on the CPU.
        prototypes (Tensor[B, h, w, k]): of the network, which ``mask_rescoring`` runs beside.
        mask_rescoring: cropped soft masks ``[n, 1, h, w]`` to IoUs ``[n, C]``, not negative.
        fixed_shape: compute padding too, so that no shape depends on the number of detections.

    Returns:
        As many detections, with padding still behind them.
    """
    scores = torch.zeros_like(detections.scores)
    for image in range(len(scores)):
        used = scores.shape[1] if fixed_shape else int(detections.counts[image])
        if used == 0:
            continue
        soft = assemble_masks(
            prototypes[image].float(),
            detections.coefficients[image, :used].to(prototypes.device),
            detections.boxes_xyxy[image, :used].to(prototypes.device),
        )
        classes = detections.class_ids[image, :used, None]
        iou = mask_rescoring(soft[:, None]).to(scores.device).gather(1, classes)[:, 0]
        scores[image, :used] = detections.scores[image, :used] * iou
    # A rescored detection may fall to 0 and must not change places with padding: stable.
    values, order = scores.sort(dim=1, descending=True, stable=True)
    rows = order[:, :, None]
    return Detections(
        boxes_xyxy=detections.boxes_xyxy.gather(1, rows.expand_as(detections.boxes_xyxy)),
        scores=values,
        class_ids=detections.class_ids.gather(1, order),
        coefficients=detections.coefficients.gather(1, rows.expand_as(detections.coefficients)),
        counts=detections.counts,
    )
