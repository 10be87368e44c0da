"""What the network should have said about a batch, ready for the losses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from numpy.typing import NDArray
from torch import Tensor

from yolact_ros.ops.boxes import (
    cxcywh_to_xyxy,
    encode_boxes,
    intersection_over_area,
    pairwise_iou,
)

__all__ = ["BACKGROUND", "NEUTRAL", "ImageTarget", "Matches", "make_target", "match_priors"]

# The paper's: between the first two a prior is neutral, as is one mostly inside of a crowd.
POSITIVE_IOU = 0.5
NEGATIVE_IOU = 0.4
CROWD_OVERLAP = 0.7
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
) -> Matches:
    """Assign every prior to an object, to the background, or to neither.

    Every prior takes the object it overlaps most; every object also gets one prior of its own, the
    best pair first, so none goes untrained.

    Args:
        priors_cxcywh (Tensor[N, 4]): relative.
        boxes_xyxy (Tensor[n, 4]): objects without crowds, relative; n may be 0.
        class_ids (Tensor[n]): 0-based.
        crowd_boxes_xyxy (Tensor[m, 4]): priors mostly inside one of these do not learn background.
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
        classes[best_iou < POSITIVE_IOU] = NEUTRAL
        classes[best_iou < NEGATIVE_IOU] = BACKGROUND
        offsets = encode_boxes(boxes_xyxy[object_index], priors_cxcywh)
    if crowd_boxes_xyxy.shape[0] > 0:
        inside = intersection_over_area(crowd_boxes_xyxy, priors_xyxy).amax(dim=0)
        classes[(classes <= 0) & (inside > CROWD_OVERLAP)] = NEUTRAL
    return Matches(offsets, classes, object_index)


@dataclass(frozen=True)
class ImageTarget:
    """Ground truth of one image at network resolution, n objects without crowds.

    Attributes:
        boxes_xyxy (Tensor[n, 4]): relative.
        class_ids (Tensor[n]): int64, 0-based.
        masks (Tensor[n, S, S]): uint8 of 0/1.
        labelled (Tensor[C]): bool, classes whose objects are labelled in this image.
        crowd_boxes_xyxy (Tensor[c, 4]): relative; what is inside does not learn background.
        matches: of the priors; None for a network without priors.
        draw: number that the random choice of trained masks is made from, so that the choice
            depends neither on the process nor on the position in the batch.
    """

    name: str
    boxes_xyxy: Tensor
    class_ids: Tensor
    masks: Tensor
    labelled: Tensor
    crowd_boxes_xyxy: Tensor
    matches: Matches | None
    draw: int = 0

    @property
    def num_positives(self) -> int:
        """Number of priors that learn an object; without priors, number of objects."""
        if self.matches is None:
            return len(self.class_ids)
        return int((self.matches.classes > 0).sum())

    def __reduce__(self) -> tuple[Any, ...]:
        # Worker processes send every tensor as an open file; a batch has hundreds of small ones
        # here, more than the usual limit of 1024 files allows. Arrays travel as bytes.
        tensors = (self.boxes_xyxy, self.class_ids, self.masks, self.labelled)
        tensors = (*tensors, self.crowd_boxes_xyxy, *(self.matches or ()))
        return _restore, (self.name, self.draw, *(tensor.numpy() for tensor in tensors))

    def to(self, device: torch.device) -> ImageTarget:
        def moved(tensor: Tensor) -> Tensor:
            return tensor.to(device, non_blocking=True)

        return ImageTarget(
            self.name,
            moved(self.boxes_xyxy),
            moved(self.class_ids),
            moved(self.masks),
            moved(self.labelled),
            moved(self.crowd_boxes_xyxy),
            None if self.matches is None else Matches(*map(moved, self.matches)),
            self.draw,
        )


def _restore(name: str, draw: int, *arrays: NDArray[Any]) -> ImageTarget:
    boxes, class_ids, masks, labelled, crowds, *matches = map(torch.from_numpy, arrays)
    found = Matches(*matches) if matches else None
    return ImageTarget(name, boxes, class_ids, masks, labelled, crowds, found, draw)


def make_target(
    name: str,
    boxes_xyxy: Tensor,
    class_ids: Tensor,
    masks: Tensor,
    labelled: Sequence[bool] | Tensor,
    priors_cxcywh: Tensor | None,
    *,
    draw: int = 0,
) -> ImageTarget:
    """Split crowds off, match the priors and keep the rest.

    Args:
        boxes_xyxy (Tensor[m, 4]): relative, crowds included.
        class_ids (Tensor[m]): 0-based, -1 for crowds.
        masks (Tensor[m, S, S]): 0/1.
        priors_cxcywh (Tensor[N, 4]): relative; None for a network without priors.
    """
    is_object = class_ids >= 0
    matches = None
    if priors_cxcywh is not None:
        matches = match_priors(
            priors_cxcywh,
            boxes_xyxy[is_object],
            class_ids[is_object],
            boxes_xyxy[~is_object],
        )
    return ImageTarget(
        name,
        boxes_xyxy[is_object],
        class_ids[is_object],
        masks[is_object],
        torch.as_tensor(labelled, dtype=torch.bool),
        boxes_xyxy[~is_object],
        matches,
        draw,
    )
