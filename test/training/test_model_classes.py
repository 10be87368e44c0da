from __future__ import annotations

import pytest
import torch
from model_classes import keep_classes, lower_scores

from yolact_ros.config import YolactConfig, variant
from yolact_ros.errors import ConfigError
from yolact_ros.models import Yolact, build_network


@pytest.fixture
def network(tiny_config: YolactConfig) -> Yolact:
    network = build_network(tiny_config).eval()
    torch.nn.init.normal_(network.prediction_layers[0].conf_layer.bias)  # type: ignore[union-attr]
    return network


@torch.no_grad()
def test_kept_classes_have_the_logits_they_had(network: Yolact) -> None:
    images = torch.randn(1, 3, 64, 64)
    before = network(images)
    after = keep_classes(network, ["box"])(images)
    # Another number of output channels may take another kernel, which rounds differently.
    torch.testing.assert_close(
        after.class_logits, before.class_logits[..., [0, 2]], rtol=0, atol=1e-6
    )
    assert torch.equal(after.coefficients, before.coefficients)


def test_the_smaller_network_names_its_classes_in_the_asked_order(network: Yolact) -> None:
    swapped = keep_classes(network, ["box", "disc"])
    assert swapped.config.class_names == ("box", "disc")
    assert network.config.class_names == ("disc", "box")


@torch.no_grad()
def test_lowered_scores_move_one_class_alone(network: Yolact) -> None:
    images = torch.randn(1, 3, 64, 64)
    before = network(images).class_logits
    lower_scores(network, {"disc": 1.5})
    torch.testing.assert_close(
        network(images).class_logits, before - torch.tensor([0.0, 1.5, 0.0])
    )


def test_unknown_classes_are_an_error(network: Yolact) -> None:
    with pytest.raises(ConfigError, match=r"no classes \['cone'\]"):
        keep_classes(network, ["disc", "cone"])
    with pytest.raises(ConfigError, match="no class 'cone'"):
        lower_scores(network, {"cone": 1})


def test_networks_with_mask_rescoring_are_refused() -> None:
    with pytest.raises(ConfigError, match="re-scores masks"):
        keep_classes(build_network(variant("yolact_plus_resnet50")), ["person"])
