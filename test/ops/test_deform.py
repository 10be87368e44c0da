from __future__ import annotations

import math
import sys

import pytest
import torch
import torch.nn.functional as F
from golden_networks import recorded_group
from torch import Tensor

from yolact_ros.ops.deform import deform_conv2d, torchvision_is_usable

needs_torchvision = pytest.param(
    True,
    marks=pytest.mark.skipif(
        not torchvision_is_usable(), reason="no torchvision for this torch is installed"
    ),
)
with_and_without_torchvision = pytest.mark.parametrize(
    "use_torchvision", [False, needs_torchvision]
)


def bilinear(channel: Tensor, row: float, column: float) -> float:
    """Value between the pixels of one channel, zero outside."""
    height, width = channel.shape
    top, left = math.floor(row), math.floor(column)
    value = 0.0
    for y in (top, top + 1):
        for x in (left, left + 1):
            if 0 <= y < height and 0 <= x < width:
                share = (1 - abs(row - y)) * (1 - abs(column - x))
                value += share * channel[y, x].item()
    return value


def scalar_deform_conv2d(
    features: Tensor,
    offsets: Tensor,
    modulation: Tensor,
    weight: Tensor,
    bias: Tensor,
    stride: int,
) -> Tensor:
    """Deformable convolution of one image, one number after the other."""
    _, height, width = offsets.shape
    output = torch.zeros(weight.shape[0], height, width, dtype=features.dtype)
    for i in range(height):
        for j in range(width):
            for tap in range(9):
                row = i * stride - 1 + tap // 3 + offsets[2 * tap, i, j].item()
                column = j * stride - 1 + tap % 3 + offsets[2 * tap + 1, i, j].item()
                for channel, pixels in enumerate(features):
                    sample = bilinear(pixels, row, column) * modulation[tap, i, j].item()
                    output[:, i, j] += weight[:, channel, tap // 3, tap % 3] * sample
    return output + bias[:, None, None]


def random_inputs(stride: int, spread_px: float) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(stride)
    out_height, out_width = -(-6 // stride), -(-7 // stride)

    def noise(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    return (
        noise(2, 3, 6, 7),
        spread_px * noise(2, 18, out_height, out_width),
        torch.sigmoid(noise(2, 9, out_height, out_width)),
        noise(4, 3, 3, 3),
        noise(4),
    )


@with_and_without_torchvision
@pytest.mark.parametrize("stride", [1, 2])
def test_output_is_the_references(stride: int, use_torchvision: bool) -> None:
    recorded = recorded_group("unit", "dcn")
    expected = recorded[f"out_stride{stride}"]
    rows, columns = expected.shape[-2:]
    output = deform_conv2d(
        recorded["x"],
        recorded["offset"][:, :, :rows, :columns].contiguous(),
        recorded["mask_after_sigmoid"][:, :, :rows, :columns].contiguous(),
        recorded["weight"],
        recorded["bias"],
        stride=stride,
        use_torchvision=use_torchvision,
    )
    torch.testing.assert_close(output, expected, rtol=0, atol=2e-5)


@with_and_without_torchvision
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("spread_px", [0.7, 5.0])
def test_output_equals_a_loop_over_every_number(
    stride: int, spread_px: float, use_torchvision: bool
) -> None:
    features, offsets, modulation, weight, bias = random_inputs(stride, spread_px)
    output = deform_conv2d(
        features,
        offsets,
        modulation,
        weight,
        bias,
        stride=stride,
        use_torchvision=use_torchvision,
    )
    for image in range(2):
        expected = scalar_deform_conv2d(
            features[image], offsets[image], modulation[image], weight, bias, stride
        )
        torch.testing.assert_close(output[image], expected, rtol=0, atol=1e-10)


@with_and_without_torchvision
def test_without_offsets_it_is_a_plain_convolution(use_torchvision: bool) -> None:
    features, offsets, modulation, weight, bias = random_inputs(1, 0.0)
    output = deform_conv2d(
        features,
        offsets,
        torch.ones_like(modulation),
        weight,
        bias,
        use_torchvision=use_torchvision,
    )
    torch.testing.assert_close(output, F.conv2d(features, weight, bias, padding=1))


def test_gradients_reach_every_input() -> None:
    inputs = [value[:1] if value.dim() == 4 else value for value in random_inputs(2, 0.7)]
    inputs[3] = inputs[3].repeat(4, 1, 1, 1)
    for value in inputs:
        value.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda *values: deform_conv2d(*values, stride=2), inputs, fast_mode=True
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_inputs_are_computed_in_float32(dtype: torch.dtype) -> None:
    narrow = [value.to(dtype) for value in random_inputs(1, 2.0)]
    output = deform_conv2d(*narrow)
    wide = deform_conv2d(*(value.float() for value in narrow))
    assert output.dtype == dtype
    torch.testing.assert_close(output, wide.to(dtype))


def test_torchvisions_operator_is_for_the_cpu_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchvision.ops", None)  # an import would fail
    features, weight = torch.empty(1, 4, 8, 8, device="meta"), torch.empty(6, 4, 3, 3)
    offsets, modulation = (torch.empty(1, n, 8, 8, device="meta") for n in (18, 9))
    inputs = (features, offsets, modulation, weight.to("meta"), None)
    assert deform_conv2d(*inputs, use_torchvision=True).shape == (1, 6, 8, 8)
