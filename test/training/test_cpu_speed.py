from __future__ import annotations

import copy

import pytest
import torch

from yolact_ros.config import YolactConfig
from yolact_ros.models import Yolact, build_network
from yolact_ros.models.families import make_network, network_variant
from yolact_ros.training.cpu_speed import speed_up_on_cpu
from yolact_ros.training.start import freeze


def make_pair(config: YolactConfig, *, frozen: bool) -> tuple[Yolact, Yolact]:
    torch.manual_seed(0)
    plain = build_network(config)
    for norm in plain.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(norm.weight, 0.5, 1.5)
            torch.nn.init.uniform_(norm.bias, -0.2, 0.2)
            norm.running_mean.uniform_(-0.2, 0.2)  # type: ignore[union-attr]
            norm.running_var.uniform_(0.5, 1.5)  # type: ignore[union-attr]
    fast = copy.deepcopy(plain)
    for model in (plain, fast):
        model.train()
        freeze(model, batch_norm=frozen, blocks=1)
    speed_up_on_cpu(fast)
    return plain, fast


@pytest.mark.parametrize("frozen", [True, False])
def test_outputs_and_gradients_stay_the_same(tiny_config: YolactConfig, frozen: bool) -> None:
    plain, fast = make_pair(tiny_config, frozen=frozen)
    images = torch.randn(8, 3, 64, 64)
    for model in (plain, fast):
        output = model(images)
        (output.class_logits.square().sum() + output.prototypes.sum()).backward()
    torch.testing.assert_close(
        fast(images).class_logits, plain(images).class_logits, rtol=1e-3, atol=1e-4
    )
    pairs = list(zip(plain.parameters(), fast.parameters(), strict=True))
    assert [a.grad is None for a, _ in pairs] == [b.grad is None for _, b in pairs]
    wanted = torch.cat([a.grad.reshape(-1) for a, _ in pairs if a.grad is not None])
    found = torch.cat([b.grad.reshape(-1) for _, b in pairs if b.grad is not None])
    assert float((wanted - found).norm()) < 0.01 * float(wanted.norm())


def test_the_state_dict_stays_the_same(tiny_config: YolactConfig) -> None:
    plain, fast = make_pair(tiny_config, frozen=True)
    assert list(fast.state_dict()) == list(plain.state_dict())


def test_frozen_statistics_are_read_anew_at_every_step(tiny_config: YolactConfig) -> None:
    _, fast = make_pair(tiny_config, frozen=True)
    images = torch.randn(1, 3, 64, 64)
    before = fast(images).prototypes
    for norm in fast.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            norm.running_mean.add_(0.5)  # type: ignore[union-attr]
    assert not torch.allclose(fast(images).prototypes, before)


@pytest.mark.parametrize(("kernel", "stride"), [(5, 1), (5, 2), (3, 2)])
@pytest.mark.parametrize("bias", [True, False])
def test_depthwise_gradients_in_bfloat16_are_those_of_torch(
    kernel: int, stride: int, bias: bool
) -> None:
    torch.manual_seed(0)
    conv = torch.nn.Conv2d(16, 16, kernel, stride, kernel // 2, groups=16, bias=bias)
    fast = copy.deepcopy(conv)
    speed_up_on_cpu(fast)
    images = torch.randn(4, 16, 20, 20)
    gradients = []
    for layer in (conv, fast):
        features = images.clone().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16):
            output = layer(features)
        assert output.dtype == torch.bfloat16
        output.float().square().sum().backward()
        gradients.append([features.grad, *(p.grad for p in layer.parameters())])
    for wanted, found in zip(*gradients, strict=True):
        assert wanted is not None
        assert found is not None
        assert float((wanted - found).norm()) < 0.01 * float(wanted.norm())


def test_networks_without_batch_norm_are_sped_up_too() -> None:
    network = make_network(network_variant("yolact_nano").with_input_size(64))
    speed_up_on_cpu(network)
    depthwise = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d) and m.groups > 1]
    replaced = [m for m in depthwise if "forward" in m.__dict__]
    slow = [m for m in depthwise if (m.kernel_size, m.stride) != ((3, 3), (1, 1))]
    assert len(slow) > 20
    assert replaced == slow


def test_a_frozen_depthwise_weight_gets_no_gradient() -> None:
    conv = torch.nn.Conv2d(8, 8, 5, 1, 2, groups=8).requires_grad_(False)
    speed_up_on_cpu(conv)
    features = torch.randn(1, 8, 10, 10, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        conv(features).float().sum().backward()
    assert conv.weight.grad is None
    assert features.grad is not None


def test_in_bfloat16_a_strided_convolution_of_one_pixel_has_the_gradient_of_float32() -> None:
    torch.manual_seed(0)
    exact = torch.nn.Conv2d(16, 16, 3, stride=2, padding=1)
    rough = copy.deepcopy(exact)
    speed_up_on_cpu(torch.nn.ModuleList([rough]))
    pixel = torch.randn(4, 16, 1, 1)
    exact(pixel).square().sum().backward()
    for _ in range(20):
        # Memory that was used before is not zero.
        for size in (1 << 8, 1 << 11, 1 << 14):
            torch.full((size,), torch.nan)
        rough.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            output = rough(pixel)
        output.float().square().sum().backward()
        torch.testing.assert_close(rough.weight.grad, exact.weight.grad)
