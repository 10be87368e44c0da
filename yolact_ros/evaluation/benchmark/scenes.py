"""Raw network output with a known number of instances, for timing what comes after it."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from yolact_ros.config import NetworkConfig
from yolact_ros.ops.boxes import encode_boxes
from yolact_ros.structures import NetworkOutput

__all__ = ["make_scene"]

# A prototype has this many bumps along each side, as those of a trained network.
PROTOTYPE_BUMPS = 12
BACKGROUND_LOGIT = 12.0
# Boxes beside each other cover this share of their cell's side, so that none suppresses another.
BOX_SHARE = 0.9


def make_scene(
    config: NetworkConfig,
    priors_cxcywh: Tensor,
    instances: int,
    *,
    prototype_side: int,
) -> NetworkOutput:
    """Output in which exactly ``instances`` boxes have a high score, in a grid over the image.

    The rest are background, as nearly all boxes of a trained network. The same every time.

    Args:
        config: of the network whose output this stands for.
        priors_cxcywh (Tensor[N, 4]): of it.
        instances: at most N.
        prototype_side: height and width of the prototypes.
    """
    random = torch.Generator().manual_seed(instances)
    num_boxes, k = len(priors_cxcywh), config.num_prototypes
    logits = torch.randn(num_boxes, config.num_classes + 1, generator=random)
    logits[:, 0] += BACKGROUND_LOGIT
    offsets = torch.zeros(num_boxes, 4)
    columns = max(math.ceil(math.sqrt(instances)), 1)
    for index in range(instances):
        row = index * num_boxes // instances
        logits[row] = 0.0
        logits[row, 1 + index % config.num_classes] = BACKGROUND_LOGIT
        left, top = index % columns / columns, index // columns / columns
        box = torch.tensor([left, top, left + BOX_SHARE / columns, top + BOX_SHARE / columns])
        offsets[row] = encode_boxes(box, priors_cxcywh[row])
    coarse = torch.randn(1, k, PROTOTYPE_BUMPS, PROTOTYPE_BUMPS, generator=random)
    smooth = F.interpolate(coarse, (prototype_side, prototype_side), mode="bilinear")
    return NetworkOutput(
        box_offsets=offsets[None],
        class_logits=logits[None],
        coefficients=torch.randn(1, num_boxes, k, generator=random).tanh(),
        prototypes=smooth.permute(0, 2, 3, 1).relu().contiguous(),
    )
