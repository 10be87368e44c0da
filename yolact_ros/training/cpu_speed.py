"""Arrangements that make training on a CPU faster, and right, without changing what is learnt."""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["speed_up_on_cpu"]


def speed_up_on_cpu(model: nn.Module) -> None:
    """Rearrange the convolutions of a network whose batch norms are already frozen or not.

    Two measures, on a Zen 4 core with torch 2.13, batch 16:

    * Frozen batch norms are multiplied into the weights of the convolution before them, which
      still learn. Batch norm and its gradient took 15 % of a step.
    * Under bfloat16 autocast, the gradients of 5x5 and strided depthwise convolutions are taken
      in the precision that is faster, see :class:`_DepthwiseConvolution`.

    And strided convolutions of a single pixel, as the top of a small pyramid is, leave bfloat16,
    see :class:`_OnePixelInFloat32`.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and _is_slow_in_bfloat16(module):
            _replace_forward(module, _Convolution(module, None))
        elif isinstance(module, nn.Conv2d) and module.stride != (1, 1):
            _replace_forward(module, _OnePixelInFloat32(module))
    for module in list(model.modules()):
        children = list(module.children()) if isinstance(module, nn.Sequential) else []
        for conv, norm in itertools.pairwise(children):
            if (
                isinstance(conv, nn.Conv2d)
                and isinstance(norm, nn.BatchNorm2d)
                and _is_frozen(norm)
            ):
                _replace_forward(conv, _Convolution(conv, norm))
                _replace_forward(norm, nn.Identity())


def _is_frozen(norm: nn.BatchNorm2d) -> bool:
    return not norm.training and not any(p.requires_grad for p in norm.parameters())


def _is_slow_in_bfloat16(conv: nn.Conv2d) -> bool:
    depthwise = conv.groups == conv.in_channels == conv.out_channels > 1
    plain = conv.padding_mode == "zeros" and conv.dilation == (1, 1)
    return depthwise and plain and (conv.kernel_size != (3, 3) or conv.stride != (1, 1))


def _replace_forward(module: nn.Module, forward: object) -> None:
    # An instance attribute, so that the state dict and the class stay as they are.
    module.__dict__["forward"] = forward


class _Convolution:
    """A convolution with the batch norm after it, if any, in the precision that is faster."""

    def __init__(self, conv: nn.Conv2d, norm: nn.BatchNorm2d | None) -> None:
        self._conv = conv
        self._norm = norm

    def __call__(self, features: Tensor) -> Tensor:
        conv = self._conv
        weight, bias = conv.weight, conv.bias
        if self._norm is not None:
            norm = self._norm
            assert norm.running_mean is not None
            assert norm.running_var is not None
            scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
            weight = weight * scale[:, None, None, None]
            shift = norm.bias - norm.running_mean * scale
            bias = shift if bias is None else shift + bias * scale
        if not torch.is_autocast_enabled("cpu") or not _is_slow_in_bfloat16(conv):
            return F.conv2d(
                features, weight, bias, conv.stride, conv.padding, conv.dilation, conv.groups
            )
        dtype = torch.get_autocast_dtype("cpu")
        with torch.autocast("cpu", enabled=False):
            result: Tensor = _DepthwiseConvolution.apply(  # type: ignore[no-untyped-call]
                features.to(dtype), weight, bias, conv.stride, conv.padding
            )
        return result


class _OnePixelInFloat32:
    """A convolution that leaves autocast where its input is a single pixel.

    In bfloat16, oneDNN leaves parts of the weights' gradient of a strided convolution of 1x1
    pixels unwritten: whatever was in memory, NaN among it, was learnt (torch 2.13, Zen 5).
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        self._conv = conv

    def __call__(self, features: Tensor) -> Tensor:
        forward = type(self._conv).forward
        if features.shape[2:] != (1, 1) or not torch.is_autocast_enabled("cpu"):
            return forward(self._conv, features)
        with torch.autocast("cpu", enabled=False):
            return forward(self._conv, features.to(self._conv.weight.dtype))


class _DepthwiseConvolution(torch.autograd.Function):
    """A depthwise convolution in the features' precision with faster gradients than oneDNN's.

    In bfloat16, oneDNN is slow at the gradient of the weights of 5x5 kernels (96 channels, 40x40,
    batch 8, a Zen 5 core: 12.8 ms, in float32 5.6) and at that of the input at stride 2 (116
    channels, 3x3: 11.7 ms, in float32 0.2); benchmarks/train_step.py times whole steps.
    """

    @staticmethod
    def forward(
        ctx: Any,
        features: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        stride: tuple[int, int],
        padding: tuple[int, int],
    ) -> Tensor:
        low = weight.to(features.dtype)
        ctx.save_for_backward(features, low)
        ctx.stride, ctx.padding = stride, padding
        ctx.bias_sizes = None if bias is None else [len(bias)]
        bias = None if bias is None else bias.to(features.dtype)
        return F.conv2d(features, low, bias, stride, padding, 1, len(weight))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        features, weight = ctx.saved_tensors
        of_features, of_weight, of_bias = ctx.needs_input_grad[:3]

        def gradients(dtype: torch.dtype, mask: list[bool]) -> tuple[Tensor, Tensor, Tensor]:
            return torch.ops.aten.convolution_backward(  # type: ignore[no-any-return]
                gradient.to(dtype), features.to(dtype), weight.to(dtype), ctx.bias_sizes,
                ctx.stride, ctx.padding, [1, 1], False, [0, 0], len(weight), mask,
            )  # fmt: skip

        input_gradient: Tensor | None = None
        if of_features:
            dtype = features.dtype if ctx.stride == (1, 1) else torch.float32
            input_gradient = gradients(dtype, [True, False, False])[0].to(features.dtype)
        weight_gradient: Tensor | None = None
        bias_gradient: Tensor | None = None
        if of_weight or of_bias:
            _, weight_gradient, bias_gradient = gradients(
                torch.float32, [False, of_weight, of_bias]
            )
        return input_gradient, weight_gradient, bias_gradient, None, None
