"""The networks compute what the reference computed on the same weights and image."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from golden_networks import (
    PUBLISHED,
    empty_network,
    golden_input,
    golden_network,
    recorded_arrays,
    recorded_json,
)
from torch import Tensor

from yolact_ros.config import variant
from yolact_ros.models import Yolact
from yolact_ros.structures import NetworkOutput

ROW_STEP = 67


def assert_close(actual: Tensor, expected: np.ndarray, atol: float = 1e-4) -> None:
    np.testing.assert_allclose(actual.numpy(), expected, rtol=0, atol=atol)


@pytest.mark.parametrize("name", PUBLISHED)
def test_keys_shapes_and_their_order_are_the_published_ones(name: str) -> None:
    state_dict = empty_network(variant(name)).state_dict()
    ours = [[key, list(value.shape)] for key, value in state_dict.items()]
    assert ours == recorded_json("keys.json.gz")[name]


@pytest.mark.parametrize("name", PUBLISHED)
def test_number_of_parameters_is_the_references(name: str) -> None:
    model = empty_network(variant(name))
    count = sum(parameter.numel() for parameter in model.parameters())
    assert count == recorded_json("macs.json")[name]["params"]


def test_input_is_the_references(r50_network: Yolact) -> None:
    image = golden_input(r50_network.config)
    assert_close(image[0, :, ::25, ::25], recorded_arrays("r50_infer")["input_sample"])


@pytest.mark.parametrize("level", [2, 3, 4, 5])
def test_every_backbone_stage_of_resnet50_agrees(
    level: int, r50_stages: dict[str, Tensor]
) -> None:
    sample = r50_stages[f"C{level}"][0, :: 16 * 2 ** (level - 2), ::9, ::9]
    assert_close(sample, recorded_arrays("r50_infer")[f"C{level}_sample"])


@pytest.mark.parametrize(("level", "step"), [(3, 9), (4, 9), (5, 4), (6, 2), (7, 2)])
def test_every_pyramid_level_agrees(level: int, step: int, r50_stages: dict[str, Tensor]) -> None:
    sample = r50_stages[f"P{level}"][0, ::16, ::step, ::step]
    assert_close(sample, recorded_arrays("r50_infer")[f"P{level}_sample"])


def test_raw_output_of_resnet50_agrees(r50_output: NetworkOutput) -> None:
    recorded = recorded_arrays("r50_infer")
    assert_close(r50_output.box_offsets[0, ::ROW_STEP], recorded["loc_rows"])
    assert_close(r50_output.class_logits[0, ::ROW_STEP], recorded["logits_rows"])
    assert_close(r50_output.class_logits[0, ::ROW_STEP].softmax(-1), recorded["conf_rows"])
    assert_close(r50_output.coefficients[0, ::ROW_STEP], recorded["mask_rows"], atol=5e-4)
    assert_close(r50_output.prototypes[0, ::6, ::6], recorded["proto_sample"])


def test_semantic_maps_agree(r50_network: Yolact, r50_stages: dict[str, Tensor]) -> None:
    with torch.inference_mode():
        maps = r50_network.semantic_seg_conv(r50_stages["P3"])
    assert_close(maps[0, ::8, ::9, ::9], recorded_arrays("r50_infer")["segm_sample"])


@pytest.mark.parametrize(
    "name", ["yolact_resnet50", "yolact_base", "yolact_darknet53", "yolact_plus_resnet50"]
)
def test_raw_output_of_the_other_networks_agrees(
    name: str, request: pytest.FixtureRequest
) -> None:
    if name == "yolact_resnet50":
        output = request.getfixturevalue("r50_output")
    else:
        model = golden_network(variant(name))
        with torch.inference_mode():
            output = model(golden_input(model.config))
    recorded = recorded_arrays("samples_all_configs")
    assert_close(output.box_offsets[0, ::331], recorded[f"{name}/loc"])
    assert_close(output.class_logits[0, ::331].softmax(-1), recorded[f"{name}/conf"])
    assert_close(output.coefficients[0, ::331], recorded[f"{name}/mask"], atol=5e-4)
    assert_close(output.prototypes[0, ::17, ::17], recorded[f"{name}/proto"])
