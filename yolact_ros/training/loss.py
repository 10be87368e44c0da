"""The losses of the paper (section 3 and the reference's defaults), each a plain sum.

The sums are divided in :func:`total_losses` alone, by counts over the whole step, so that a
batch cut over processes or over accumulated parts gives the gradients of the uncut one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from yolact_ros.ops.masks import crop_masks
from yolact_ros.structures import NetworkOutput
from yolact_ros.training.targets import ImageTarget

__all__ = [
    "LossSettings",
    "StepCounts",
    "TrainedMasks",
    "box_loss",
    "class_loss",
    "image_mask_loss",
    "rescoring_loss",
    "resize_masks",
    "semantic_loss",
    "total_losses",
]


@dataclass(frozen=True)
class LossSettings:
    """Weights and limits; the defaults are the paper's.

    Attributes:
        class_weight, box_weight, mask_weight, semantic_weight, rescoring_weight: factors of the
            five terms; the last only counts for networks with mask re-scoring.
        negatives_per_positive: hard negatives trained for each positive (OHEM).
        min_negatives: hard negatives trained in every image, also in one without positives. The
            paper's 0 lets images without objects train nothing; a few teach what is no object.
        max_trained_masks: most positives of an image whose masks are trained.
        rescoring_min_area_px: masks not larger (prototype pixels) do not train the re-scoring.
    """

    class_weight: float = 1.0
    box_weight: float = 1.5
    mask_weight: float = 6.125
    semantic_weight: float = 1.0
    rescoring_weight: float = 25.0
    negatives_per_positive: float = 3.0
    min_negatives: int = 0
    max_trained_masks: int = 100
    rescoring_min_area_px: float = 25.0


@dataclass(frozen=True)
class StepCounts:
    """What the sums of one optimiser step are divided by, over all processes and parts.

    Attributes:
        positives: priors that learn an object.
    """

    positives: int
    images: int


def total_losses(
    output: NetworkOutput,
    targets: Sequence[ImageTarget],
    counts: StepCounts,
    settings: LossSettings,
    rescore: Callable[[Tensor], Tensor] | None = None,
) -> dict[str, Tensor]:
    """Weighted loss terms of one batch; their sum is what is minimised.

    Args:
        counts: of the whole step; ``positives`` > 0.
        rescore: the YOLACT++ net that maps soft masks [n, 1, h, w] to IoUs [n, C], if any.

    Returns:
        ``box``, ``class``, ``mask``, ``semantic`` and, with ``rescore``, ``rescoring``.
    """
    offsets, logits = output.box_offsets.float(), output.class_logits.float()
    coefficients, prototypes = output.coefficients.float(), output.prototypes.float()
    matches = [target.matches for target in targets if target.matches is not None]
    classes = torch.stack([match.classes for match in matches])
    labelled = torch.stack([target.labelled for target in targets])
    offset_targets = torch.stack([match.box_offsets for match in matches])
    mask_sum = prototypes.new_zeros(())
    rescoring_sum = prototypes.new_zeros(())
    num_masks = 0
    for row, target in enumerate(targets):
        trained = image_mask_loss(
            prototypes[row],
            coefficients[row],
            target,
            max_trained_masks=settings.max_trained_masks,
        )
        mask_sum = mask_sum + trained.loss
        num_masks += trained.soft_masks.shape[0]
        if rescore is not None and trained.soft_masks.shape[0] > 0:
            rescoring_sum = rescoring_sum + rescoring_loss(
                trained, rescore, min_area_px=settings.rescoring_min_area_px
            )
    if num_masks == 0:
        # Several processes wait for each other's gradients, those of masks too.
        mask_sum = (prototypes.sum() + coefficients.sum()) * 0
    losses = {
        "box": settings.box_weight * box_loss(offsets, offset_targets, classes) / counts.positives,
        "class": settings.class_weight
        * class_loss(
            logits, classes, labelled, settings.negatives_per_positive, settings.min_negatives
        )
        / counts.positives,
        "mask": settings.mask_weight * mask_sum / counts.positives,
    }
    if output.semantic_logits is not None:
        losses["semantic"] = (
            settings.semantic_weight
            * semantic_loss(output.semantic_logits.float(), targets)
            / counts.images
        )
    if rescore is not None:
        losses["rescoring"] = settings.rescoring_weight * rescoring_sum / counts.positives
    return losses


def box_loss(offsets: Tensor, offset_targets: Tensor, classes: Tensor) -> Tensor:
    """Smooth L1 of the positives' encoded boxes ([B, N, 4] both), summed."""
    positive = classes > 0
    return F.smooth_l1_loss(offsets[positive], offset_targets[positive], reduction="sum")


def class_loss(
    logits: Tensor,
    classes: Tensor,
    labelled: Tensor,
    negatives_per_positive: float = 3.0,
    min_negatives: int = 0,
) -> Tensor:
    """Cross entropy of positives and hard negatives, summed.

    A negative of an image that labels only some classes may well be an object of another one, so
    its target is the probability of "background or any class that is not labelled here".

    Args:
        logits (Tensor[B, N, C + 1]): column 0 is background.
        classes (Tensor[B, N]): class + 1, 0 background, negative = neutral.
        labelled (Tensor[B, C]): bool.
        negatives_per_positive: for every image, so many times its positives the negatives that
            the network finds hardest are trained.
        min_negatives: but at least so many.
    """
    positive = classes > 0
    total = torch.logsumexp(logits, dim=-1)
    known = F.pad(labelled, (1, 0), value=False)  # columns that background must not include
    unknown = torch.zeros_like(logits).masked_fill_(known[:, None], -torch.inf)
    background_loss = total - torch.logsumexp(logits + unknown, dim=-1)
    with torch.no_grad():
        difficulty = background_loss.masked_fill(classes != 0, -torch.inf)
        order = difficulty.argsort(dim=1, descending=True, stable=True)
        rank = torch.empty_like(order).scatter_(
            1, order, torch.arange(order.shape[1], device=order.device).expand_as(order)
        )
        wanted = negatives_per_positive * positive.sum(dim=1)
        wanted = wanted.clamp(min=min_negatives, max=order.shape[1] - 1)
        hard_negative = (rank < wanted[:, None]) & (classes == 0)
    target_logits = logits.gather(-1, classes.clamp(min=0)[..., None])[..., 0]
    positive_loss = (total - target_logits)[positive].sum()
    return positive_loss + background_loss[hard_negative].sum()


