from __future__ import annotations

import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import golden_recipe
import pytest
import safetensors.torch
import torch
from golden_networks import smallest
from torch import Tensor
from weight_files import flat_weights

from yolact_ros.config import variant
from yolact_ros.errors import CheckpointError, ConfigError
from yolact_ros.models import Yolact, build_network
from yolact_ros.models.checkpoint import load_checkpoint, load_network, save_checkpoint


@pytest.fixture(scope="module")
def light() -> Yolact:
    torch.manual_seed(0)
    return build_network(smallest("yolact_light", class_names=("cup", "ball"))).eval()


@pytest.fixture(scope="module")
def saved(light: Yolact, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "light.safetensors"
    save_checkpoint(path, light, {"model_card": {"trained_on": "nothing"}})
    return path


def rewrite(source: Path, target: Path, **changes: Any) -> Path:
    """Copy a safetensors file with changed metadata (strings) or tensors."""
    with safetensors.safe_open(source, framework="pt") as file:
        metadata = file.metadata()
    tensors = safetensors.torch.load_file(source)
    metadata.update({key: value for key, value in changes.items() if isinstance(value, str)})
    tensors.update({key: value for key, value in changes.items() if isinstance(value, Tensor)})
    for key in [key for key, value in changes.items() if value is None]:
        metadata.pop(key, None)
        tensors.pop(key, None)
    safetensors.torch.save_file(tensors, target, metadata)
    return target


def message_of(path: Path, **arguments: Any) -> str:
    """The error that loading gives; it names the file and is one line."""
    with pytest.raises(CheckpointError) as caught:
        load_network(path, **arguments)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


def test_a_saved_network_comes_back_with_config_weights_and_card(
    light: Yolact, saved: Path
) -> None:
    checkpoint = load_checkpoint(saved)
    assert checkpoint.config == light.config
    assert checkpoint.metadata == {"model_card": {"trained_on": "nothing"}}
    model = load_network(saved)
    assert not model.training
    assert torch.equal(model.priors, light.priors)
    for key, value in light.state_dict().items():
        assert torch.equal(model.state_dict()[key], value), key
    images = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        assert torch.equal(model(images).class_logits, light(images).class_logits)


def test_a_loaded_network_can_be_trained(saved: Path) -> None:
    model = load_network(saved).train()
    model(torch.randn(2, 3, 64, 64)).prototypes.sum().backward()
    assert model.proto_net[0].weight.grad is not None


def test_float16_files_are_half_as_large_and_load_as_float32(
    light: Yolact, saved: Path, tmp_path: Path
) -> None:
    path = tmp_path / "half.safetensors"
    save_checkpoint(path, light, dtype=torch.float16)
    assert path.stat().st_size < 0.55 * saved.stat().st_size
    weights = load_checkpoint(path).state_dict
    assert {value.dtype for value in weights.values()} == {torch.float32, torch.int64}
    for key, value in light.state_dict().items():
        torch.testing.assert_close(weights[key], value, rtol=1e-3, atol=1e-6)


def test_normalisation_statistics_survive_float16(light: Yolact, tmp_path: Path) -> None:
    model = build_network(light.config)
    model.load_state_dict(light.state_dict())
    variances = model.backbone.stem[1].running_var
    variances[0], variances[1] = 1e6, 1e-9
    save_checkpoint(tmp_path / "half.safetensors", model, dtype=torch.float16)
    loaded = load_checkpoint(tmp_path / "half.safetensors").state_dict
    assert torch.equal(loaded["backbone.stem.1.running_var"], variances)


@pytest.mark.parametrize(
    ("file_name", "variant_name"),
    [
        ("yolact_resnet50_54_800000.pth", "yolact_resnet50"),
        ("yolact_darknet53_54_800000.pth", "yolact_darknet53"),
        ("yolact_im700_54_800000.pth", "yolact_im700"),
        ("yolact_plus_base_54_800000.pth", "yolact_plus_base"),
        ("yolact_resnet50_pascal_120_120000.pth", "yolact_resnet50_pascal"),
    ],
)
def test_published_files_are_recognised_by_name(
    file_name: str, variant_name: str, tmp_path: Path
) -> None:
    torch.save(flat_weights(variant(variant_name)), tmp_path / file_name)
    assert load_network(tmp_path / file_name).config == variant(variant_name)


def test_published_weights_keep_their_values(tmp_path: Path) -> None:
    weights = flat_weights(variant("yolact_resnet50"))
    for key in ("backbone.conv1.weight", "fpn.lat_layers.0.bias"):
        weights[key] = torch.from_numpy(golden_recipe.fill(key, weights[key].shape))
    torch.save(weights, tmp_path / "yolact_resnet50_54_800000.pth")
    model = load_network(tmp_path / "yolact_resnet50_54_800000.pth")
    assert torch.equal(model.backbone.conv1.weight, weights["backbone.conv1.weight"])
    assert torch.equal(model.fpn.lat_layers[0].bias, weights["fpn.lat_layers.0.bias"])


def test_files_of_other_names_are_recognised_by_their_keys(tmp_path: Path) -> None:
    torch.save(flat_weights(variant("yolact_plus_resnet50")), tmp_path / "downloaded.pt")
    assert load_checkpoint(tmp_path / "downloaded.pt").config.name == "yolact_plus_resnet50"


def test_the_format_before_torch_1_6_and_obsolete_keys_still_load(tmp_path: Path) -> None:
    weights = flat_weights(variant("yolact_resnet50"))
    weights["backbone.layer1.0.conv1.weight"] = torch.zeros(1)
    weights["fpn.downsample_layers.2.weight"] = torch.zeros(1)
    path = tmp_path / "yolact_resnet50_54_800000.pth"
    torch.save(weights, path, _use_new_zipfile_serialization=False)
    loaded = load_checkpoint(path).state_dict
    assert "backbone.layer1.0.conv1.weight" not in loaded
    assert "fpn.downsample_layers.2.weight" not in loaded


def test_published_weights_with_another_number_of_prototypes_load(tmp_path: Path) -> None:
    config = variant("yolact_resnet50", num_prototypes=64)
    torch.save(flat_weights(config), tmp_path / "yolact_resnet50_k64.pth")
    assert load_checkpoint(tmp_path / "yolact_resnet50_k64.pth").config == config


def test_input_size_can_be_chosen_when_loading(saved: Path) -> None:
    model = load_network(saved, input_size_px=96)
    assert model.config.input_size_px == 96
    assert model.priors.shape[0] == 3 * (12**2 + 6**2 + 3**2 + 2**2 + 1)
    with pytest.raises(ConfigError, match="input_size_px is 8"):
        load_network(saved, input_size_px=8)


def test_another_number_of_prototypes_names_both(saved: Path) -> None:
    message = message_of(saved, num_prototypes=32)
    assert "has 16 prototypes" in message
    assert "num_prototypes is 32" in message
    assert load_network(saved, num_prototypes=16).config.num_prototypes == 16


class RunsCode:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("save", ["torch", "torch legacy", "pickle"])
def test_code_in_a_file_is_refused_and_never_run(save: str, tmp_path: Path) -> None:
    path, victim = tmp_path / "yolact_base_1_1.pth", tmp_path / "victim"
    content = {"weight": RunsCode(victim)}
    if save == "pickle":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=save == "torch")
    message = message_of(path)
    assert "never run" in message
    assert save == "pickle" or "posix.mkdir" in message
    assert not victim.exists()


