"""Assignment and mask loss of the variant yolact_nano, whose detector has no priors."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["CellMatches", "mask_loss", "match_cells"]


@dataclass(frozen=True)
class CellMatches:
    """Which cells learn which object of one image.

    Attributes:
        cells (Tensor[m]): int64, index of the cell.
        objects (Tensor[m]): int64, index of its object.
    """

    cells: Tensor
    objects: Tensor


def match_cells(
    class_logits: Tensor,
    predicted_xyxy: Tensor,
    true_xyxy: Tensor,
    class_ids: Tensor,
    *,
    top: int = 8,
    min_iou: float = 0.5,
    min_score: float = 0.05,
) -> CellMatches:
    """The cells from which the detector would report each object.

    A cell is rated ``(score of the object's class + min_score) * IoU ** 2`` for every object. Each
    object takes its ``top`` best cells of at least ``min_iou``, or its best cell of any IoU when
    it has none; a cell that several objects want goes to the one that rates it highest.

    Args:
        class_logits (Tensor[N, C]): of one image.
        predicted_xyxy (Tensor[N, 4]), true_xyxy (Tensor[n, 4]): in the same unit.
        class_ids (Tensor[n]): 0-based.
        top: most cells of an object.
        min_iou: least IoU of the predicted and the true box.
        min_score: lets an object that is seen as another class take part.
    """
    if len(true_xyxy) == 0:
        nothing = torch.zeros(0, dtype=torch.int64, device=class_logits.device)
        return CellMatches(nothing, nothing)
    iou = _pairwise_iou(true_xyxy, predicted_xyxy)
    score = class_logits.float().sigmoid().T[class_ids] + min_score
    rating = score * iou**2
    values, cells = rating.topk(min(top, rating.shape[1]), dim=1)
    taken = (iou.gather(1, cells) >= min_iou) & (values > 0)
    taken[:, 0] |= values[:, 0] > 0
    wanted = torch.zeros_like(rating).scatter(1, cells, values * taken)
    best, objects = wanted.max(dim=0)
    chosen = torch.nonzero(best > 0)[:, 0]
    return CellMatches(chosen, objects[chosen])


def mask_loss(logits: Tensor, masks: Tensor, boxes_xyxy: Tensor) -> Tensor:
    """Binary cross entropy plus Dice loss inside the boxes, both means over a box, for each mask.

    Args:
        logits (Tensor[m, h, w]): before the sigmoid, float32.
        masks (Tensor[m, h, w]): 0..1; the share of each position that the object covers.
        boxes_xyxy (Tensor[m, 4]): in positions of the mask; a position counts if its middle is
            inside, and at least one counts in each direction.

    Returns:
        Tensor[m]
    """
    height, width = logits.shape[-2:]
    columns = _inside(boxes_xyxy[:, 0], boxes_xyxy[:, 2], width)
    rows = _inside(boxes_xyxy[:, 1], boxes_xyxy[:, 3], height)
    inside = (rows[:, :, None] & columns[:, None, :]).float()
    entropy = F.binary_cross_entropy_with_logits(logits, masks, reduction="none") * inside
    entropy = entropy.sum(dim=(1, 2)) / inside.sum(dim=(1, 2))
    predicted, true = logits.sigmoid() * inside, masks * inside
    common = (predicted * true).sum(dim=(1, 2))
    both = (predicted**2).sum(dim=(1, 2)) + (true**2).sum(dim=(1, 2))
    return entropy + 1 - (2 * common + 1) / (both + 1)


def _inside(low: Tensor, high: Tensor, count: int) -> Tensor:
    first = (low - 0.5).ceil().clamp(0, count - 1)
    last = torch.maximum((high - 0.5).floor().clamp(0, count - 1), first)
    positions = torch.arange(count, dtype=torch.float32, device=low.device)
    return (positions >= first[:, None]) & (positions <= last[:, None])


def _pairwise_iou(first: Tensor, second: Tensor) -> Tensor:
    """IoU of boxes xyxy, [n, 4] and [m, 4], as [n, m]."""
    corners_low = torch.maximum(first[:, None, :2], second[None, :, :2])
    corners_high = torch.minimum(first[:, None, 2:], second[None, :, 2:])
    common = (corners_high - corners_low).clamp(min=0).prod(-1)
    areas = [(boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(-1) for boxes in (first, second)]
    return common / (areas[0][:, None] + areas[1][None] - common).clamp(min=1e-9)
