"""Parameter values: what is taken, what is refused, and that every list of them agrees."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path

import pytest
import yaml

from yolact_ros.class_names import class_ids_of
from yolact_ros.errors import ConfigError
from yolact_ros.ros.parameter_spec import check_value
from yolact_ros.ros.parameters import (
    PARAMETERS,
    FixedParameters,
    LiveParameters,
    spec_of,
)

REPOSITORY = Path(__file__).parents[2]


def checked(name: str, value: object) -> object:
    spec = spec_of(name)
    assert spec is not None
    return check_value(spec, value)


def test_whole_numbers_serve_as_real_ones() -> None:
    value = checked("score_threshold", 1)
    assert value == 1.0
    assert isinstance(value, float)


@pytest.mark.parametrize("value", [[], (), None, [""]])
def test_every_way_to_say_no_classes_is_an_empty_list(value: object) -> None:
    assert checked("classes", value) == ()


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("score_threshold", 1.01, "score_threshold is 1.01, expected 0..1"),
        ("score_threshold", float("nan"), "score_threshold is nan, expected 0..1"),
        ("score_threshold", "high", "score_threshold is 'high', expected a number"),
        ("score_threshold", True, "score_threshold is true, expected a number"),
        ("top_k", 0, "top_k is 0, expected 1..200 instances"),
        ("top_k", 15.0, "top_k is 15.0, expected a whole number"),
        ("frame_budget_ms", -1.0, "frame_budget_ms is -1.0, expected 0..60000 ms"),
        ("frame_budget_ms", float("inf"), "frame_budget_ms is inf"),
        ("mask_encoding", "png", "mask_encoding is 'png', expected one of bits, rle, none"),
        ("classes", "person", "classes is 'person', expected a list of strings"),
        ("classes", ["person", "person"], "expected every name once"),
        ("cameras", ["front camera"], "'front camera' cannot be part of a topic name"),
        ("cameras", ["1st"], "'1st' cannot be part of a topic name"),
        ("input_size", [], "input_size is [], expected a list of whole numbers"),
        ("input_size", [320.0], "expected a list of whole numbers"),
        ("input_size", [320, 32], "input_size has 32, expected 0 or 64..2048 px"),
        ("autostart", 1, "autostart is 1, expected true or false"),
        ("model", None, "model is empty, expected a string"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_with_the_reason(
    name: str, value: object, reason: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(reason)):
        checked(name, value)


def test_class_names_become_indices_and_an_unknown_one_is_named_with_a_guess() -> None:
    names = ("person", "cup", "dog")
    assert class_ids_of((), names) is None
    assert class_ids_of(("dog", "person"), names) == (0, 2)
    with pytest.raises(ConfigError, match="no class 'persn'; did you mean 'person'"):
        class_ids_of(("dog", "persn"), names)
    with pytest.raises(ConfigError, match="no class 'zebra'; it has person, cup, dog"):
        class_ids_of(("zebra",), names)


def test_every_parameter_is_a_field_and_every_default_passes_its_own_check() -> None:
    fields = asdict(LiveParameters()) | asdict(FixedParameters())
    assert {spec.name: spec.default for spec in PARAMETERS} == fields
    for spec in PARAMETERS:
        assert check_value(spec, spec.default) == spec.default
        assert (spec.change == "live") == hasattr(LiveParameters(), spec.name)
        assert spec.description.endswith(".")


def test_the_yaml_file_has_every_parameter_with_its_default_and_a_comment() -> None:
    text = (REPOSITORY / "config" / "yolact.yaml").read_text()
    values = yaml.safe_load(text)["/**"]["ros__parameters"]
    assert list(values) == [spec.name for spec in PARAMETERS]
    lines = text.splitlines()
    for spec in PARAMETERS:
        assert check_value(spec, values[spec.name]) == spec.default, spec.name
        above = lines[
            next(i for i, row in enumerate(lines) if row.strip().startswith(spec.name + ":")) - 1
        ]
        assert above.strip().startswith("#"), f"{spec.name} has no comment"
        for choice in spec.choices:
            assert choice in text
