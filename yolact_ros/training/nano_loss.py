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
from yolact_ros.ops.cosines import shape_logits
from yolact_ros.ops.crops import CROP_PADDING
from yolact_ros.structures import NetworkOutput
from yolact_ros.training.targets import ImageTarget

__all__ = [
    "CellMatches",
    "NanoLossSettings",
    "distribution_focal_loss",
    "giou_loss",
    "mask_loss",
    "match_cells",
    "matched_mask_logits",
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
    """Which cells learn which object, by image and cell.

    Attributes:
        images, cells, objects (Tensor[m]): int64; cell ``cells`` of image ``images`` learns
            object ``objects`` of the whole batch.
        weights (Tensor[m]): float32, 1 / number of cells of the same object.
    """

    images: Tensor
    cells: Tensor
    objects: Tensor
    weights: Tensor


@torch.no_grad()
def match_cells(
    class_logits: Tensor,
    predicted_xyxy: Tensor,
    true_xyxy: Tensor,
    class_ids: Tensor,
    image_ids: Tensor,
    *,
    top: int = CELLS_PER_OBJECT,
    min_iou: float = 0.5,
    min_score: float = 0.05,
) -> CellMatches:
    """The cells from which the detector would report each object of a batch.

    A cell is rated ``(score of the object's class + min_score) * IoU ** 2`` for every object. Each
    object takes its ``top`` best cells of at least ``min_iou``, or its best cell of any IoU when
    it has none; a cell that several objects want goes to the one that rates it highest, the first
    of equals.

    Args:
        class_logits (Tensor[B, N, C]): of B images.
        predicted_xyxy (Tensor[B, N, 4]), true_xyxy (Tensor[n, 4]): in the same unit.
        class_ids (Tensor[n]): 0-based.
        image_ids (Tensor[n]): which of the images each object is in.
        top: most cells of an object.
        min_iou: least IoU of the predicted and the true box.
        min_score: lets an object that is seen as another class, or is new, take part.
    """
    count = class_logits.shape[1]
    iou = pairwise_iou(true_xyxy[:, None], predicted_xyxy[image_ids])[:, 0].nan_to_num()
    every = torch.arange(count, device=iou.device)
    logits = class_logits[image_ids[:, None], every, class_ids[:, None]]
    rating = (logits.float().sigmoid() + min_score) * iou**2
    values, best = rating.topk(min(top, count), dim=1)
    taken = iou.gather(1, best) >= min_iou
    taken[:, :1] = True
    wanted = torch.zeros_like(rating).scatter(1, best, values * taken)
    place = (image_ids * count)[:, None] + every  # of each cell in the batch
    highest = wanted.new_zeros(class_logits.shape[0] * count)
    highest.scatter_reduce_(0, place.flatten(), wanted.flatten(), "amax")
    objects, cells = torch.nonzero((wanted > 0) & (wanted == highest[place]), as_tuple=True)
    # By cell; of several objects that rate it equally only the first is left.
    order = place[objects, cells].argsort(stable=True)
    objects, cells = objects[order], cells[order]
    own = place[objects, cells]
    first = torch.ones_like(own, dtype=torch.bool)
    first[1:] = own[1:] != own[:-1]
    objects, cells = objects[first], cells[first]
    shared = torch.bincount(objects, minlength=len(true_xyxy)).float()
    return CellMatches(image_ids[objects], cells, objects, 1 / shared[objects])


def matched_mask_logits(
    prototypes: Tensor, coefficients: Tensor, matches: CellMatches, boxes_xyxy: Tensor
) -> Tensor:
    """:func:`~yolact_ros.ops.masks.mask_logits` of the m matches in a batch: Tensor[m, h, w].

    One product for all images: a GPU waits for the host to ask for one after the other.

    Args:
        prototypes (Tensor[B, h, w, k]): of B images.
        coefficients (Tensor[m, k or more]): of the matched cells.
        matches: m of at least 1.
        boxes_xyxy (Tensor[m, 4]): of the matched cells, relative to the image.
    """
    batch, height, width, k = prototypes.shape
    row = (matches.images, _place_in_image(matches, batch))
    padded = coefficients.new_zeros(batch, int(row[1].max()) + 1, k)
    products = padded.index_put(row, coefficients[:, :k]) @ prototypes.flatten(1, 2).mT
    logits: Tensor = products[row].unflatten(1, (height, width))
    if coefficients.shape[1] > k:
        logits = logits + shape_logits(coefficients[:, k:], boxes_xyxy, height, width)
    return logits


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
    logits, device = output.class_logits.float(), output.class_logits.device
    side = output.prototypes.shape[1]
    cells = cell_centers(side * 4).to(device) / (side * 4)
    predicted, _ = CellDecoder(side * 4, device).decode(output)
    counts = torch.tensor([target.num_positives for target in targets])
    image_ids = torch.arange(len(targets)).repeat_interleave(counts).to(device)
    boxes = torch.cat([target.boxes_xyxy for target in targets])
    class_ids = torch.cat([target.class_ids for target in targets])
    matches = match_cells(logits, predicted, boxes, class_ids, image_ids)
    learning = (matches.images, matches.cells)
    own, true = predicted[learning], boxes[matches.objects]
    quality = torch.zeros_like(logits)
    iou = pairwise_iou(own.detach()[:, None], true[:, None])[:, 0, 0]
    quality[(*learning, class_ids[matches.objects])] = iou.nan_to_num()
    background = torch.stack([_is_no_crowd(cells, target) for target in targets])
    background[learning] = True  # also in a crowd
    labelled = torch.stack([target.labelled for target in targets])
    counted = labelled[:, None] & background[:, :, None]
    point, stride = cells[matches.cells, :2], cells[matches.cells, 2:]
    distances = torch.cat([point - true[:, :2], true[:, 2:] - point], dim=1) / stride
    distribution = distribution_focal_loss(output.box_offsets[learning].float(), distances)
    sums = {
        "box": (giou_loss(own, true) * matches.weights).sum(),
        "distribution": (distribution * matches.weights).sum(),
        "class": (quality_focal_loss(logits, quality) * counted).sum() / CELLS_PER_OBJECT,
        "mask": _mask_sum(output, targets, own.detach(), true, matches, settings),
    }
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


def _is_no_crowd(cells: Tensor, target: ImageTarget) -> Tensor:
    """bool[N]: the cell is in no crowd of its image."""
    x, y = cells[:, 0, None], cells[:, 1, None]
    crowds = target.crowd_boxes_xyxy
    inside = (x >= crowds[:, 0]) & (x <= crowds[:, 2]) & (y >= crowds[:, 1]) & (y <= crowds[:, 3])
    return ~inside.any(dim=1)


def _mask_sum(
    output: NetworkOutput,
    targets: Sequence[ImageTarget],
    own_xyxy: Tensor,
    true_xyxy: Tensor,
    matches: CellMatches,
    settings: NanoLossSettings,
) -> Tensor:
    """Weighted sum over the first matches of each image; own and true boxes are those of all."""
    prototypes = output.prototypes.float()
    if len(matches.cells) == 0:
        # Several processes wait for each other's gradients, those of the coefficients too.
        return (prototypes.sum() + output.coefficients.float().sum()) * 0
    # A random choice of the masks would make the loss of a resumed run another one.
    trained = _place_in_image(matches, len(targets)) < settings.max_trained_masks
    chosen = CellMatches(*(values[trained] for values in vars(matches).values()))
    # The share of each prototype position that the objects cover.
    some = (target.masks.float() for target in targets if len(target.masks))
    masks = torch.cat([F.avg_pool2d(masks, 4) for masks in some])
    coefficients = output.coefficients[chosen.images, chosen.cells].float()
    loss = mask_loss(
        matched_mask_logits(prototypes, coefficients, chosen, own_xyxy[trained]),
        masks[chosen.objects],
        true_xyxy[trained] * prototypes.shape[1],
    )
    return (loss * chosen.weights).sum()


def _place_in_image(matches: CellMatches, batch: int) -> Tensor:
    """int64[m]: how many matches of the same image come before."""
    counts = torch.bincount(matches.images, minlength=batch)
    every = torch.arange(len(matches.images), device=counts.device)
    return every - (counts.cumsum(0) - counts)[matches.images]
