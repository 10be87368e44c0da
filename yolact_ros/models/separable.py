"""Convolutions of NanoDet-Plus: leaky ReLU of slope 0.1, batch norm folded into the bias."""

from __future__ import annotations

from torch import nn

__all__ = ["convolution", "separable_convolution"]

NEGATIVE_SLOPE = 0.1


def convolution(
    in_channels: int,
    out_channels: int,
    kernel: int,
    stride: int = 1,
    *,
    groups: int = 1,
    activation: bool = True,
) -> nn.Sequential:
    """A convolution with bias that keeps the size (or halves it, rounded up), then leaky ReLU."""
    layers: list[nn.Module] = [
        nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, groups=groups)
    ]
    if activation:
        layers.append(nn.LeakyReLU(NEGATIVE_SLOPE, inplace=True))
    return nn.Sequential(*layers)


def separable_convolution(in_channels: int, out_channels: int, stride: int = 1) -> nn.Sequential:
    """5x5 for each channel alone, then 1x1 over the channels; leaky ReLU after both."""
    return nn.Sequential(
        convolution(in_channels, in_channels, 5, stride, groups=in_channels),
        convolution(in_channels, out_channels, 1),
    )
