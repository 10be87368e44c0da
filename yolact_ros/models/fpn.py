"""Feature pyramid P3..P7 (YOLACT section 4, after Lin et al. 2017)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["FeaturePyramid"]

NUM_DOWNSAMPLED_LEVELS = 2


class FeaturePyramid(nn.Module):
    """Features C3, C4, C5 to pyramid levels P3..P7, each with ``channels`` channels.

    The published weights list the lateral and prediction layers deepest first: index 0 belongs to
    C5 and P5, index 2 to C3 and P3. P6 and P7 have no activation.
    """

    def __init__(self, feature_channels: tuple[int, ...], channels: int) -> None:
        super().__init__()
        self.lat_layers = nn.ModuleList(
            nn.Conv2d(in_channels, channels, 1) for in_channels in reversed(feature_channels)
        )
        self.pred_layers = nn.ModuleList(
            nn.Conv2d(channels, channels, 3, padding=1) for _ in feature_channels
        )
        self.downsample_layers = nn.ModuleList(
            nn.Conv2d(channels, channels, 3, stride=2, padding=1)
            for _ in range(NUM_DOWNSAMPLED_LEVELS)
        )

    def forward(self, features: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """``(C3, C4, C5) -> (P3, P4, P5, P6, P7)``, each half of the one before, rounded up."""
        levels: list[Tensor] = []
        merged: Tensor | None = None
        for lateral, predict, feature in zip(
            self.lat_layers, self.pred_layers, reversed(features), strict=True
        ):
            side = lateral(feature)
            if merged is not None:
                # To the exact size: an odd level is not twice the one above it.
                side = side + F.interpolate(
                    merged, size=side.shape[-2:], mode="bilinear", align_corners=False
                )
            merged = side
            levels.insert(0, F.relu(predict(side)))
        for downsample in self.downsample_layers:
            levels.append(downsample(levels[-1]))
        return tuple(levels)
