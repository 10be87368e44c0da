"""DarkNet-53 (Redmon & Farhadi 2018)."""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["DarkNet53"]

BLOCKS = (1, 2, 8, 8, 4)
STEM_CHANNELS = 32
NUM_FEATURES = 3
LEAKY_SLOPE = 0.1


class DarkNet53(nn.Module):
    """Images ``[B, 3, S, S]`` to features at strides 8, 16 and 32 with 256, 512, 1024 channels."""

    feature_channels = (256, 512, 1024)

    def __init__(self) -> None:
        super().__init__()
        # The stages come before the stem because the published state dicts list them so.
        self.layers = nn.ModuleList()
        for stage, num_blocks in enumerate(BLOCKS):
            channels = STEM_CHANNELS * 2**stage
            self.layers.append(
                nn.Sequential(
                    _conv_norm(channels, 2 * channels, kernel=3, stride=2),
                    *(DarkNetBlock(2 * channels) for _ in range(num_blocks)),
                )
            )
        self._preconv = _conv_norm(3, STEM_CHANNELS, kernel=3)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """RGB images in 0..1 to the features C3, C4, C5."""
        x = self._preconv(images)
        features = []
        for stage in self.layers:
            x = stage(x)
            features.append(x)
        return tuple(features[-NUM_FEATURES:])


class DarkNetBlock(nn.Module):
    """1x1 to half the channels, 3x3 back, plus identity; no activation after the sum."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = _conv_norm(channels, channels // 2, kernel=1)
        self.conv2 = _conv_norm(channels // 2, channels, kernel=3)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv2(self.conv1(x))
        return y + x


def _conv_norm(
    in_channels: int, out_channels: int, *, kernel: int, stride: int = 1
) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.LeakyReLU(LEAKY_SLOPE, inplace=True),
    )
