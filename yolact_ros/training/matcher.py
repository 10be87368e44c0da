"""Which prior learns which object: the matching of SSD with the paper's thresholds."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from yolact_ros.ops.boxes import (
    cxcywh_to_xyxy,
    encode_boxes,
    intersection_over_area,
    pairwise_iou,
)

__all__ = ["BACKGROUND", "NEUTRAL", "Matches", "match_priors"]

BACKGROUND = 0
NEUTRAL = -1


class Matches(NamedTuple):
    """Training target of every prior of one image.

    Attributes:
        box_offsets (Tensor[N, 4]): encoded box of the matched object; meaningful where
            ``classes`` > 0.
        classes (Tensor[N]): int64; object class + 1, ``BACKGROUND``, or ``NEUTRAL`` = not trained.
        object_index (Tensor[N]): int64, index of the matched object among the non-crowd ones.
    """

    box_offsets: Tensor
    classes: Tensor
    object_index: Tensor


def match_priors(
    priors_cxcywh: Tensor,
    boxes_xyxy: Tensor,
    class_ids: Tensor,
    crowd_boxes_xyxy: Tensor,
    *,
    positive_iou: float = 0.5,
    negative_iou: float = 0.4,
    crowd_overlap: float = 0.7,
) -> Matches:
    """Assign every prior to an object, to the background, or to neither.

    Every prior takes the object it overlaps most; every object also gets one prior of its own,
    the best pair first, so none goes untrained.

    Args:
        priors_cxcywh (Tensor[N, 4]): relative.
        boxes_xyxy (Tensor[n, 4]): objects without crowds, relative; n may be 0.
        class_ids (Tensor[n]): 0-based.
        crowd_boxes_xyxy (Tensor[m, 4]): priors mostly inside one of these do not learn background.
        positive_iou: least IoU of a positive.
        negative_iou: priors below this IoU are background; between the two they are neutral.
        crowd_overlap: share of a prior inside a crowd above which it is neutral.
    """
    num_priors = priors_cxcywh.shape[0]
    device = priors_cxcywh.device
    priors_xyxy = cxcywh_to_xyxy(priors_cxcywh)
    if boxes_xyxy.shape[0] == 0:
        classes = torch.full((num_priors,), BACKGROUND, dtype=torch.int64, device=device)
        object_index = torch.zeros(num_priors, dtype=torch.int64, device=device)
        offsets = torch.zeros_like(priors_cxcywh)
    else:
        overlaps = pairwise_iou(boxes_xyxy, priors_xyxy)  # [n, N]
        best_iou, object_index = overlaps.max(dim=0)
        for _ in range(boxes_xyxy.shape[0]):
            best_of_object, prior_of_object = overlaps.max(dim=1)
            chosen = int(best_of_object.argmax())
            prior = int(prior_of_object[chosen])
            overlaps[:, prior] = -1
            overlaps[chosen, :] = -1
            best_iou[prior] = 2  # above any threshold
            object_index[prior] = chosen
        classes = class_ids[object_index] + 1
        classes[best_iou < positive_iou] = NEUTRAL
        classes[best_iou < negative_iou] = BACKGROUND
        offsets = encode_boxes(boxes_xyxy[object_index], priors_cxcywh)
    if crowd_boxes_xyxy.shape[0] > 0:
        inside = intersection_over_area(crowd_boxes_xyxy, priors_xyxy).amax(dim=0)
        classes[(classes <= 0) & (inside > crowd_overlap)] = NEUTRAL
    return Matches(offsets, classes, object_index)
