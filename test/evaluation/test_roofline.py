"""Operations and bytes by shapes: against the recorded counts, and the limits that follow."""

from __future__ import annotations

import pytest
from golden_networks import PUBLISHED, recorded_json
from roofline import LayerCost, Peak, count_layers, group_layers, limit_ms

from yolact_ros.config import variant

H200 = Peak(tflops=790, terabytes_per_s=4.3)


@pytest.mark.parametrize("name", [name for name in PUBLISHED if "plus" not in name])
def test_multiply_adds_are_those_recorded_from_the_reference(name: str) -> None:
    recorded = recorded_json("macs.json")[name]["gmacs"]
    gmacs: dict[str, float] = {"backbone": 0, "pyramid": 0, "protonet": 0, "heads": 0}
    for layer in count_layers(variant(name)):
        gmacs[layer.group.split(" ")[0]] += layer.flops / 2e9
    expected = [recorded[part] for part in ("backbone", "fpn", "proto", "heads")]
    assert list(gmacs.values()) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "expected_ms"), [("yolact_resnet50", 0.18), ("yolact_base", 0.24)]
)
def test_the_limits_on_an_h200_are_those_of_the_layer_shapes(
    name: str, expected_ms: float
) -> None:
    assert round(limit_ms(count_layers(variant(name)), H200), 2) == expected_ms


def test_the_first_layer_is_counted_as_by_hand() -> None:
    stem = count_layers(variant("yolact_resnet50"))[0]
    outputs = 64 * 275 * 275
    assert stem == LayerCost(
        "backbone.conv1",
        "backbone",
        flops=2 * outputs * 3 * 7 * 7,
        num_bytes=2 * (3 * 550 * 550 + 64 * 3 * 7 * 7 + outputs),
    )


def test_a_layer_is_bound_by_the_slower_of_operations_and_bytes() -> None:
    peak = Peak(tflops=1, terabytes_per_s=2)
    assert limit_ms([LayerCost("a", "g", int(3e9), 10)], peak) == pytest.approx(3.0)
    assert limit_ms([LayerCost("a", "g", 10, int(3e9))], peak) == pytest.approx(1.5)


def test_every_part_of_the_network_is_a_group() -> None:
    groups = group_layers(count_layers(variant("yolact_plus_resnet50")))
    stages = [f"backbone stage {number}" for number in (1, 2, 3, 4)]
    assert list(groups) == ["backbone", *stages, "pyramid", "heads", "protonet"]
    assert len(groups["heads"]) == 5 * 4
