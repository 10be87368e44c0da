"""The coarse shape of an instance: a few cosines across its box, added to ``P C^T``.

Prototypes belong to the whole image, so touching objects of one kind are hard to tell apart with
them alone. A short discrete cosine series is the instance's own; DCT-Mask (Shen et al. 2021)
describes whole masks by a longer one. Coefficients behind the k of the prototypes belong to it.
Of its ``order ** 2`` terms, by row and column, term (i, j) is
``SCALE * cos(pi i v) * cos(pi j u)``; u and v run from 0 to 1 between the box's edges.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["SCALE", "box_cosines", "shape_logits"]

# Coefficients are in (-1, 1); logits of sure pixels are well above that.
SCALE = 4.0
# Relative to the image: boxes that reach further end here, so that no product overflows.
FURTHEST = 2.0
# Narrower boxes count as this wide.
THINNEST = 1e-6


def box_cosines(
    edges: NDArray[np.float32], positions: NDArray[np.float32], order: int
) -> NDArray[np.float32]:
    """The cosines along one axis: ``cos(pi i u)``, float32[n, order, m].

    Args:
        edges (float32[n, 2]): of the boxes, the lower one first, relative to the image.
        positions (float32[m]): relative to the image.
    """
    low, high = edges[:, :1], edges[:, 1:]
    share = (positions - low) / np.maximum(high - low, np.float32(THINNEST))
    steps = np.arange(order, dtype=np.float32) * np.float32(math.pi)
    cosines: NDArray[np.float32] = np.cos(steps[:, None] * share[:, None])
    return cosines


def shape_logits(terms: Tensor, boxes_xyxy: Tensor, height: int, width: int) -> Tensor:
    """The series of each instance at the pixels of the prototypes, Tensor[n, h, w].

    Args:
        terms (Tensor[n, order ** 2]): coefficients of the series.
        boxes_xyxy (Tensor[n, 4]): relative to the image, corners in either order.
    """
    order = math.isqrt(terms.shape[1])
    boxes = boxes_xyxy.clamp(-FURTHEST, FURTHEST)
    down = _cosines(boxes[:, 1::2], height, order)
    across = _cosines(boxes[:, 0::2], width, order)
    return SCALE * (down.transpose(1, 2) @ terms.reshape(-1, order, order) @ across)


def _cosines(edges: Tensor, size: int, order: int) -> Tensor:
    low, high = edges.amin(dim=1)[:, None], edges.amax(dim=1)[:, None]
    positions = (torch.arange(size, dtype=edges.dtype, device=edges.device) + 0.5) / size
    share = (positions - low) / (high - low).clamp(min=THINNEST)
    steps = torch.arange(order, dtype=edges.dtype, device=edges.device) * math.pi
    return torch.cos(steps[:, None] * share[:, None])
