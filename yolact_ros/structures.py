"""Data that passes between the stages: network output, detections, masks and predictions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["Detections", "MaskCrop", "NetworkOutput", "Prediction"]


class NetworkOutput(NamedTuple):
    """Raw network output for B images, N priors, C foreground classes and k prototypes.

    Attributes:
        box_offsets (Tensor[B, N, 4]): encoded boxes relative to the priors.
        class_logits (Tensor[B, N, C + 1]): before softmax; column 0 is background.
        coefficients (Tensor[B, N, k]): mask coefficients, tanh applied, in (-1, 1).
        prototypes (Tensor[B, h, w, k]): prototype masks, ReLU applied.
        semantic_logits (Tensor[B, C, h3, w3] | None): class maps on P3, in training mode only.
    """

    box_offsets: Tensor
    class_logits: Tensor
    coefficients: Tensor
    prototypes: Tensor
    semantic_logits: Tensor | None = None


@dataclass(frozen=True)
class Detections:
    """Detections of B images, padded to K rows so that shapes never change; best score first.

    Rows from ``counts[b]`` on are padding: score 0, class 0, box and coefficients 0.

    Attributes:
        boxes_xyxy (Tensor[B, K, 4]): relative to the image, not clipped.
        scores (Tensor[B, K]): 0..1.
        class_ids (Tensor[B, K]): int64, 0-based without background.
        coefficients (Tensor[B, K, k]): mask coefficients.
        counts (Tensor[B]): int64, number of valid rows of each image.
    """

    boxes_xyxy: Tensor
    scores: Tensor
    class_ids: Tensor
    coefficients: Tensor
    counts: Tensor


@dataclass(frozen=True)
class MaskCrop:
    """A binary mask inside a rectangle of the source image, as bits.

    Attributes:
        x_offset, y_offset: left and top edge of the rectangle in source-image pixels.
        width, height: size of the rectangle in pixels; both 0 for an empty mask.
        bits (uint8[ceil(width * height / 8)]): row-major, most significant bit first.
    """

    x_offset: int
    y_offset: int
    width: int
    height: int
    bits: NDArray[np.uint8]


@dataclass(frozen=True)
class Prediction:
    """What was found in one image, in NumPy; n instances, highest score first.

    Attributes:
        image_height_px, image_width_px: size of the source image.
        class_ids (int64[n]): index in the model's class list.
        scores (float32[n]): 0..1.
        boxes_xyxy (float32[n, 4]): source-image pixels, clipped to the image, max exclusive.
        masks: n mask crops, or empty when masks were not asked for.
    """

    image_height_px: int
    image_width_px: int
    class_ids: NDArray[np.int64]
    scores: NDArray[np.float32]
    boxes_xyxy: NDArray[np.float32]
    masks: tuple[MaskCrop, ...] = ()

    def __len__(self) -> int:
        return int(self.scores.shape[0])