def semantic_loss(logits: Tensor, targets: Sequence[ImageTarget]) -> Tensor:
    """Binary cross entropy of the maps [B, C, h, w] of labelled classes, summed, / h / w."""
    height, width = logits.shape[-2:]
    wanted = torch.zeros_like(logits)
    for row, target in enumerate(targets):
        masks = resize_masks(target.masks, height, width)
        rows = target.class_ids[:, None, None].expand_as(masks)
        wanted[row].scatter_reduce_(0, rows, masks, "amax")
    loss = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    labelled = torch.stack([target.labelled for target in targets])
    return (loss * labelled[..., None, None]).sum() / height / width


@dataclass(frozen=True)
class TrainedMasks:
    """The mask loss of one image and what the re-scoring learns from.

    Attributes:
        loss: scalar sum, each mask divided by the area of its ground-truth box.
        soft_masks (Tensor[n, h, w]): predicted probabilities, cropped to the true boxes.
        true_masks (Tensor[n, h, w]): 0/1.
        class_ids (Tensor[n]): 0-based.
    """

    loss: Tensor
    soft_masks: Tensor
    true_masks: Tensor
    class_ids: Tensor


def image_mask_loss(
    prototypes: Tensor, coefficients: Tensor, target: ImageTarget, *, max_trained_masks: int = 100
) -> TrainedMasks:
    """Pixelwise binary cross entropy of the assembled masks of one image's positives.

    Predictions are cropped by the true box and compared with the whole true mask, as the reference
    does: a true pixel outside the box costs PyTorch's BCE limit of 100.

    ``prototypes [h, w, k]`` and ``coefficients [N, k]``, of every prior, are float32. Of more
    positives than ``max_trained_masks`` a random choice is trained and counts for all of them.
    """
    height, width = prototypes.shape[:2]
    assert target.matches is not None
    positive = torch.nonzero(target.matches.classes > 0)[:, 0]
    num_positives = positive.shape[0]
    if num_positives == 0:
        nothing = prototypes.new_zeros((0, height, width))
        return TrainedMasks(prototypes.new_zeros(()), nothing, nothing, positive)
    if num_positives > max_trained_masks:
        generator = torch.Generator().manual_seed(target.draw)
        chosen = torch.randperm(num_positives, generator=generator)[:max_trained_masks]
        positive = positive[chosen.to(positive.device)]
    object_index = target.matches.object_index[positive]
    boxes = target.boxes_xyxy[object_index]
    true_masks = resize_masks(target.masks, height, width)[object_index]
    soft = torch.sigmoid(coefficients[positive] @ prototypes.reshape(height * width, -1).T)
    soft = crop_masks(soft.reshape(-1, height, width), boxes)
    # PyTorch's function aborts on NaN (on CUDA the whole process), and a diverging network must
    # instead give a NaN loss that the trainer can skip: the last term carries it.
    pixel_loss = F.binary_cross_entropy(
        soft.nan_to_num().clamp(0, 1), true_masks, reduction="none"
    )
    pixel_loss = pixel_loss + 0 * soft
    box_area = (boxes[:, 2] - boxes[:, 0]) * width * ((boxes[:, 3] - boxes[:, 1]) * height)
    loss = (pixel_loss.sum(dim=(1, 2)) / box_area).sum() * (num_positives / positive.shape[0])
    return TrainedMasks(loss, soft, true_masks, target.class_ids[object_index])


def rescoring_loss(
    trained: TrainedMasks, rescore: Callable[[Tensor], Tensor], *, min_area_px: float = 25.0
) -> Tensor:
    """Smooth L1 between the predicted and the real IoU of the trained masks, summed."""
    large = trained.true_masks.sum(dim=(1, 2)) > min_area_px
    soft, true = trained.soft_masks[large], trained.true_masks[large]
    if soft.shape[0] == 0:
        return trained.loss * 0
    with torch.no_grad():
        binary = (soft > 0.5).float()
        intersection = (binary * true).sum(dim=(1, 2))
        union = binary.sum(dim=(1, 2)) + true.sum(dim=(1, 2)) - intersection
        wanted = intersection / union
    predicted = rescore(soft[:, None]).gather(1, trained.class_ids[large][:, None])[:, 0]
    return F.smooth_l1_loss(predicted, wanted, reduction="sum")


def resize_masks(masks: Tensor, height: int, width: int) -> Tensor:
    """Masks [n, S, S] of 0/1 as float [n, height, width] of 0/1: bilinear, then > 0.5."""
    if masks.shape[0] == 0:
        return torch.zeros((0, height, width), device=masks.device)
    resized = F.interpolate(
        masks[None].float(), (height, width), mode="bilinear", align_corners=False
    )
    return (resized[0] > 0.5).float()
