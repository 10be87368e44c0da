"""Assignment and losses of the family nano, whose detector has no priors.

Classes learn the quality focal loss and boxes the distribution focal loss (Li et al. 2020) with
GIoU (Rezatofighi et al. 2019), as in NanoDet-Plus. Which cells learn an object follows from the
network's own predictions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from yolact_ros.ops.boxes import pairwise_iou
from yolact_ros.ops.cell_decoder import BINS, CellDecoder, cell_centers
from yolact_ros.ops.crops import CROP_PADDING
from yolact_ros.ops.masks import mask_logits
from yolact_ros.structures import NetworkOutput
from yolact_ros.training.targets import ImageTarget

__all__ = [
    "CellMatches",
    "NanoLossSettings",
    "distribution_focal_loss",
    "giou_loss",
    "mask_loss",
    "match_cells",
    "nano_losses",
    "quality_focal_loss",
]

CELLS_PER_OBJECT = 8
ENTROPY_SHARE, DICE_SHARE = 0.5, 1.5
DICE_SMOOTHING = 0.1


@dataclass(frozen=True)
class NanoLossSettings:
    """Weights; those of the detector are NanoDet-Plus's.

    Attributes:
        class_weight, box_weight, distribution_weight, mask_weight: factors of the four terms.
        max_trained_masks: most cells of an image whose masks are trained.
    """

    class_weight: float = 1.0
    box_weight: float = 2.0
    distribution_weight: float = 0.25
    mask_weight: float = 2.0
    max_trained_masks: int = 100


@dataclass(frozen=True)
class CellMatches:
    """Which cells learn which object of one image.

    Attributes:
        cells (Tensor[m]): int64, index of the cell, rising.
        objects (Tensor[m]): int64, index of its object.
    """

    cells: Tensor
    objects: Tensor

    def weights(self) -> Tensor:
        """float32[m] of cells: 1 / number of cells of the same object."""
        return 1 / torch.bincount(self.objects).float()[self.objects]


@torch.no_grad()
def match_cells(
    class_logits: Tensor,
    predicted_xyxy: Tensor,
    true_xyxy: Tensor,
    class_ids: Tensor,
    *,
    top: int = CELLS_PER_OBJECT,
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
        min_score: lets an object that is seen as another class, or is new, take part.
    """
    if len(true_xyxy) == 0:
        nothing = torch.zeros(0, dtype=torch.int64, device=class_logits.device)
        return CellMatches(nothing, nothing)
    iou = pairwise_iou(true_xyxy, predicted_xyxy).nan_to_num()
    score = class_logits.float().sigmoid().T[class_ids] + min_score
    rating = score * iou**2
    values, cells = rating.topk(min(top, rating.shape[1]), dim=1)
    taken = iou.gather(1, cells) >= min_iou
    taken[:, 0] = True
    wanted = torch.zeros_like(rating).scatter(1, cells, values * taken)
    best, objects = wanted.max(dim=0)
    chosen = torch.nonzero(best > 0)[:, 0]
    return CellMatches(chosen, objects[chosen])


def nano_losses(
    output: NetworkOutput,
    targets: Sequence[ImageTarget],
    num_objects: int,
    settings: NanoLossSettings,
) -> dict[str, Tensor]:
    """Weighted loss terms of one batch; their sum is what is minimised.

    Every object counts as much as any other, however many cells learn it.

    Args:
        output: of the network for B images.
        targets: B targets on the same device.
        num_objects: objects of the whole optimiser step, above 0.
        settings: weights.

    Returns:
        ``box``, ``distribution``, ``class`` and ``mask``.
    """
    size_px = output.prototypes.shape[1] * 4
    cells = cell_centers(size_px).to(output.prototypes.device) / size_px
    boxes_xyxy, _ = CellDecoder(size_px, output.class_logits.device).decode(output)
    nothing = output.prototypes.new_zeros((), dtype=torch.float32)
    sums = dict.fromkeys(("box", "distribution", "class", "mask"), nothing)
    for index, target in enumerate(targets):
        logits = output.class_logits[index].float()
        predicted = boxes_xyxy[index]
        matches = match_cells(logits, predicted, target.boxes_xyxy, target.class_ids)
        true = target.boxes_xyxy[matches.objects]
        own = predicted[matches.cells]
        quality = torch.zeros_like(logits)
        weight = matches.weights() if len(true) else nothing.new_zeros(0)
        if len(true):
            iou = pairwise_iou(own.detach()[:, None], true[:, None])[:, 0, 0]
            quality[matches.cells, target.class_ids[matches.objects]] = iou.nan_to_num()
        counted = target.labelled[None] & ~_in_crowd(cells, target, matches)[:, None]
        class_sum = (quality_focal_loss(logits, quality) * counted).sum()
        point, stride = cells[matches.cells, :2], cells[matches.cells, 2:]
        distances = torch.cat([point - true[:, :2], true[:, 2:] - point], dim=1) / stride
        distribution = distribution_focal_loss(
            output.box_offsets[index, matches.cells].float(), distances
        )
        # A random choice of the masks would make the loss of a resumed run another one.
        trained = slice(settings.max_trained_masks)
        masks = _soft_masks(target, matches.objects[trained])
        prototypes = output.prototypes[index].float()
        coefficients = output.coefficients[index, matches.cells[trained]].float()
        mask_sum = mask_loss(
            mask_logits(prototypes, coefficients, own[trained].detach()),
            masks,
            true[trained] * prototypes.shape[0],
        )
        terms = {
            "box": (giou_loss(own, true) * weight).sum(),
            "distribution": (distribution * weight).sum(),
            "class": class_sum / CELLS_PER_OBJECT,
            "mask": (mask_sum * weight[trained]).sum(),
        }
        sums = {name: value + terms[name] for name, value in sums.items()}
    return {
        name: getattr(settings, f"{name}_weight") * value / num_objects
        for name, value in sums.items()
    }


