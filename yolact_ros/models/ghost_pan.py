"""Ghost-PAN: the feature pyramid of NanoDet-Plus."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from yolact_ros.models.separable import convolution, separable_convolution

__all__ = ["GhostPan"]


class GhostPan(nn.Module):
    """Features of strides 8, 16 and 32 to four levels of equal channels (8, 16, 32, 64).

    First from coarse to fine, then back (PANet); every fusion is a ghost bottleneck
    (GhostNet, Han et al. 2020).
    """

    def __init__(self, in_channels: Sequence[int], channels: int) -> None:
        super().__init__()
        self.reduce = nn.ModuleList(convolution(count, channels, 1) for count in in_channels)
        steps = len(in_channels) - 1
        # In order of use: top_down from coarse to fine, bottom_up from fine to coarse.
        self.top_down = nn.ModuleList(_Fusion(channels) for _ in range(steps))
        self.downsample = nn.ModuleList(
            separable_convolution(channels, channels, 2) for _ in range(steps)
        )
        self.bottom_up = nn.ModuleList(_Fusion(channels) for _ in range(steps))
        self.extra_in = separable_convolution(channels, channels, 2)
        self.extra_out = separable_convolution(channels, channels, 2)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Three maps to four, fine to coarse; the image side is a multiple of 32."""
        reduced = [layer(level) for layer, level in zip(self.reduce, features, strict=True)]
        fine = [reduced[-1]]
        for fuse, lateral in zip(self.top_down, reversed(reduced[:-1]), strict=True):
            enlarged = F.interpolate(
                fine[0], scale_factor=2.0, mode="bilinear", align_corners=False
            )
            fine.insert(0, fuse(torch.cat([enlarged, lateral], dim=1)))
        levels = [fine[0]]
        for shrink, fuse, lateral in zip(self.downsample, self.bottom_up, fine[1:], strict=True):
            levels.append(fuse(torch.cat([shrink(levels[-1]), lateral], dim=1)))
        return [*levels, self.extra_in(reduced[-1]) + self.extra_out(levels[-1])]


class _Ghost(nn.Module):
    """Half of the output by a 1x1 convolution, the other half from that by a cheap 3x3."""

    def __init__(self, in_channels: int, out_channels: int, *, activation: bool) -> None:
        super().__init__()
        half = out_channels // 2
        self.primary = convolution(in_channels, half, 1, activation=activation)
        self.cheap = convolution(half, half, 3, groups=half, activation=activation)

    def forward(self, features: Tensor) -> Tensor:
        primary = self.primary(features)
        return torch.cat([primary, self.cheap(primary)], dim=1)


class _Fusion(nn.Module):
    """Two levels, concatenated, to one: a ghost bottleneck with a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        both = 2 * channels
        self.ghosts = nn.Sequential(
            _Ghost(both, channels, activation=True), _Ghost(channels, channels, activation=False)
        )
        self.shortcut = nn.Sequential(
            convolution(both, both, 5, groups=both, activation=False),
            convolution(both, channels, 1, activation=False),
        )

    def forward(self, levels: Tensor) -> Tensor:
        fused: Tensor = self.ghosts(levels) + self.shortcut(levels)
        return fused
