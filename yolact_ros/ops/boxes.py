"""Box arithmetic: forms, the box code of the priors, and overlaps."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = [
    "CENTER_VARIANCE",
    "SIZE_VARIANCE",
    "cxcywh_to_xyxy",
    "decode_boxes",
    "encode_boxes",
    "intersection_over_area",
    "pairwise_iou",
    "xyxy_to_cxcywh",
]

CENTER_VARIANCE = 0.1
SIZE_VARIANCE = 0.2


def cxcywh_to_xyxy(boxes_cxcywh: Tensor) -> Tensor:
    """Centre and size to two corners; ``[..., 4] -> [..., 4]``, any unit and float dtype."""
    centers, sizes = boxes_cxcywh[..., :2], boxes_cxcywh[..., 2:]
    return torch.cat((centers - sizes / 2, centers + sizes / 2), dim=-1)


def xyxy_to_cxcywh(boxes_xyxy: Tensor) -> Tensor:
    """Two corners to centre and size; ``[..., 4] -> [..., 4]``, any unit and float dtype."""
    top_left, bottom_right = boxes_xyxy[..., :2], boxes_xyxy[..., 2:]
    return torch.cat(((top_left + bottom_right) / 2, bottom_right - top_left), dim=-1)


def decode_boxes(box_offsets: Tensor, priors_cxcywh: Tensor) -> Tensor:
    """Turn the network's box offsets into boxes (SSD's box code, YOLACT section 3.3).

    ``[..., N, 4]``, with priors ``[N, 4]`` relative to the image, to corners ``[..., N, 4]``
    relative to the image, not clipped to it; all of one dtype and device.
    """
    centers, sizes = priors_cxcywh[..., :2], priors_cxcywh[..., 2:]
    box_centers = centers + box_offsets[..., :2] * CENTER_VARIANCE * sizes
    box_sizes = sizes * torch.exp(box_offsets[..., 2:] * SIZE_VARIANCE)
    top_left = box_centers - box_sizes / 2
    return torch.cat((top_left, top_left + box_sizes), dim=-1)


def encode_boxes(boxes_xyxy: Tensor, priors_cxcywh: Tensor) -> Tensor:
    """The inverse of :func:`decode_boxes`, for training targets; ``[..., N, 4] -> [..., N, 4]``.

    One box per prior, relative, width and height above 0.
    """
    boxes = xyxy_to_cxcywh(boxes_xyxy)
    center_offsets = (boxes[..., :2] - priors_cxcywh[..., :2]) / (
        CENTER_VARIANCE * priors_cxcywh[..., 2:]
    )
    size_offsets = torch.log(boxes[..., 2:] / priors_cxcywh[..., 2:]) / SIZE_VARIANCE
    return torch.cat((center_offsets, size_offsets), dim=-1)


def pairwise_iou(a_xyxy: Tensor, b_xyxy: Tensor) -> Tensor:
    """Intersection over union of all pairs; ``[..., M, 4], [..., N, 4] -> [..., M, N]``.

    No epsilon and no one-pixel convention, as in the paper's code; two boxes without area give
    NaN.
    """
    intersection = _pairwise_intersection(a_xyxy, b_xyxy)
    union = _area(a_xyxy)[..., :, None] + _area(b_xyxy)[..., None, :] - intersection
    return intersection / union


def intersection_over_area(a_xyxy: Tensor, b_xyxy: Tensor) -> Tensor:
    """Share of each ``b`` inside each ``a``; ``[..., M, 4], [..., N, 4] -> [..., M, N]``.

    A ``b`` without area gives NaN.
    """
    return _pairwise_intersection(a_xyxy, b_xyxy) / _area(b_xyxy)[..., None, :]


def _area(boxes_xyxy: Tensor) -> Tensor:
    return (boxes_xyxy[..., 2] - boxes_xyxy[..., 0]) * (boxes_xyxy[..., 3] - boxes_xyxy[..., 1])


def _pairwise_intersection(a_xyxy: Tensor, b_xyxy: Tensor) -> Tensor:
    a, b = a_xyxy[..., :, None, :], b_xyxy[..., None, :, :]
    top_left = torch.maximum(a[..., :2], b[..., :2])
    bottom_right = torch.minimum(a[..., 2:], b[..., 2:])
    sides = (bottom_right - top_left).clamp(min=0)
    return sides[..., 0] * sides[..., 1]
