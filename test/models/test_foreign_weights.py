"""Weights as other programs write them: whatever is around them, they load to the same network."""

from __future__ import annotations

import argparse
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from golden_networks import smallest
from torch import Tensor
from weight_files import flat_weights

from yolact_ros.config import variant
from yolact_ros.errors import CheckpointError, ConfigError
from yolact_ros.models import Yolact, build_network
from yolact_ros.models.checkpoint import load_checkpoint, load_network, read_config

Weights = dict[str, Tensor]


@pytest.fixture(scope="module")
def light() -> Yolact:
    torch.manual_seed(0)
    return build_network(smallest("yolact_light", class_names=("bolt", "nut"))).eval()


@pytest.fixture(scope="module")
def weights(light: Yolact) -> Weights:
    return dict(light.state_dict())


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    return tmp_path / "parts.pth"


def prefixed(weights: Weights, prefix: str) -> Weights:
    return {prefix + key: value for key, value in weights.items()}


def assert_equal(path: Path, weights: Weights) -> None:
    loaded = load_checkpoint(path).state_dict
    assert list(loaded) == list(weights)
    for key, value in weights.items():
        assert torch.equal(loaded[key], value), key
        assert loaded[key].is_contiguous()


@pytest.mark.parametrize("prefix", ["module.", "model.", "_orig_mod.module.", "a.b.c.d."])
def test_a_prefix_of_all_keys_does_not_matter(prefix: str, weights: Weights, parts: Path) -> None:
    torch.save(prefixed(weights, prefix), parts)
    assert_equal(parts, weights)


@pytest.mark.parametrize("key", ["state_dict", "model", "model_state_dict", "net", "ema"])
def test_the_network_may_lie_in_a_training_checkpoint(
    key: str, weights: Weights, parts: Path
) -> None:
    optimizer = {"state": {0: {"exp_avg": torch.ones(3)}}, "param_groups": [{"lr": 0.1}]}
    content = {"epoch": 3, key: OrderedDict(prefixed(weights, "module.")), "optimizer": optimizer}
    torch.save(content, parts)
    assert_equal(parts, weights)
    remark = load_checkpoint(parts).remarks[0]
    assert remark == (
        f"{parts}: entries that are not of the network are ignored: epoch, optimizer"
    )


def test_of_two_networks_the_averaged_one_is_taken_and_told(weights: Weights, parts: Path) -> None:
    raw = {key: value + 1 for key, value in weights.items()}
    torch.save({"model": raw, "ema_state": {"module": weights, "decay": 0.99}}, parts)
    assert_equal(parts, weights)
    remarks = load_checkpoint(parts).remarks
    assert "ema_state.module is taken, the one under model is not" in remarks[0]
    assert remarks[1].endswith("are ignored: ema_state.decay")


def test_an_average_that_is_not_a_whole_network_is_not_taken(
    weights: Weights, parts: Path
) -> None:
    trained_alone = {key: value for key, value in weights.items() if "running" not in key}
    torch.save({"ema": trained_alone, "model": weights}, parts)
    assert_equal(parts, weights)
    assert load_checkpoint(parts).remarks[0].endswith("are ignored: ema")


def test_parts_that_were_saved_apart_are_one_network(weights: Weights, parts: Path) -> None:
    apart: dict[str, Weights] = {}
    for key, value in weights.items():
        part, _, rest = key.partition(".")
        apart.setdefault(part, {})[rest] = value
    torch.save({"model": apart}, parts)
    assert_equal(parts, weights)


def test_counters_are_zero_where_old_files_have_none_or_others_broke_them(
    weights: Weights, parts: Path
) -> None:
    counters = [key for key in weights if key.endswith("num_batches_tracked")]
    without = {key: value for key, value in weights.items() if key not in counters}
    torch.save(without, parts)
    assert_equal(parts, weights)
    broken = (torch.tensor(float("nan")), torch.tensor([7.0]), torch.zeros(3), torch.tensor(-1))
    torch.save({**without, **dict(zip(counters, broken, strict=False))}, parts)
    loaded = load_checkpoint(parts).state_dict
    assert [int(loaded[key]) for key in counters[:4]] == [0, 7, 0, 0]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_become_float32(
    dtype: torch.dtype, weights: Weights, parts: Path
) -> None:
    torch.save({key: value.to(dtype) for key, value in weights.items()}, parts)
    rounded = {
        key: value.to(dtype).float() if value.is_floating_point() else value
        for key, value in weights.items()
    }
    assert_equal(parts, rounded)


def test_numbers_that_float32_cannot_hold_name_their_key(weights: Weights, parts: Path) -> None:
    huge = {**weights, "fpn.lat_layers.0.bias": torch.full((8,), 1e300, dtype=torch.float64)}
    torch.save(huge, parts)
    with pytest.raises(CheckpointError, match=r"fpn\.lat_layers\.0\.bias has NaN or infinite"):
        load_checkpoint(parts)


def test_strided_and_shared_tensors_get_memory_of_their_own(weights: Weights, parts: Path) -> None:
    laid_out = {
        key: value.contiguous(memory_format=torch.channels_last) if value.dim() == 4 else value
        for key, value in weights.items()
    }
    laid_out["fpn.lat_layers.1.bias"] = laid_out["fpn.lat_layers.0.bias"]
    torch.save(laid_out, parts)
    assert_equal(parts, laid_out)
    network = load_network(parts)
    network.fpn.lat_layers[0].bias.data += 1
    assert torch.equal(network.fpn.lat_layers[1].bias, weights["fpn.lat_layers.0.bias"])


