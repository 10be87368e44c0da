from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from yolact_ros.config import YolactConfig
from yolact_ros.errors import CheckpointError
from yolact_ros.models import build_network
from yolact_ros.models.nano import NanoConfig, YolactNano
from yolact_ros.training.start import copy_fitting_weights, copy_known_classes, freeze


def test_other_classes_drop_the_class_layers_and_keep_the_rest(tiny_config: YolactConfig) -> None:
    old = build_network(tiny_config)
    new = build_network(replace(tiny_config, class_names=("a", "b", "c")))
    before = {key: value.clone() for key, value in new.state_dict().items()}
    dropped = copy_fitting_weights(new, old.state_dict(), drop_classes=True)
    assert dropped == ["prediction_layers.0.conf_layer", "semantic_seg_conv"]
    for key, value in new.state_dict().items():
        is_dropped = any(key.startswith(name) for name in dropped)
        expected = before[key] if is_dropped else old.state_dict()[key]
        assert torch.equal(value, expected), key


def test_the_same_classes_take_everything(tiny_config: YolactConfig) -> None:
    old, new = build_network(tiny_config), build_network(tiny_config)
    assert copy_fitting_weights(new, old.state_dict(), drop_classes=False) == []
    assert all(torch.equal(v, old.state_dict()[k]) for k, v in new.state_dict().items())


def test_as_many_but_other_classes_drop_the_class_layers_too(tiny_config: YolactConfig) -> None:
    old, new = build_network(tiny_config), build_network(tiny_config)
    dropped = copy_fitting_weights(new, old.state_dict(), drop_classes=True)
    assert "prediction_layers.0.conf_layer" in dropped


def test_another_number_of_prototypes_keeps_the_rest(tiny_config: YolactConfig) -> None:
    old = build_network(tiny_config)
    new = build_network(replace(tiny_config, num_prototypes=6))
    dropped = copy_fitting_weights(new, old.state_dict(), drop_classes=False)
    assert dropped == ["prediction_layers.0.mask_layer", "proto_net.10"]


def test_another_network_is_refused_by_name_of_its_first_layer(tiny_config: YolactConfig) -> None:
    old = build_network(replace(tiny_config, fpn_channels=16))
    with pytest.raises(CheckpointError, match=r"do not fit, first .*proto_net\.0"):
        copy_fitting_weights(build_network(tiny_config), old.state_dict(), drop_classes=False)


def test_frozen_batch_norms_neither_learn_nor_count(tiny_config: YolactConfig) -> None:
    model = build_network(tiny_config).train()
    freeze(model, batch_norm=True, blocks=0)
    norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert norms
    assert not any(norm.training for norm in norms)
    assert not any(p.requires_grad for norm in norms for p in norm.parameters())
    assert model.training
    assert any(p.requires_grad for p in model.backbone.parameters())


def test_frozen_blocks_are_the_stem_and_the_first_ones(tiny_config: YolactConfig) -> None:
    model = build_network(tiny_config).train()
    freeze(model, batch_norm=False, blocks=2)
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
    prefixes = ("backbone.stem", "backbone.blocks.0.", "backbone.blocks.1.")
    assert frozen == {n for n, _ in model.named_parameters() if n.startswith(prefixes)}


def test_yolact_nano_keeps_its_boxes_and_the_classes_that_it_knew() -> None:
    old = YolactNano(NanoConfig(class_names=("cup", "dog", "bolt"), num_prototypes=4))
    new = YolactNano(NanoConfig(class_names=("nut", "bolt"), num_prototypes=4))
    for value in old.state_dict().values():
        value.add_(1)
    weights = old.state_dict()
    dropped = copy_fitting_weights(new, weights, drop_classes=True)
    assert dropped == [f"head.classes.{level}" for level in range(4)]
    assert torch.equal(new.state_dict()["head.boxes.2.weight"], weights["head.boxes.2.weight"])
    assert copy_known_classes(new, weights, old.config.class_names) == ["bolt"]
    for level in range(4):
        for key in (f"head.classes.{level}.weight", f"head.classes.{level}.bias"):
            assert torch.equal(new.state_dict()[key][1], weights[key][2])
            assert not torch.equal(new.state_dict()[key][0], weights[key][2])