def test_a_whole_pickled_network_is_refused_with_the_reason(light: Yolact, tmp_path: Path) -> None:
    torch.save(light, tmp_path / "network.pth")
    assert "yolact_ros.models.yolact.Yolact" in message_of(tmp_path / "network.pth")


def test_an_incomplete_network_names_the_keys_and_what_it_looks_like(tmp_path: Path) -> None:
    weights = flat_weights(variant("yolact_plus_resnet50"))
    del weights["backbone.layers.1.0.conv2.bias"]
    weights["fpn.extra.weight"] = torch.zeros(3)
    weights["fpn.lat_layers.0.bias"] = torch.zeros(255)
    path = tmp_path / "parts.pth"
    torch.save(weights, path)
    message = message_of(path)
    assert "not hold the weights of yolact_plus_resnet50" in message
    assert "1 keys are missing, first backbone.layers.1.0.conv2.bias" in message
    assert "1 keys are unexpected, first fpn.extra.weight" in message
    assert "fpn.lat_layers.0.bias with [255] instead of [256]" in message
    assert "look like yolact_plus_resnet50 with 80 classes and 32 prototypes" in message


def test_a_config_that_is_not_of_the_weights_is_refused(saved: Path, tmp_path: Path) -> None:
    config = {**load_checkpoint(saved).config.to_dict(), "num_prototypes": 5}
    path = rewrite(saved, tmp_path / "light.safetensors", yolact_config=json.dumps(config))
    message = message_of(path)
    assert "proto_net.10.weight with [16, 8, 1, 1] instead of [5, 8, 1, 1]" in message
    assert "save them again with that config" in message


