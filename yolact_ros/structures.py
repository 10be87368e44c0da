"""Data that passes between the stages: network output, detections and masks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    # Decoding the masks of a message, on a robot's other nodes, needs no torch.
    from torch import Tensor

__all__ = ["Detections", "MaskCrop", "NetworkOutput"]

Scalar = TypeVar("Scalar", bound=np.generic)


class NetworkOutput(NamedTuple):
    """Raw network output for B images, N boxes, C foreground classes and k prototypes.

    How boxes and classes are encoded is the family's own; its decoder knows
    (:mod:`yolact_ros.ops.decoder`). What stands in brackets is YOLACT's.

    Attributes:
        box_offsets (Tensor[B, N, ...]): boxes (4 values, relative to the priors).
        class_logits (Tensor[B, N, ...]): classes (C + 1 before softmax; column 0 is background).
        coefficients (Tensor[B, N, k or more]): mask coefficients (tanh applied, in (-1, 1)); some
            families have more behind those of the prototypes (:mod:`yolact_ros.ops.cosines`).
        prototypes (Tensor[B, h, w, k]): prototype masks of the whole input (ReLU applied).
        semantic_logits (Tensor[B, C, h3, w3] | None): class maps on P3, in training mode only.
    """

    box_offsets: Tensor
    class_logits: Tensor
    coefficients: Tensor
    prototypes: Tensor
    semantic_logits: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Detections:
    """The n instances of one image before mask assembly, on the host; best score first.

    Attributes:
        boxes_xyxy (float32[n, 4]): relative to the network's input, not clipped. Relative to the
            image too where it fills the input, as YOLACT's does.
        scores (float32[n]): 0..1.
        class_ids (int64[n]): 0-based without background.
        coefficients (float32[n, k or more]): mask coefficients.
    """

    boxes_xyxy: NDArray[np.float32]
    scores: NDArray[np.float32]
    class_ids: NDArray[np.int64]
    coefficients: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.scores)

    def first(self, count: int) -> Detections:
        """The best ``count`` of them."""
        return Detections(
            self.boxes_xyxy[:count],
            self.scores[:count],
            self.class_ids[:count],
            self.coefficients[:count],
        )


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

    def window(self, image: NDArray[Scalar]) -> NDArray[Scalar]:
        """The rectangle of a source image ([H, W, ...]), a view."""
        rows = slice(self.y_offset, self.y_offset + self.height)
        return image[rows, self.x_offset : self.x_offset + self.width]
