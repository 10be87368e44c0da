from __future__ import annotations

import pytest
import torch
from golden_networks import golden_network, smallest

from yolact_ros.config import VARIANTS
from yolact_ros.errors import ConfigError
from yolact_ros.models import Yolact, build_network
from yolact_ros.ops.priors import make_priors


@pytest.fixture(scope="module")
def light() -> Yolact:
    torch.manual_seed(0)
    return build_network(smallest("yolact_light")).eval()


@pytest.mark.parametrize("name", sorted(VARIANTS))
@pytest.mark.parametrize("num_prototypes", [4, 33])
def test_every_variant_runs_with_any_number_of_prototypes(name: str, num_prototypes: int) -> None:
    config = smallest(name, num_prototypes=num_prototypes, class_names=("robot", "crate"))
    with torch.device("meta"):
        model = Yolact(config).eval()
        output = model(torch.empty(2, 3, 64, 64))
    rows = make_priors(config).shape[0]
    assert output.box_offsets.shape == (2, rows, 4)
    assert output.class_logits.shape == (2, rows, 3)
    assert output.coefficients.shape == (2, rows, num_prototypes)
    assert output.prototypes.shape == (2, 16, 16, num_prototypes)
    assert output.semantic_logits is None


@pytest.mark.parametrize("side", [64, 97, 130, 256])
def test_any_input_size_runs_and_has_one_row_per_prior(light: Yolact, side: int) -> None:
    view = light.with_input_size(side)
    with torch.inference_mode():
        output = view(torch.randn(1, 3, side, side))
    assert output.box_offsets.shape[1] == view.priors.shape[0]


def test_semantic_maps_come_in_training_mode_only() -> None:
    model = build_network(smallest("yolact_light"))
    images = torch.randn(2, 3, 64, 64)
    semantic = model(images).semantic_logits
    assert semantic is not None
    assert semantic.shape == (2, 80, 8, 8)
    assert model.eval()(images).semantic_logits is None


def test_views_for_other_sizes_share_the_weights(light: Yolact) -> None:
    view = light.with_input_size(96)
    own = dict(light.named_parameters())
    assert all(parameter is own[name] for name, parameter in view.named_parameters())
    assert torch.equal(view.priors, make_priors(view.config))
    assert torch.equal(light.priors, make_priors(light.config))
    assert (light.config.input_size_px, view.config.input_size_px) == (64, 96)
    with pytest.raises(ConfigError, match="input_size_px is 63"):
        light.with_input_size(63)


def test_priors_are_no_part_of_the_state_dict_and_move_with_the_network() -> None:
    model = build_network(smallest("yolact_light"))
    assert not [key for key in model.state_dict() if "priors" in key]
    assert model.to("meta").priors.device.type == "meta"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", ["yolact_light", "yolact_plus_resnet50"])
def test_half_precision_networks_stay_near_the_full_one(name: str, dtype: torch.dtype) -> None:
    model = golden_network(smallest(name, fpn_channels=16)) if "plus" in name else None
    if model is None:
        torch.manual_seed(0)
        model = build_network(smallest(name)).eval()
    images = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        full = model(images)
        narrow = model.to(dtype)(images.to(dtype))
    assert model.priors.dtype == torch.float32
    for wide_field, narrow_field in zip(full[:4], narrow[:4], strict=True):
        assert narrow_field.dtype == dtype
        error = (narrow_field.float() - wide_field).norm() / wide_field.norm()
        assert error < (0.01 if dtype == torch.float16 else 0.1)


def test_autocast_runs_the_deformable_network() -> None:
    model = golden_network(smallest("yolact_plus_resnet50"))
    images = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        full = model(images)
        with torch.autocast("cpu", torch.bfloat16):
            mixed = model(images)
    error = (mixed.prototypes.float() - full.prototypes).norm() / full.prototypes.norm()
    assert error < 0.1


def test_channels_last_gives_the_same_output(light: Yolact) -> None:
    images = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        expected = light(images)
        twin = build_network(light.config).eval()
        twin.load_state_dict(light.state_dict())
        actual = twin.to(memory_format=torch.channels_last)(
            images.to(memory_format=torch.channels_last)
        )
    for field, wanted in zip(actual[:4], expected[:4], strict=True):
        torch.testing.assert_close(field, wanted, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", ["yolact_light", "yolact_resnet50", "yolact_plus_resnet50"])
def test_the_network_is_one_graph_without_python_in_between(name: str) -> None:
    model = build_network(smallest(name)).eval()
    images = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        expected = model(images)
        program = torch.export.export(model, (images,))
        actual = program.module()(images)
    for field, wanted in zip(actual[:4], expected[:4], strict=True):
        torch.testing.assert_close(field, wanted, rtol=1e-4, atol=1e-4)


def test_compiling_finds_no_graph_break() -> None:
    model = build_network(smallest("yolact_plus_resnet50")).eval()
    compiled = torch.compile(model, backend="eager", fullgraph=True, dynamic=False)
    images = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(compiled(images).prototypes, model(images).prototypes)
