from __future__ import annotations

from pathlib import Path

import pytest
from golden_networks import PUBLISHED, empty_network, recorded_json

from yolact_ros.config import variant
from yolact_ros.models.identify import (
    config_from_file_name,
    config_from_shapes,
    describe_difference,
    is_part_of_network,
    network_prefixes,
)


def published_shapes(name: str) -> dict[str, tuple[int, ...]]:
    return {key: tuple(shape) for key, shape in recorded_json("keys.json.gz")[name]}


@pytest.mark.parametrize("name", [*PUBLISHED, "yolact_light"])
@pytest.mark.parametrize("ending", ["_54_800000.pth", "_3_1200_interrupt.pth", ".pth"])
def test_published_file_names_tell_their_variant(name: str, ending: str) -> None:
    assert config_from_file_name(Path(f"weights/{name}{ending}")) == variant(name)


@pytest.mark.parametrize(
    "name", ["best.pth", "yolact.pth", "yolact_bases.pth", "my_yolact_base.pth"]
)
def test_other_file_names_tell_nothing(name: str) -> None:
    assert config_from_file_name(Path(name)) is None


@pytest.mark.parametrize("name", PUBLISHED)
def test_keys_and_shapes_tell_the_variant_up_to_its_input_size(name: str) -> None:
    # im400 and im700 have the weights of base.
    expected = "yolact_base" if name in ("yolact_im400", "yolact_im700") else name
    assert config_from_shapes(published_shapes(name)) == variant(expected)


def test_shapes_tell_prototypes_channels_and_unknown_classes() -> None:
    config = variant(
        "yolact_light",
        class_names=("class_0", "class_1", "class_2"),
        num_prototypes=9,
        fpn_channels=24,
        proto_channels=12,
    )
    state_dict = empty_network(config).state_dict()
    shapes = {key: tuple(value.shape) for key, value in state_dict.items()}
    assert config_from_shapes(shapes) == config


@pytest.mark.parametrize("name", ["yolact_base", "yolact_im400", "yolact_im700"])
def test_a_name_decides_between_variants_of_the_same_shapes(name: str) -> None:
    assert config_from_shapes(published_shapes("yolact_base"), variant(name)) == variant(name)


def test_a_name_decides_over_priors_but_not_over_classes() -> None:
    config = config_from_shapes(
        published_shapes("yolact_resnet50_pascal"), variant("yolact_resnet50")
    )
    assert config == variant(
        "yolact_resnet50", class_names=tuple(f"class_{number}" for number in range(20))
    )


def test_a_name_of_other_shapes_counts_for_nothing() -> None:
    shapes = published_shapes("yolact_resnet50")
    assert config_from_shapes(shapes, variant("yolact_base")) == variant("yolact_resnet50")


@pytest.mark.parametrize(
    ("prefixes", "expected"),
    [
        ([""], [""]),
        (["module."], ["module."]),
        (["state_dict._orig_mod.module."], ["state_dict._orig_mod.module."]),
        (["model.", "ema.module."], ["model.", "ema.module."]),
        (["", "ema."], ["", "ema."]),
        (["fpn."], ["fpn."]),
    ],
)
def test_prefixes_are_what_stands_before_the_parts_of_a_network(
    prefixes: list[str], expected: list[str]
) -> None:
    keys = [prefix + key for prefix in prefixes for key in published_shapes("yolact_base")]
    assert network_prefixes([*keys, "epoch", "optimizer.state.0.step"]) == expected


def test_a_detector_of_another_kind_is_no_network() -> None:
    keys = ["backbone.body.conv1.weight", "backbone.fpn.inner_blocks.0.0.weight", "rpn.head.bias"]
    assert network_prefixes(keys) == []


@pytest.mark.parametrize(
    "shapes",
    [
        {},
        {"fc.weight": (1000, 2048)},
        {"a.conv_offset_mask.weight": (27, 4, 3, 3)},
        {**published_shapes("yolact_base"), "proto_net.10.weight": (5000, 256, 1, 1)},
        {**published_shapes("yolact_base"), "proto_net.10.weight": ()},
        {**published_shapes("yolact_base"), "semantic_seg_conv.weight": (10**12, 256, 1, 1)},
        {**published_shapes("yolact_base"), "prediction_layers.0.bbox_layer.weight": (4, 1, 1, 1)},
    ],
    ids=[
        "empty",
        "classifier",
        "strange key",
        "5000 prototypes",
        "scalar",
        "too many classes",
        "one prior",
    ],
)
def test_other_weights_tell_nothing(shapes: dict[str, tuple[int, ...]]) -> None:
    assert config_from_shapes(shapes) is None


def test_keys_that_only_old_files_carry_are_not_of_the_network() -> None:
    keys = (
        "backbone.layers.0.0.conv1.weight",
        "backbone.layer1.0.conv1.weight",
        "fpn.downsample_layers.1.weight",
        "fpn.downsample_layers.2.weight",
        "fpn.downsample_layers.10.bias",
        "criterion.weight",
    )
    assert [key for key in keys if is_part_of_network(key)] == [keys[0], keys[2]]


def test_a_difference_names_the_first_key_of_each_kind() -> None:
    text = describe_difference(
        {"a": (1,), "b": (2,), "c": (3,)}, {"c": (4,), "d": (5,), "e": (6,)}
    )
    assert text == (
        "2 keys are missing, first a; 2 keys are unexpected, first d; "
        "1 keys have another shape, first c with [4] instead of [3]"
    )
    assert describe_difference({"a": (1,)}, {"a": (1,)}) == ""
