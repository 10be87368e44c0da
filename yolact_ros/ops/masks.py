"""Mask assembly the paper's way: linear combinations of prototypes, cropped to their boxes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from yolact_ros.ops.cosines import shape_logits
from yolact_ros.ops.crops import assemble_mask_crops

__all__ = ["assemble_mask_crops", "assemble_masks", "binarize_masks", "crop_masks", "mask_logits"]


def assemble_masks(prototypes: Tensor, coefficients: Tensor, boxes_xyxy: Tensor) -> Tensor:
    """Soft masks ``sigmoid(P C^T)`` at the prototypes' resolution (YOLACT section 3.2).

    ``prototypes [h, w, k]`` of one image, ``coefficients [n, k]`` (or more, see
    :func:`mask_logits`) and boxes ``[n, 4]`` relative to it, outside of which masks are 0, to
    Tensor[n, h, w] of 0..1.
    """
    return crop_masks(mask_logits(prototypes, coefficients, boxes_xyxy).sigmoid(), boxes_xyxy)


def mask_logits(prototypes: Tensor, coefficients: Tensor, boxes_xyxy: Tensor) -> Tensor:
    """``P C^T`` of the whole image, plus the coarse shape in the box if there is one.

    Arguments as of :func:`assemble_masks`; coefficients behind the k of the prototypes are those
    of :mod:`~yolact_ros.ops.cosines`. Returns Tensor[n, h, w].
    """
    height, width, k = prototypes.shape
    logits = (coefficients[:, :k] @ prototypes.reshape(-1, k).T).reshape(-1, height, width)
    if coefficients.shape[1] > k:
        logits = logits + shape_logits(coefficients[:, k:], boxes_xyxy, height, width)
    return logits


def crop_masks(masks: Tensor, boxes_xyxy: Tensor, padding: int = 1) -> Tensor:
    """Set masks ``[n, h, w]`` to 0 outside of their boxes; a new tensor of their dtype.

    A pixel stays if its index is at least the box's lower edge less ``padding`` and below its
    upper edge plus ``padding``, in pixels of the masks; edges are not rounded. Boxes ``[n, 4]``
    are relative to the image, with corners in either order. Gradients pass through.
    """
    _, height, width = masks.shape
    columns = _inside(boxes_xyxy[:, 0], boxes_xyxy[:, 2], width, padding)
    rows = _inside(boxes_xyxy[:, 1], boxes_xyxy[:, 3], height, padding)
    return masks * (rows[:, :, None] & columns[:, None, :])


def binarize_masks(masks: Tensor, image_height_px: int, image_width_px: int) -> Tensor:
    """Full-size binary masks, bool[n, H, W]: bilinear to the image's size, then above 0.5.

    The slow reference of :func:`assemble_mask_crops`: a float mask of the whole image for every
    instance.
    """
    size = (image_height_px, image_width_px)
    return F.interpolate(masks[None], size, mode="bilinear", align_corners=False)[0] > 0.5


def _inside(first: Tensor, second: Tensor, size: int, padding: int) -> Tensor:
    """Which of ``size`` pixels lie between relative edges; ``[n], [n] -> bool[n, size]``."""
    # Half precision cannot count the pixels.
    dtype = torch.promote_types(first.dtype, torch.float32)
    first, second = first.to(dtype), second.to(dtype)
    lower = torch.minimum(first, second) * size - padding
    upper = torch.maximum(first, second) * size + padding
    pixels = torch.arange(size, dtype=dtype, device=first.device)
    return (pixels >= lower[:, None]) & (pixels < upper[:, None])
