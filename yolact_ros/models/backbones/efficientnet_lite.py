"""EfficientNet-Lite0 (Tan & Le 2019, the Lite form without squeeze-and-excitation, with ReLU6)."""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["EfficientNetLite0"]

BATCH_NORM_EPSILON = 1e-3
BATCH_NORM_MOMENTUM = 0.01
STEM_CHANNELS = 32
# Repeats, kernel, stride of the first block, expansion, output channels of each stage.
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
# Last stage at each of the strides 8, 16, 32.
FEATURE_STAGES = (2, 4, 6)


class EfficientNetLite0(nn.Module):
    """Images ``[B, 3, S, S]`` to features at strides 8, 16 and 32 with 40, 112 and 320 channels.

    Pads symmetrically. TensorFlow's "SAME" padding, which the ImageNet weights were trained with,
    differs at even sizes by a shift of one input pixel per stride-2 layer; symmetric padding needs
    no extra operation and does not depend on whether a size is even.
    """

    feature_channels = tuple(STAGES[stage][4] for stage in FEATURE_STAGES)

    def __init__(self) -> None:
        super().__init__()
        self.stem = _conv_norm(3, STEM_CHANNELS, kernel=3, stride=2, activation=True)
        blocks: list[nn.Module] = []
        feature_blocks = []
        channels = STEM_CHANNELS
        for stage, (repeats, kernel, stride, expansion, out_channels) in enumerate(STAGES):
            for repeat in range(repeats):
                block_stride = stride if repeat == 0 else 1
                blocks.append(
                    InvertedResidual(channels, out_channels, kernel, block_stride, expansion)
                )
                channels = out_channels
            if stage in FEATURE_STAGES:
                feature_blocks.append(len(blocks) - 1)
        self.blocks = nn.ModuleList(blocks)
        self._feature_blocks = tuple(feature_blocks)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Normalised RGB images to the features C3, C4, C5."""
        features = []
        x = self.stem(images)
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in self._feature_blocks:
                features.append(x)
        return tuple(features)


class InvertedResidual(nn.Module):
    """1x1 expansion, depthwise convolution, linear 1x1 projection; identity where shapes allow."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, stride: int, expansion: int
    ) -> None:
        super().__init__()
        hidden = in_channels * expansion
        self.expand = (
            _conv_norm(in_channels, hidden, kernel=1, activation=True)
            if expansion != 1
            else nn.Identity()
        )
        self.depthwise = _conv_norm(
            hidden, hidden, kernel=kernel, stride=stride, groups=hidden, activation=True
        )
        self.project = _conv_norm(hidden, out_channels, kernel=1, activation=False)
        self.has_identity = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.project(self.depthwise(self.expand(x)))
        return x + y if self.has_identity else y


def _conv_norm(
    in_channels: int,
    out_channels: int,
    *,
    kernel: int,
    stride: int = 1,
    groups: int = 1,
    activation: bool,
) -> nn.Sequential:
    layers: list[nn.Module] = [
        nn.Conv2d(
            in_channels, out_channels, kernel, stride, kernel // 2, groups=groups, bias=False
        ),
        nn.BatchNorm2d(out_channels, BATCH_NORM_EPSILON, BATCH_NORM_MOMENTUM),
    ]
    if activation:
        layers.append(nn.ReLU6(inplace=True))
    return nn.Sequential(*layers)
