from __future__ import annotations

import math

import golden_recipe
import numpy as np
import pytest
from golden_networks import PUBLISHED, recorded_json

from yolact_ros.config import YolactConfig, variant
from yolact_ros.ops.priors import feature_sizes_px, make_priors


def counted_priors(config: YolactConfig) -> list[list[float]]:
    """All priors, one by one."""
    rows = []
    side = config.input_size_px
    for size, scales in zip(feature_sizes_px(side), config.scaled_prior_scales_px, strict=True):
        for row in range(size):
            for column in range(size):
                for scale in scales:
                    for ratio in config.prior_ratios:
                        width = scale * math.sqrt(ratio) / side
                        height = scale / math.sqrt(ratio) / side
                        if config.square_priors:
                            height = width
                        rows.append([(column + 0.5) / size, (row + 0.5) / size, width, height])
    return rows


@pytest.mark.parametrize("name", PUBLISHED)
def test_priors_are_the_published_ones_bit_by_bit(name: str) -> None:
    recorded = recorded_json("anchors.json")[name]
    priors = make_priors(variant(name)).numpy()
    assert priors.shape == (recorded["total"], 4)
    assert golden_recipe.checksum(priors) == recorded["crc32_float32"]
    np.testing.assert_array_equal(priors[:10], np.float32(recorded["first_rows"]))


@pytest.mark.parametrize("name", PUBLISHED)
def test_feature_sizes_are_the_published_ones(name: str) -> None:
    recorded = recorded_json("anchors.json")[name]["feature_sizes"]
    sizes = feature_sizes_px(variant(name).input_size_px)
    assert [[size, size] for size in sizes] == recorded


@pytest.mark.parametrize(
    "config",
    [
        variant("yolact_light"),
        variant("yolact_resnet50_pascal", input_size_px=129),
        variant("yolact_plus_base", input_size_px=200),
        variant("yolact_base", input_size_px=64),
    ],
    ids=lambda config: f"{config.name}-{config.input_size_px}",
)
def test_priors_are_ordered_by_level_row_column_scale_and_ratio(config: YolactConfig) -> None:
    expected = np.array(counted_priors(config)).astype(np.float32)
    np.testing.assert_array_equal(make_priors(config).numpy(), expected)


@pytest.mark.parametrize(
    ("input_size_px", "expected"),
    [
        (64, (8, 4, 2, 1, 1)),
        (320, (40, 20, 10, 5, 3)),
        (550, (69, 35, 18, 9, 5)),
        (2048, (256, 128, 64, 32, 16)),
    ],
)
def test_each_level_is_half_of_the_one_below_rounded_up(
    input_size_px: int, expected: tuple[int, ...]
) -> None:
    assert feature_sizes_px(input_size_px) == expected
