"""Output of a network that does not exist, for the tests of what follows the network."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from yolact_ros.config import variant
from yolact_ros.inference.postprocess import Postprocessor
from yolact_ros.inference.settings import PredictionSettings
from yolact_ros.ops.decoder import Candidates
from yolact_ros.ops.packing import unpack_bits
from yolact_ros.ops.prior_decoder import PriorDecoder
from yolact_ros.ops.scratch import Scratch
from yolact_ros.prediction import Prediction
from yolact_ros.structures import Detections, NetworkOutput

__all__ = [
    "CONFIG",
    "EVERYTHING",
    "NUM_CLASSES",
    "find_candidates",
    "full_masks",
    "made_up_output",
    "made_up_priors",
    "processor",
    "rows_of",
]

EVERYTHING = PredictionSettings(score_threshold=0.0, top_k=100)
NUM_CLASSES = 6
CONFIG = variant("yolact_light", class_names=tuple("abcdef"), num_prototypes=4)


def made_up_output(seed: int = 0, images: int = 1, priors: int = 400) -> NetworkOutput:
    """Output of a network that is sure of some boxes and not of most."""
    random = torch.Generator().manual_seed(seed)
    logits = torch.randn(images, priors, NUM_CLASSES + 1, generator=random) * 2
    logits[:, :, 0] += 6
    return NetworkOutput(
        box_offsets=torch.randn(images, priors, 4, generator=random),
        class_logits=logits,
        coefficients=torch.randn(images, priors, 4, generator=random).tanh(),
        prototypes=torch.randn(images, 70, 70, 4, generator=random).relu(),
    )


def made_up_priors(priors: int = 400) -> Tensor:
    random = torch.Generator().manual_seed(1)
    return torch.rand(priors, 4, generator=random) * 0.4 + 0.1


def processor(**options: Any) -> Postprocessor:
    return Postprocessor(CONFIG, PriorDecoder(made_up_priors()), **options)


def full_masks(prediction: Prediction) -> np.ndarray:
    size = (prediction.image_height_px, prediction.image_width_px)
    masks = np.zeros((len(prediction.mask_crops), *size), np.bool_)
    for mask, crop in zip(masks, prediction.mask_crops, strict=True):
        rows = slice(crop.y_offset, crop.y_offset + crop.height)
        bits = unpack_bits(crop.bits, crop.height, crop.width)
        mask[rows, crop.x_offset : crop.x_offset + crop.width] = bits
    return masks


def rows_of(detections: Detections) -> list[tuple[int, float]]:
    """Class and score of each detection."""
    return list(zip(detections.class_ids.tolist(), detections.scores.tolist(), strict=True))


def find_candidates(
    logits: torch.Tensor,
    offsets: torch.Tensor,
    priors: torch.Tensor,
    floor: float,
    class_ids: tuple[int, ...] | None = None,
    scratch: Scratch | None = None,
) -> Candidates:
    """Of one image; coefficients and prototypes play no part."""
    output = NetworkOutput(offsets[None], logits[None], logits[None], logits[None])
    return PriorDecoder(priors).candidates(output, 0, floor, class_ids, scratch)