@pytest.mark.parametrize(
    "value",
    [torch.zeros(8, device="meta"), torch.zeros(8).to_sparse()],
    ids=["meta", "sparse"],
)
def test_a_tensor_without_plain_values_is_named(
    value: Tensor, weights: Weights, parts: Path
) -> None:
    torch.save({**weights, "fpn.lat_layers.0.bias": value}, parts)
    with pytest.raises(CheckpointError, match=r"fpn\.lat_layers\.0\.bias is no plain tensor"):
        load_checkpoint(parts)


def test_metadata_of_other_tools_is_ignored(weights: Weights, tmp_path: Path) -> None:
    path = tmp_path / "parts.safetensors"
    contiguous = {key: value.contiguous() for key, value in weights.items()}
    safetensors.torch.save_file(contiguous, path, {"format": "pt", "config": "{", "epoch": "3"})
    assert_equal(path, weights)
    assert load_checkpoint(path).metadata == {}


def test_a_pickle_that_holds_itself_ends(parts: Path, weights: Weights) -> None:
    content: dict[str, Any] = {"model": weights}
    content["self"] = content
    torch.save(content, parts)
    assert_equal(parts, weights)


def test_two_entries_of_one_name_are_an_error(parts: Path, weights: Weights) -> None:
    torch.save({**prefixed(weights, "model."), "model": dict(weights)}, parts)
    with pytest.raises(CheckpointError, match=r"two entries called model\.backbone\.stem"):
        load_checkpoint(parts)


def test_code_is_not_run_and_the_line_that_saves_plain_weights_is_told(
    parts: Path, weights: Weights
) -> None:
    torch.save({"state_dict": weights, "args": argparse.Namespace(lr=0.1)}, parts)
    with pytest.raises(CheckpointError, match=r"carries code \(argparse\.Namespace\)") as caught:
        load_checkpoint(parts)
    line = str(caught.value).split("`")[1]
    exec(line.replace("'parts", f"'{parts.parent}/parts"))
    assert_equal(parts.with_name("parts_weights.pth"), weights)


@pytest.mark.parametrize(
    "name",
    [
        "yolact_resnet50_1764_30000.pth",
        "yolact_resnet50_potholes_10_500.pth",
        "yolact_base_54_800000.pth",
        "parts.pth",
    ],
)
def test_custom_classes_load_under_any_name(name: str, tmp_path: Path) -> None:
    expected = variant("yolact_resnet50", class_names=("class_0", "class_1"))
    torch.save(flat_weights(expected), tmp_path / name)
    checkpoint = load_checkpoint(tmp_path / name)
    assert checkpoint.config == expected
    told = " ".join(checkpoint.remarks)
    assert "brings no class names, so they are class_0 to class_1: name them" in told
    assert f"in {Path(name).stem}.txt beside it" in told
    assert ("is called after yolact_base and holds a yolact_resnet50" in told) == ("base" in name)


def test_a_name_tells_the_input_size_of_custom_classes(tmp_path: Path) -> None:
    config = variant("yolact_im700", class_names=("class_0", "class_1"))
    torch.save(flat_weights(config), tmp_path / "yolact_im700_potholes_3_100.pth")
    assert read_config(tmp_path / "yolact_im700_potholes_3_100.pth") == config
    (tmp_path / "yolact_im700_potholes_3_100.pth").rename(tmp_path / "potholes.pth")
    assert read_config(tmp_path / "potholes.pth").input_size_px == 550


def test_names_come_from_the_user_then_the_file_beside_it_then_nowhere(
    weights: Weights, parts: Path
) -> None:
    torch.save(weights, parts)
    given = parts.with_name("given.yaml")
    given.write_text("names: {0: screw, 1: washer}\n")
    assert load_checkpoint(parts).names_from == "nowhere"
    parts.with_suffix(".txt").write_text("bolt\nnut\n")
    beside = load_checkpoint(parts)
    assert (beside.config.class_names, beside.remarks) == (("bolt", "nut"), ())
    assert beside.names_from == str(parts.with_suffix(".txt"))
    named = load_checkpoint(parts, class_names=(str(given),))
    assert (named.config.class_names, named.names_from) == (("screw", "washer"), str(given))
    assert load_network(parts, class_names=("a", "b")).config.class_names == ("a", "b")


def test_a_yaml_file_of_settings_beside_the_weights_names_nothing(
    weights: Weights, parts: Path
) -> None:
    torch.save(weights, parts)
    parts.with_suffix(".yaml").write_text("lr: 0.1\nclasses: 2\n")
    assert load_checkpoint(parts).names_from == "nowhere"


def test_a_wrong_number_of_names_tells_both_numbers_and_where_they_are_from(
    weights: Weights, parts: Path
) -> None:
    torch.save(weights, parts)
    file = parts.with_suffix(".txt")
    file.write_text("background\nbolt\nnut\n")
    with pytest.raises(ConfigError) as caught:
        load_checkpoint(parts)
    assert str(caught.value).startswith(
        f"{file} has 3 names (background, bolt, nut), but {parts} has 2 classes"
    )
    assert "leave background out" in str(caught.value)
    with pytest.raises(ConfigError, match=r"the list of class names has 1 name \(bolt\), but"):
        load_checkpoint(parts, class_names=("bolt",))


def test_a_whole_variant_keeps_its_names_without_a_remark(tmp_path: Path) -> None:
    torch.save(flat_weights(variant("yolact_resnet50")), tmp_path / "downloaded.pth")
    checkpoint = load_checkpoint(tmp_path / "downloaded.pth")
    assert checkpoint.config.class_names[:2] == ("person", "bicycle")
    assert checkpoint.names_from == "yolact_resnet50, which has as many classes"
    assert checkpoint.remarks == ()
