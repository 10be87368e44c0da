"""Folding batch norms and preparing networks."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from yolact_ros.config import variant
from yolact_ros.inference.runtimes.fold import fold_batch_norms, prepare_network
from yolact_ros.models import Yolact, build_network
from yolact_ros.models.backbones.resnet import DeformableConv2d

CPU = torch.device("cpu")


def norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


def test_folding_removes_every_norm_and_changes_nothing(light: Yolact, images: Tensor) -> None:
    folded = copy.deepcopy(light)
    fold_batch_norms(folded)
    assert norms(light) > 40
    assert norms(folded) == 0
    with torch.inference_mode():
        for got, expected in zip(folded(images)[:4], light(images)[:4], strict=True):
            torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "name", ["yolact_resnet50", "yolact_darknet53", "yolact_plus_resnet50", "yolact_light"]
)
def test_every_backbone_folds_whole(name: str) -> None:
    # On the meta device, where networks have shapes but no memory.
    with torch.device("meta"):
        network = build_network(variant(name)).eval()
        fold_batch_norms(network)
    assert norms(network.backbone) == 0


def test_a_prepared_network_is_a_copy(light: Yolact, images: Tensor) -> None:
    before = {name: tensor.clone() for name, tensor in light.state_dict().items()}
    prepared = prepare_network(light, device=CPU, dtype=torch.bfloat16)
    with torch.inference_mode():
        output = prepared(images)
    assert all(tensor.dtype == torch.float32 for tensor in output)
    assert light.state_dict().keys() == before.keys()
    for name, tensor in light.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_exports_have_plain_operators_in_the_deformable_convolutions() -> None:
    with torch.device("meta"):
        network = build_network(variant("yolact_plus_resnet50"))
    prepared = prepare_network(network, device=torch.device("meta"), for_export=True)
    deformable = [m for m in prepared.modules() if isinstance(m, DeformableConv2d)]
    assert deformable
    assert not any(module.use_torchvision for module in deformable)
    assert prepared.network.maskiou_net is None
