"""Protonet: prototype masks from P3 (YOLACT section 3.1)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Protonet"]


class Protonet(nn.Sequential):
    """P3 to k prototype masks of twice its size.

    A plain sequence, since the published keys count its layers: weights are at 0, 2, 4, 8, 10.
    """

    def __init__(self, in_channels: int, channels: int, num_prototypes: int) -> None:
        super().__init__(
            nn.Conv2d(in_channels, channels, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False),
            # The published sequence has a second ReLU here; it changes nothing.
            nn.Identity(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, num_prototypes, 1),
        )

    def forward(self, p3: Tensor) -> Tensor:
        """``[B, C, h3, w3] -> [B, 2 h3, 2 w3, k]``, non-negative."""
        prototypes = p3
        for layer in self:
            prototypes = layer(prototypes)
        return F.relu(prototypes).permute(0, 2, 3, 1).contiguous()