def quality_focal_loss(logits: Tensor, quality: Tensor) -> Tensor:
    """``(quality - p) ** 2`` times the binary cross entropy of ``p`` with ``quality``.

    Args:
        logits (Tensor[...]): p before the sigmoid.
        quality (Tensor[...]): 0..1; IoU of the cell's box where it learns the class, else 0.
    """
    entropy = F.binary_cross_entropy_with_logits(logits, quality, reduction="none")
    return (quality - logits.sigmoid()) ** 2 * entropy


def distribution_focal_loss(logits: Tensor, distances: Tensor) -> Tensor:
    """Cross entropy with the two bins around each distance, mean of the four sides: Tensor[m].

    Args:
        logits (Tensor[m, 4 * bins]): of left, top, right, bottom.
        distances (Tensor[m, 4]): in strides; what is outside the bins counts as their end.
    """
    wanted = distances.clamp(0, BINS - 1 - 1e-3)
    low = wanted.floor()
    share = wanted - low
    logarithms = logits.unflatten(1, (4, BINS)).log_softmax(dim=2)
    at_low = logarithms.gather(2, low.long()[..., None])[..., 0]
    at_high = logarithms.gather(2, low.long()[..., None] + 1)[..., 0]
    loss: Tensor = -(at_low * (1 - share) + at_high * share).mean(dim=1)
    return loss


def giou_loss(predicted_xyxy: Tensor, true_xyxy: Tensor) -> Tensor:
    """1 - GIoU of each predicted box ``[m, 4]`` with its true one: Tensor[m]."""
    common_low = torch.maximum(predicted_xyxy[:, :2], true_xyxy[:, :2])
    common_high = torch.minimum(predicted_xyxy[:, 2:], true_xyxy[:, 2:])
    common = (common_high - common_low).clamp(min=0).prod(dim=1)
    areas = [(b[:, 2:] - b[:, :2]).clamp(min=0).prod(dim=1) for b in (predicted_xyxy, true_xyxy)]
    union = (areas[0] + areas[1] - common).clamp(min=1e-9)
    hull_low = torch.minimum(predicted_xyxy[:, :2], true_xyxy[:, :2])
    hull_high = torch.maximum(predicted_xyxy[:, 2:], true_xyxy[:, 2:])
    hull = (hull_high - hull_low).clamp(min=0).prod(dim=1).clamp(min=1e-9)
    return 1 - common / union + (hull - union) / hull


def mask_loss(logits: Tensor, masks: Tensor, boxes_xyxy: Tensor) -> Tensor:
    """0.5 binary cross entropy plus 1.5 Dice loss in and around the boxes, for each mask.

    Where an object is too small to be seen clearly, cross entropy alone calls every position
    background; Dice, which follows the IoU, fills the box.

    Both are means over the box and one position around it: mask assembly shows that much, and
    what is never trained there makes small masks half as large again as their objects.

    Args:
        logits (Tensor[m, h, w]): before the sigmoid, float32.
        masks (Tensor[m, h, w]): 0..1; the share of each position that the object covers.
        boxes_xyxy (Tensor[m, 4]): in positions of the mask; a position counts if its middle is
            inside the grown box, and at least one counts in each direction.

    Returns:
        Tensor[m]
    """
    height, width = logits.shape[-2:]
    low, high = boxes_xyxy[:, :2] - CROP_PADDING, boxes_xyxy[:, 2:] + CROP_PADDING
    columns = _inside(low[:, 0], high[:, 0], width)
    rows = _inside(low[:, 1], high[:, 1], height)
    inside = (rows[:, :, None] & columns[:, None, :]).float()
    entropy = F.binary_cross_entropy_with_logits(logits, masks, reduction="none") * inside
    entropy = entropy.sum(dim=(1, 2)) / inside.sum(dim=(1, 2))
    predicted, true = logits.sigmoid() * inside, masks * inside
    common = (predicted * true).sum(dim=(1, 2))
    both = (predicted**2).sum(dim=(1, 2)) + (true**2).sum(dim=(1, 2))
    dice = 1 - (2 * common + DICE_SMOOTHING) / (both + DICE_SMOOTHING)
    return ENTROPY_SHARE * entropy + DICE_SHARE * dice


def _inside(low: Tensor, high: Tensor, count: int) -> Tensor:
    first = (low - 0.5).ceil().clamp(0, count - 1)
    last = torch.maximum((high - 0.5).floor().clamp(0, count - 1), first)
    positions = torch.arange(count, dtype=torch.float32, device=low.device)
    return (positions >= first[:, None]) & (positions <= last[:, None])


def _in_crowd(cells: Tensor, target: ImageTarget, matches: CellMatches) -> Tensor:
    """bool[N]: cells inside a crowd that learn no object; they do not learn background either."""
    x, y = cells[:, 0, None], cells[:, 1, None]
    crowds = target.crowd_boxes_xyxy
    inside = (x >= crowds[:, 0]) & (x <= crowds[:, 2]) & (y >= crowds[:, 1]) & (y <= crowds[:, 3])
    found = inside.any(dim=1)
    found[matches.cells] = False
    return found


def _soft_masks(target: ImageTarget, objects: Tensor) -> Tensor:
    """float32[m, S/4, S/4]: the share of each prototype position that the objects cover."""
    if len(target.masks) == 0:
        side = target.masks.shape[-1] // 4
        return target.masks.new_zeros((0, side, side), dtype=torch.float32)
    return F.avg_pool2d(target.masks[:, None].float(), 4)[objects, 0]