def test_a_file_without_config_is_recognised_by_its_keys(saved: Path, tmp_path: Path) -> None:
    path = rewrite(saved, tmp_path / "plain.safetensors", yolact_config=None)
    config = load_checkpoint(path).config
    assert (config.backbone, config.class_names) == ("efficientnet_lite0", ("class_0", "class_1"))


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ("{", "damaged"),
        ("[1]", "damaged"),
        ("3", "damaged"),
        ('{"name": "x", "backbone": "vgg16"}', "vgg16"),
        ('{"name": "x", "backbone": "resnet50", "depth": 3}', "depth"),
        ('{"name": "x", "backbone": "resnet50", "normalization": 3}', "damaged"),
    ],
)
def test_a_damaged_config_is_named(config: str, reason: str, saved: Path, tmp_path: Path) -> None:
    path = rewrite(saved, tmp_path / "light.safetensors", yolact_config=config)
    assert reason in message_of(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_no_numbers_name_their_key(
    value: float, saved: Path, tmp_path: Path
) -> None:
    key = "fpn.pred_layers.1.bias"
    bias = load_checkpoint(saved).state_dict[key].clone()
    bias[3] = value
    message = message_of(rewrite(saved, tmp_path / "light.safetensors", **{key: bias}))
    assert f"{key} has NaN or infinite values" in message


def test_integer_weights_name_their_key(saved: Path, tmp_path: Path) -> None:
    key = "fpn.pred_layers.1.bias"
    integers = {key: torch.zeros(8, dtype=torch.int8)}
    message = message_of(rewrite(saved, tmp_path / "light.safetensors", **integers))
    assert f"{key} has values of the wrong kind (torch.int8)" in message


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"<html>not found</html>", "not a checkpoint: it starts with b'<html>not'"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "not a checkpoint"),
        (b"{}", "not a checkpoint"),
        (b"version https://git-lfs.github.com/spec/v1\n", "not a checkpoint"),
        (bytes(5000), "not a checkpoint"),
        (b"PK\x03\x04" + bytes(100), "truncated"),
        (b"\x80\x02", "truncated"),
        (b"\x80\x02}q\x00.", "damaged"),
    ],
)
def test_files_that_are_no_checkpoints_say_so(content: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "yolact_base_54_800000.pth"
    path.write_bytes(content)
    assert reason in message_of(path)


@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
@pytest.mark.parametrize("share", [0.001, 0.02, 0.5, 0.99])
def test_truncated_files_say_so(
    kind: str, share: float, light: Yolact, saved: Path, tmp_path: Path
) -> None:
    whole, path = tmp_path / "whole", tmp_path / "yolact_light_1_2.pth"
    if kind == "safetensors":
        whole = saved
    else:
        torch.save(light.state_dict(), whole, _use_new_zipfile_serialization=kind == "zip")
    content = whole.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    message = message_of(path)
    assert "truncated" in message or "damaged" in message
    assert "fetch or copy it again" in message


def test_a_zip_archive_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "yolact_base_54_800000.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("notes/readme.txt", "hello")
    assert "not a PyTorch checkpoint" in message_of(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ([torch.zeros(3)], "holds a list"),
        (torch.zeros(3), "holds a Tensor"),
        ({}, "no entries"),
        ({"epoch": 3, "model": {}}, "no network this package knows (2 entries, first epoch)"),
        ({"a": torch.zeros(()).expand(10**6, 10**6)}, "no network this package knows"),
        ({"fc.weight": torch.zeros(3, 3)}, "(1 entries, first fc.weight)"),
    ],
)
def test_torch_files_without_network_weights_say_what_they_hold(
    content: object, reason: str, tmp_path: Path
) -> None:
    torch.save(content, tmp_path / "yolact_base_54_800000.pth")
    assert reason in message_of(tmp_path / "yolact_base_54_800000.pth")


def test_weights_of_no_known_network_say_so(tmp_path: Path) -> None:
    torch.save({"fc.weight": torch.zeros(3, 3)}, tmp_path / "classifier.pth")
    assert "no network this package knows" in message_of(tmp_path / "classifier.pth")


def test_missing_files_and_folders_say_so(tmp_path: Path) -> None:
    assert "yolact models list" in message_of(tmp_path / "none.pth")
    assert "is a folder" in message_of(tmp_path)


def test_saving_replaces_the_old_file_at_once(
    light: Yolact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "light.safetensors"
    path.write_bytes(b"old")

    def full_disk(_descriptor: int) -> None:
        assert path.read_bytes() == b"old"
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full_disk)
        with pytest.raises(CheckpointError, match=r"cannot write .* No space left"):
            save_checkpoint(path, light)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
    with path.open("rb") as reader:
        save_checkpoint(path, light)
        assert reader.read() == b"old"
    assert load_checkpoint(path).config == light.config
    assert list(tmp_path.iterdir()) == [path]


def test_saving_needs_a_folder_and_the_right_suffix(light: Yolact, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="No such file or directory"):
        save_checkpoint(tmp_path / "none" / "light.safetensors", light)
    with pytest.raises(CheckpointError, match=r"has to end in \.safetensors"):
        save_checkpoint(tmp_path / "light.pth", light)
