"""Boxes as distances from the cells of a grid, classes by sigmoid: anchor-free detectors."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from yolact_ros.errors import damaged_network
from yolact_ros.ops.decoder import Candidates, OutputDecoder
from yolact_ros.ops.scratch import Scratch
from yolact_ros.structures import NetworkOutput

__all__ = ["BINS", "STRIDES_PX", "CellDecoder", "cell_centers"]

STRIDES_PX = (8, 16, 32, 64)
BINS = 8
# Keeps what rounding could lose; the probabilities decide afterwards.
MARGIN_TOLERANCE = 1e-3


def cell_centers(input_size_px: int) -> Tensor:
    """Where each of the N cells measures its box from: float32[N, 3] of x, y, stride in pixels.

    Cell ``(row, column)`` of a level lies at ``(column, row) * stride``, not at its middle, as in
    NanoDet-Plus.
    """
    levels = []
    for stride in STRIDES_PX:
        count = -(-input_size_px // stride)
        steps = torch.arange(count, dtype=torch.float32) * stride
        y, x = torch.meshgrid(steps, steps, indexing="ij")
        levels.append(torch.stack([x, y, torch.full_like(x, stride)], dim=-1).reshape(-1, 3))
    return torch.cat(levels)


class CellDecoder(OutputDecoder):
    """Distances of the four sides as distributions (Li et al. 2020), a sigmoid for each class.

    Args:
        device: where the network runs; a copy in :meth:`decode` would wait for it.
    """

    def __init__(self, input_size_px: int, device: torch.device | str = "cpu") -> None:
        # In units of the input, as boxes are wanted.
        cells = cell_centers(input_size_px) / input_size_px
        self._cells = cells.to(device)
        self._cells_on_host: NDArray[np.float32] = cells.numpy()

    def decode(self, output: NetworkOutput) -> tuple[Tensor, Tensor]:
        batch, count, _ = output.box_offsets.shape
        probabilities = output.box_offsets.float().reshape(batch, count, 4, BINS).softmax(dim=3)
        bins = torch.arange(BINS, dtype=torch.float32, device=probabilities.device)
        distances = (probabilities * bins).sum(dim=3) * self._cells[:, 2:]
        points = self._cells[:, :2]
        boxes_xyxy = torch.cat([points - distances[..., :2], points + distances[..., 2:]], dim=2)
        return boxes_xyxy, output.class_logits.float().sigmoid()

    def candidates(
        self,
        output: NetworkOutput,
        image: int,
        floor: float,
        class_ids: tuple[int, ...] | None = None,
        scratch: Scratch | None = None,
    ) -> Candidates:
        """See the base class. Only rows with a promising logit are decoded."""
        del scratch
        logits: NDArray[np.float32] = output.class_logits[image].float().cpu().numpy()
        offsets: NDArray[np.float32] = output.box_offsets[image].float().cpu().numpy()
        if np.isnan(offsets.max(initial=0.0)):
            raise damaged_network("boxes")
        if np.isnan(logits.max(initial=0.0)):
            raise damaged_network("class scores")
        if class_ids is not None:
            logits = logits[:, class_ids]
        least = math.log(floor / (1 - floor)) if floor < 1 else math.inf
        best = logits.max(axis=1, initial=-np.inf)
        rows = np.flatnonzero(best > np.float32(least - MARGIN_TOLERANCE))
        boxes_xyxy = _boxes(offsets[rows], self._cells_on_host[rows])
        scores = 1 / (1 + np.exp(-logits[rows].clip(-80, 80)))
        kept = (scores.max(axis=1, initial=0.0) > floor) & np.isfinite(boxes_xyxy).all(axis=1)
        return Candidates(rows[kept], boxes_xyxy[kept], np.asfortranarray(scores[kept]))


def _boxes(offsets: NDArray[np.float32], cells: NDArray[np.float32]) -> NDArray[np.float32]:
    """:meth:`CellDecoder.decode`'s boxes in NumPy: torch would wake all its threads."""
    logits = offsets.reshape(-1, 4, BINS)
    with np.errstate(over="ignore", invalid="ignore"):  # infinite boxes are left out
        odds = np.exp(logits - logits.max(axis=2, keepdims=True))
        distances = odds @ np.arange(BINS, dtype=np.float32) / odds.sum(axis=2) * cells[:, 2:]
    points = cells[:, :2]
    boxes: NDArray[np.float32] = np.concatenate(
        (points - distances[:, :2], points + distances[:, 2:]), axis=1
    )
    return boxes
