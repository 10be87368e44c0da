"""ShuffleNetV2 1.0x (Ma et al. 2018) as NanoDet-Plus-m uses it, batch norm folded."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from yolact_ros.models.separable import convolution

__all__ = ["ShuffleNetV2"]

STEM_CHANNELS = 24
STAGES = ((4, 116), (8, 232), (4, 464))


class ShuffleNetV2(nn.Module):
    """Images to the stem's features (stride 4) and those of three stages (8, 16, 32).

    Attributes:
        feature_channels: channels of the three stages.
        stem_channels: channels of the stem's features.
    """

    feature_channels = tuple(channels for _, channels in STAGES)
    stem_channels = STEM_CHANNELS

    def __init__(self) -> None:
        super().__init__()
        self.stem = convolution(3, STEM_CHANNELS, 3, stride=2)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        stages = []
        in_channels = STEM_CHANNELS
        for blocks, channels in STAGES:
            first = _DownsamplingUnit(in_channels, channels)
            stages.append(nn.Sequential(first, *(_Unit(channels) for _ in range(blocks - 1))))
            in_channels = channels
        self.stages = nn.ModuleList(stages)

    def forward(self, images: Tensor) -> list[Tensor]:
        """``[B, 3, S, S]`` to four maps of 24, 116, 232 and 464 channels."""
        features = [self.pool(self.stem(images))]
        for stage in self.stages:
            features.append(stage(features[-1]))
        return features


class _Unit(nn.Module):
    """Half of the channels passes unchanged, the other half is convolved; then they mix."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.branch = nn.Sequential(
            convolution(half, half, 1),
            convolution(half, half, 3, groups=half, activation=False),
            convolution(half, half, 1),
        )

    def forward(self, features: Tensor) -> Tensor:
        passed, convolved = features.chunk(2, dim=1)
        return _shuffle(torch.cat([passed, self.branch(convolved)], dim=1))


class _DownsamplingUnit(nn.Module):
    """Both branches see all channels and halve the size."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.shortcut = nn.Sequential(
            convolution(in_channels, in_channels, 3, 2, groups=in_channels, activation=False),
            convolution(in_channels, half, 1),
        )
        self.branch = nn.Sequential(
            convolution(in_channels, half, 1),
            convolution(half, half, 3, 2, groups=half, activation=False),
            convolution(half, half, 1),
        )

    def forward(self, features: Tensor) -> Tensor:
        return _shuffle(torch.cat([self.shortcut(features), self.branch(features)], dim=1))


def _shuffle(features: Tensor) -> Tensor:
    """Channels of the two halves in turn."""
    batch, channels, height, width = features.shape
    halves = features.reshape(batch, 2, channels // 2, height, width)
    return halves.transpose(1, 2).reshape(batch, channels, height, width)
