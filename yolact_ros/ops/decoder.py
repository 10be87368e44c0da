"""What follows every network: from its raw output to candidates, the input of NMS."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from yolact_ros.errors import damaged_network
from yolact_ros.ops.scratch import Scratch
from yolact_ros.structures import NetworkOutput

__all__ = ["LEAST_SCORE", "Candidates", "OutputDecoder"]

LEAST_SCORE = 2e-35
"""Probabilities that are not above count as 0."""


class Candidates(NamedTuple):
    """Boxes among which are all that can be reported, on the host, in the order of the network.

    Attributes:
        rows (int64[n]): index among the network's boxes.
        boxes_xyxy (float32[n, 4]): relative to the network's input, finite.
        class_scores (float32[n, C]): probabilities of the asked classes, 0 in a row that cannot
            be reported; contiguous by class, as NMS reads them. What is not above
            :data:`LEAST_SCORE` counts as 0.
    """

    rows: NDArray[np.int64]
    boxes_xyxy: NDArray[np.float32]
    class_scores: NDArray[np.float32]


class OutputDecoder(ABC):
    """Knows how one family of networks encodes boxes and scores.

    A family must give :meth:`decode`. :meth:`candidates` follows from it; a family that can find
    the few boxes above the threshold before it decodes them says so by its own, which must give
    the same.

    Attributes:
        overlaps: whether boxes of the same object can stand beside each other in the output, so
            that NMS has to choose.
        least_score: a box needs a higher one in some class to take part.
        nms: how NMS chooses where nobody says otherwise, ``fast`` or ``standard``.
        nms_margin_px: by how much boxes are larger in standard NMS.
    """

    overlaps: ClassVar[bool] = True
    least_score: ClassVar[float] = 0.05
    nms: ClassVar[Literal["fast", "standard"]] = "fast"
    nms_margin_px: ClassVar[float] = 0.0

    @abstractmethod
    def decode(self, output: NetworkOutput) -> tuple[Tensor, Tensor]:
        """Boxes and scores of all N boxes of B images and C classes, by operations of torch.

        It also runs on other devices and goes into exported files, so no shape may depend on
        values.

        Returns:
            Tensor[B, N, 4]: corners relative to the network's input, not clipped.
            Tensor[B, N, C]: probabilities.
        """

    @torch.inference_mode()
    def candidates(
        self,
        output: NetworkOutput,
        image: int,
        floor: float,
        class_ids: tuple[int, ...] | None = None,
        scratch: Scratch | None = None,
    ) -> Candidates:
        """The boxes of one image whose best class has a probability above ``floor``.

        Args:
            floor: least probability, above 0.
            class_ids: rising; columns of the result; None is all classes.
            scratch: memory to use again, also for the scores of the result; None takes new memory.

        Raises:
            YolactError: a class score or a box is NaN. Boxes that are infinite are left out.
        """
        single = NetworkOutput(*(tensor[image : image + 1] for tensor in output[:4]))
        boxes_xyxy, scores = (tensor[0].float().cpu().numpy() for tensor in self.decode(single))
        if np.isnan(boxes_xyxy.max(initial=0.0)):
            raise damaged_network("boxes")
        if np.isnan(scores.max(initial=0.0)):
            raise damaged_network("class scores")
        if class_ids is not None:
            scores = scores[:, class_ids]
        is_reported = scores.max(axis=1, initial=0.0) > floor
        is_reported &= np.isfinite(boxes_xyxy).all(axis=1)
        rows = np.flatnonzero(is_reported)
        return Candidates(rows, boxes_xyxy[rows], np.asfortranarray(scores[rows]))
