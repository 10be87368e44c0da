"""ResNet-50 and ResNet-101 (He et al. 2016), with YOLACT++'s deformable convolutions."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from yolact_ros.ops.deform import deform_conv2d, torchvision_is_usable

__all__ = ["RESNET_BLOCKS", "DeformableConv2d", "ResNet"]

RESNET_BLOCKS = {"resnet50": (3, 4, 6, 3), "resnet101": (3, 4, 23, 3)}
STEM_CHANNELS = 64
EXPANSION = 4
KERNEL = 3
TAPS = KERNEL * KERNEL


class DeformableConv2d(nn.Conv2d):
    """A 3x3 convolution that predicts its own sampling offsets and modulation (DCNv2).

    Attributes:
        use_torchvision: run torchvision's operator, the default where it is usable; set it to
            False for exports that know only torch's own operators.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__(in_channels, out_channels, KERNEL, stride, padding=1)
        self.use_torchvision = torchvision_is_usable()
        # Per tap two offsets, then per tap one modulation before its sigmoid.
        self.conv_offset_mask = nn.Conv2d(in_channels, 3 * TAPS, KERNEL, stride, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        predicted = self.conv_offset_mask(x)
        return deform_conv2d(
            x,
            predicted[:, : 2 * TAPS],
            torch.sigmoid(predicted[:, 2 * TAPS :]),
            self.weight,
            self.bias,
            stride=self.stride[0],
            use_torchvision=self.use_torchvision,
        )


class ResNet(nn.Module):
    """Images ``[B, 3, S, S]`` to features at strides 8, 16 and 32 (512, 1024, 2048 channels).

    Args:
        deformable_interval: in stages 2 to 4, every n-th block from the first on has a deformable
            3x3 convolution; 0 = none.
    """

    feature_channels = (512, 1024, 2048)

    def __init__(self, blocks: tuple[int, ...], deformable_interval: int = 0) -> None:
        super().__init__()
        # The stages come before the stem because the published state dicts list them so.
        self.layers = nn.ModuleList()
        channels = STEM_CHANNELS
        for stage, num_blocks in enumerate(blocks):
            width = STEM_CHANNELS * 2**stage
            stage_blocks = []
            for block in range(num_blocks):
                deformable = (
                    stage > 0 and deformable_interval > 0 and block % deformable_interval == 0
                )
                stride = 2 if stage > 0 and block == 0 else 1
                stage_blocks.append(Bottleneck(channels, width, stride, deformable))
                channels = width * EXPANSION
            self.layers.append(nn.Sequential(*stage_blocks))
        self.conv1 = nn.Conv2d(3, STEM_CHANNELS, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(STEM_CHANNELS)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Normalised RGB images to the features C3, C4, C5."""
        x = F.relu(self.bn1(self.conv1(images)), inplace=True)
        x = F.max_pool2d(x, 3, stride=2, padding=1)
        features = []
        for stage in self.layers:
            x = stage(x)
            features.append(x)
        return tuple(features[1:])


class Bottleneck(nn.Module):
    """1x1, 3x3 (which carries the stride) and 1x1 convolution around an identity or projection."""

    def __init__(self, in_channels: int, width: int, stride: int, deformable: bool) -> None:
        super().__init__()
        out_channels = width * EXPANSION
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = (
            DeformableConv2d(width, width, stride)
            if deformable
            else nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        )
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.downsample = (
            nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False),
                nn.BatchNorm2d(out_channels),
            )
            if stride != 1 or in_channels != out_channels
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = F.relu(self.bn2(self.conv2(y)), inplace=True)
        return F.relu(self.bn3(self.conv3(y)) + identity, inplace=True)
