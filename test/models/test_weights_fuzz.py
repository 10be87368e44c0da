"""Weights spoiled in every way: an error of ours, or the same network and a word on the rest."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from golden_networks import smallest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from yolact_ros.class_names import find_class_names
from yolact_ros.errors import CheckpointError, ConfigError
from yolact_ros.models import build_network
from yolact_ros.models.checkpoint import Checkpoint, load_checkpoint

Weights = dict[str, Tensor]

BOUNDED = settings(
    max_examples=25,
)
KEYS = ("semantic_seg_conv.bias", "fpn.lat_layers.0.bias", "backbone.stem.1.running_var")


@functools.cache
def weights() -> Weights:
    """Not a fixture: hypothesis would write all numbers into its reports."""
    torch.manual_seed(0)
    config = smallest("yolact_light", class_names=("bolt", "nut"))
    return dict(build_network(config).state_dict())


words = st.sampled_from(["module", "model", "state_dict", "ema", "_orig_mod", "net", "0", "fpn"])
dtypes = st.sampled_from([torch.float32, torch.float64, torch.bfloat16, torch.float16])
scalars = st.one_of(st.none(), st.integers(), st.floats(), st.text(max_size=5), st.booleans())
junk = st.recursive(
    st.one_of(scalars, st.just(torch.ones(3)), st.lists(scalars, max_size=2)),
    lambda inner: st.dictionaries(st.one_of(words, st.integers()), inner, max_size=3),
    max_leaves=6,
)
harmless = st.fixed_dictionaries(
    {
        "prefix": st.lists(words.filter(lambda word: word != "fpn"), max_size=3),
        "wrappers": st.lists(words.filter(lambda word: word != "fpn"), max_size=3),
        "beside": st.dictionaries(st.sampled_from(["epoch", "optimizer", "args", "best"]), junk),
        "dtype": dtypes,
        "counters": st.booleans(),
        "legacy": st.booleans(),
    }
)
faults = st.sampled_from(
    ["none", "missing", "renamed", "extra", "shape", "scalar", "nan", "integer", "text", "sparse"]
)


def wrapped(weights: Weights, case: dict[str, Any]) -> dict[Any, Any]:
    """The weights as the case has them, with other entries beside them."""
    prefix = "".join(f"{word}." for word in case["prefix"])
    content: dict[Any, Any] = {
        prefix + key: value.to(case["dtype"]) if torch.is_floating_point(value) else value
        for key, value in weights.items()
        if case["counters"] or not key.endswith("num_batches_tracked")
    }
    for word in case["wrappers"]:
        content = {word: content}
    return {**case["beside"], **content}


def spoiled(weights: Weights, fault: str, key: str) -> dict[str, Any]:
    changed: dict[str, Any] = dict(weights)
    value = changed[key]
    if fault in ("missing", "renamed"):
        del changed[key]
    changes = {
        "renamed": {f"{key}_": value},
        "extra": {f"{key}.more": value},
        "shape": {key: torch.zeros(len(value) + 1)},
        "scalar": {key: torch.zeros(())},
        "nan": {key: torch.full_like(value, torch.nan)},
        "integer": {key: value.to(torch.int32)},
        "text": {key: "0.5"},
        "sparse": {key: value.to_sparse()},
    }
    return {**changed, **changes.get(fault, {})}


def loaded_or_refused(path: Path) -> Checkpoint | None:
    """The checkpoint, or None after an error of ours: one line that names the file."""
    message = ""
    try:
        return load_checkpoint(path)
    except CheckpointError as error:
        message = str(error)
    assert str(path) in message
    assert "\n" not in message
    return None


@given(case=harmless)
@BOUNDED
def test_whatever_is_around_the_weights_they_load_and_the_rest_is_named(
    case: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "parts.pth"
    torch.save(wrapped(weights(), case), path, _use_new_zipfile_serialization=not case["legacy"])
    checkpoint = load_checkpoint(path)
    for key, value in weights().items():
        expected = value.to(case["dtype"]).float() if torch.is_floating_point(value) else value
        assert torch.equal(checkpoint.state_dict[key], expected), key
    told = " ".join(checkpoint.remarks)
    for name in case["beside"]:
        assert name in told


@given(case=harmless, fault=faults, key=st.sampled_from(KEYS))
@BOUNDED
def test_a_fault_in_the_weights_is_an_error_that_names_the_file(
    case: dict[str, Any], fault: str, key: str, tmp_path: Path
) -> None:
    path = tmp_path / "parts.pth"
    content = spoiled(weights(), fault, key)
    safe = {k: v for k, v in content.items() if isinstance(v, Tensor)}
    others = {k: v for k, v in content.items() if not isinstance(v, Tensor)}
    torch.save({**wrapped(safe, {**case, "dtype": torch.float32}), **others}, path)
    assert (loaded_or_refused(path) is not None) == (fault == "none")


@given(data=st.data())
@BOUNDED
def test_damaged_bytes_are_an_error_or_change_nothing_but_values(
    data: st.DataObject, tmp_path: Path
) -> None:
    path = tmp_path / "parts.pth"
    kind = data.draw(st.sampled_from(["zip", "legacy", "safetensors"]))
    if kind == "safetensors":
        content = safetensors.torch.save(weights(), {"format": "pt"})
    else:
        torch.save(weights(), path, _use_new_zipfile_serialization=kind == "zip")
        content = path.read_bytes()
    # The structure is at both ends.
    place = data.draw(st.one_of(st.integers(0, 4000), st.integers(-4000, -1)))
    if data.draw(st.booleans()):
        content = content[:place]
    else:
        damaged = bytearray(content)
        damaged[place] ^= data.draw(st.integers(1, 255))
        content = bytes(damaged)
    path.write_bytes(content)
    checkpoint = loaded_or_refused(path)
    if checkpoint is not None:
        loaded = checkpoint.state_dict
        assert {key: value.shape for key, value in loaded.items()} == {
            key: value.shape for key, value in weights().items()
        }


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=4)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(data=st.data())
@BOUNDED
def test_a_config_of_ours_with_any_value_is_an_error_or_the_network(
    data: st.DataObject, tmp_path: Path
) -> None:
    path = tmp_path / "parts.safetensors"
    config = smallest("yolact_light", class_names=("bolt", "nut")).to_dict()
    field = data.draw(st.sampled_from([*config, "whole"]))
    value = data.draw(json_values)
    described = value if field == "whole" else {**config, field: value}
    metadata = {"yolact_config": json.dumps(described), "note": data.draw(st.text(max_size=5))}
    safetensors.torch.save_file(weights(), path, metadata)
    checkpoint = loaded_or_refused(path)
    if checkpoint is not None:
        assert checkpoint.config.num_classes == 2
        assert all(torch.equal(checkpoint.state_dict[key], weights()[key]) for key in KEYS)
        assert checkpoint.build().priors.isfinite().all()


@given(
    suffix=st.sampled_from([".txt", ".yaml", ".json", ".names"]),
    content=st.one_of(st.binary(max_size=60), st.text(max_size=60), json_values),
)
@settings(max_examples=150)
def test_a_file_of_class_names_is_an_error_or_names_that_differ(
    suffix: str, content: object, tmp_path: Path
) -> None:
    path = tmp_path / f"names{suffix}"
    text = content if isinstance(content, (bytes, str)) else json.dumps(content)
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    message = ""
    try:
        found = find_class_names((str(path),))
    except ConfigError as error:
        message = str(error)
    if message:
        assert message.startswith(str(path))
        return
    assert found is not None
    assert found.names
    assert len(set(found.names)) == len(found.names)
    assert all(name == name.strip() and name.isprintable() for name in found.names)
