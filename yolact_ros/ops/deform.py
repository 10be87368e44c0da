"""Modulated deformable convolution (DCNv2, Zhu et al. 2019)."""

from __future__ import annotations

import functools

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["deform_conv2d", "torchvision_is_usable"]

PADDING = 1


def deform_conv2d(
    features: Tensor,
    offsets: Tensor,
    modulation: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    *,
    stride: int = 1,
    use_torchvision: bool = False,
) -> Tensor:
    """Convolve at displaced sampling positions; bilinear, zeros outside the features.

    Tap t (row-major in the K x K kernel) of output (i, j) samples at row ``i * stride - 1 + t // K
    + offsets[:, 2 t, i, j]`` and column ``j * stride - 1 + t % K + offsets[:, 2 t + 1, i, j]`` and
    is multiplied by ``modulation[:, t, i, j]``. Sampling positions need the precision of float32,
    so narrower inputs are computed in float32 and returned in their dtype.

    Args:
        features (Tensor[B, C, H, W]), weight (Tensor[C', C, K, K]): as of any convolution.
        offsets (Tensor[B, 2 K K, H', W']): displacements in pixels, row before column.
        modulation (Tensor[B, K K, H', W']): factor of each tap, 0..1.
        use_torchvision: torchvision's operator instead of plain torch ones; the results agree to
            rounding. Where it may be used, :func:`torchvision_is_usable` says. Only on the CPU:
            its CUDA kernels go to the default stream, so that a captured graph lacks them (on an
            H200 a graph of YOLACT++ found hardly one of the host's instances).

    Returns:
        Tensor[B, C', H', W'] in the dtype of ``features``.
    """
    precision = torch.promote_types(features.dtype, torch.float32)
    dtype = features.dtype
    features, offsets, modulation, weight = (
        values.to(precision) for values in (features, offsets, modulation, weight)
    )
    bias = None if bias is None else bias.to(precision)
    if use_torchvision and features.device.type == "cpu":
        from torchvision.ops import deform_conv2d as operator

        output: Tensor = operator(
            features, offsets, weight, bias, stride=stride, padding=PADDING, mask=modulation
        )
    else:
        output = _sample(features, offsets, modulation, weight, stride)
        output = output if bias is None else output + bias[:, None, None]
    return output.to(dtype)


def _sample(
    features: Tensor, offsets: Tensor, modulation: Tensor, weight: Tensor, stride: int
) -> Tensor:
    """The convolution without bias from ``grid_sample`` and one matrix product."""
    batch, channels, height, width = features.shape
    out_channels, _, kernel, _ = weight.shape
    taps = kernel * kernel
    out_height, out_width = offsets.shape[-2:]
    rows, columns = _regular_positions(features, kernel, out_height, out_width, stride)
    displacements = offsets.reshape(batch, taps, 2, out_height, out_width)
    rows = rows + displacements[:, :, 0]
    columns = columns + displacements[:, :, 1]
    # grid_sample counts from the outer edges: pixel centre x lies at (2 x + 1) / width - 1.
    grid = torch.stack(((2 * columns + 1) / width - 1, (2 * rows + 1) / height - 1), dim=-1)
    samples = F.grid_sample(
        features,
        grid.reshape(batch, taps * out_height, out_width, 2),
        mode="bilinear",
        padding_mode="zeros",
        align_corners=False,
    ).reshape(batch, channels, taps, out_height * out_width)
    samples = samples * modulation.reshape(batch, 1, taps, out_height * out_width)
    return torch.matmul(
        weight.reshape(out_channels, channels * taps),
        samples.reshape(batch, channels * taps, out_height * out_width),
    ).reshape(batch, out_channels, out_height, out_width)


def _regular_positions(
    like: Tensor, kernel: int, out_height: int, out_width: int, stride: int
) -> tuple[Tensor, Tensor]:
    """Rows ``[taps, H', 1]`` and columns ``[taps, 1, W']`` that a plain convolution reads."""
    taps = torch.arange(kernel * kernel, dtype=like.dtype, device=like.device)
    out_rows = torch.arange(out_height, dtype=like.dtype, device=like.device)
    out_columns = torch.arange(out_width, dtype=like.dtype, device=like.device)
    tap_rows = torch.div(taps, kernel, rounding_mode="floor")
    tap_columns = taps - tap_rows * kernel
    rows = tap_rows[:, None, None] + (out_rows * stride - PADDING)[None, :, None]
    columns = tap_columns[:, None, None] + (out_columns * stride - PADDING)[None, None, :]
    return rows, columns


@functools.cache
def torchvision_is_usable() -> bool:
    """Whether torchvision is installed and was built for this torch."""
    try:
        import torchvision.ops  # noqa: F401
    except Exception:
        # Not only ImportError: a torchvision built for another torch raises RuntimeError.
        return False
    return True
