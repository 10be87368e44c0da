"""The mask loss of one image and the loss of YOLACT++'s mask re-scoring."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from yolact_ros.ops.masks import crop_masks
from yolact_ros.training.targets import ImageTarget

__all__ = ["TrainedMasks", "image_mask_loss", "rescoring_loss", "resize_masks"]


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


def resize_masks(masks: Tensor, height: int, width: int) -> Tensor:
    """Masks [n, S, S] of 0/1 as float [n, height, width] of 0/1: bilinear, then > 0.5."""
    if masks.shape[0] == 0:
        return torch.zeros((0, height, width), device=masks.device)
    resized = F.interpolate(
        masks[None].float(), (height, width), mode="bilinear", align_corners=False
    )
    return (resized[0] > 0.5).float()


def image_mask_loss(
    prototypes: Tensor, coefficients: Tensor, target: ImageTarget, *, max_trained_masks: int = 100
) -> TrainedMasks:
    """Pixelwise binary cross entropy of the assembled masks of one image's positives.

    Predictions are cropped by the true box and compared with the whole true mask, as the
    reference does: a true pixel outside the box costs PyTorch's BCE limit of 100.

    Args:
        prototypes (Tensor[h, w, k]): float32.
        coefficients (Tensor[N, k]): float32, of every prior.
        target: of the image.
        max_trained_masks: of more positives than this a random choice is trained and counts
            for all of them.
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
