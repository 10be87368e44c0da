"""Boxes and probabilities as YOLO's segmentation networks put them out."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from yolact_ros.errors import damaged_network
from yolact_ros.ops.decoder import Candidates, OutputDecoder
from yolact_ros.ops.scratch import Scratch
from yolact_ros.structures import NetworkOutput

__all__ = ["YoloDecoder", "YoloRowDecoder"]

LEAST_SCORE = 0.001
"""As in Ultralytics' validation."""


class YoloDecoder(OutputDecoder):
    """A box and C probabilities for every cell of the grids: decoded, before NMS (v8 to 26).

    Boxes are ``cxcywh`` relative to the input. A box competes as its best class only, as in
    Ultralytics' predictor.
    """

    least_score = LEAST_SCORE
    nms = "standard"

    def decode(self, output: NetworkOutput) -> tuple[Tensor, Tensor]:
        centers, sizes = output.box_offsets.float().split(2, dim=2)
        boxes_xyxy = torch.cat((centers - sizes / 2, centers + sizes / 2), dim=2)
        scores = output.class_logits.float()
        best, class_ids = scores.max(dim=2, keepdim=True)
        return boxes_xyxy, torch.zeros_like(scores).scatter(2, class_ids, best)

    def candidates(
        self,
        output: NetworkOutput,
        image: int,
        floor: float,
        class_ids: tuple[int, ...] | None = None,
        scratch: Scratch | None = None,
    ) -> Candidates:
        """One maximum over the classes finds them; nothing else is done to other boxes."""
        by_class = _by_value(output.class_logits[image])
        coordinates = _by_value(output.box_offsets[image])
        best = by_class.max(axis=0)
        if np.isnan(best.max(initial=0.0)):
            raise damaged_network("class scores")
        if np.isnan(coordinates.max(initial=0.0)):
            raise damaged_network("boxes")
        rows = np.flatnonzero(best > floor)
        centers, sizes = coordinates.take(rows, axis=1).reshape(2, 2, -1)
        corners = np.concatenate((centers - sizes / 2, centers + sizes / 2))
        finite = np.isfinite(corners).all(axis=0)
        rows, corners = rows[finite], corners[:, finite]
        # Most classes of a row are 0: only its best is reported.
        winners = by_class.take(rows, axis=1).argmax(axis=0)
        scores = np.zeros((len(by_class), len(rows)), np.float32)
        scores[winners, np.arange(len(rows))] = best[rows]
        if class_ids is not None:
            scores = scores[list(class_ids)]
        return Candidates(rows, np.ascontiguousarray(corners.T), scores.T)


class YoloRowDecoder(OutputDecoder):
    """Rows of finished detections: networks without NMS (26), or exported with it.

    Boxes are ``xyxy`` relative to the input; of the classes there are a score and a class id,
    which NetworkOutput holds as ``class_logits[B, N, 2]``.
    """

    overlaps = False
    least_score = LEAST_SCORE

    def __init__(self, num_classes: int) -> None:
        self.num_classes = num_classes

    def decode(self, output: NetworkOutput) -> tuple[Tensor, Tensor]:
        scores, class_ids = output.class_logits.float().split(1, dim=2)
        # A row that is not used may name any class; an unusable score must stay visible.
        known = class_ids.nan_to_num(0, 0, 0).long().clamp(0, self.num_classes - 1)
        by_class = scores.new_zeros(*scores.shape[:2], self.num_classes)
        return output.box_offsets.float(), by_class.scatter(2, known, scores)


def _by_value(values: Tensor) -> NDArray[np.float32]:
    """float32[c, n] of ``[n, c]``; what the network puts out value by value is not copied."""
    by_value: NDArray[np.float32] = values.float().cpu().numpy().T
    return by_value
