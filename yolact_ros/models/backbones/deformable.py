"""The deformable 3x3 convolution of YOLACT++."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from yolact_ros.ops.deform import deform_conv2d, torchvision_is_usable

__all__ = ["DeformableConv2d"]

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
        """``[B, C, H, W] -> [B, C', H / stride, W / stride]``, rounded up."""
        predicted = self.conv_offset_mask(x)
        return deform_conv2d(
            x,
            predicted[:, : 2 * TAPS],
            torch.sigmoid(predicted[:, 2 * TAPS :]),
            self.weight,
            self.bias,
            stride=self.stride[0],
            padding=1,
            use_torchvision=self.use_torchvision,
        )
