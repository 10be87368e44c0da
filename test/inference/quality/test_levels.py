"""Quality levels and the degradation bits."""

from __future__ import annotations

import pytest

from yolact_ros.errors import ConfigError
from yolact_ros.inference.quality.levels import (
    Degradation,
    MaskDetail,
    QualityLevel,
    degradation,
    quality_levels,
)


def test_resolution_goes_before_mask_detail_and_masks_go_last() -> None:
    assert quality_levels([550, 400], 15) == (
        QualityLevel(550, 15, MaskDetail.FULL),
        QualityLevel(400, 15, MaskDetail.FULL),
        QualityLevel(400, 15, MaskDetail.COARSE),
        QualityLevel(400, 15, MaskDetail.NONE),
    )


def test_without_masks_only_the_sizes_are_levels_and_boxes_are_no_degradation() -> None:
    levels = quality_levels([550, 400], 15, masks=False)
    assert len(levels) == 2
    best = levels[0]
    assert degradation(levels[0], best, MaskDetail.NONE, instances_cut=False) is Degradation.NONE


@pytest.mark.parametrize("sizes_px", [[400, 550], [550, 550]])
def test_bad_sizes_are_refused(sizes_px: list[int]) -> None:
    with pytest.raises(ConfigError, match=r"input_size is \["):
        quality_levels(sizes_px, 15, masks=False)


def test_degradation_bits_are_those_of_the_message() -> None:
    levels = quality_levels([550, 400], 15)
    cheapest = levels[-1]
    assert degradation(levels[0], levels[0], MaskDetail.FULL, instances_cut=False) == 0
    assert degradation(levels[0], levels[1], MaskDetail.FULL, instances_cut=False) == 1
    assert degradation(levels[0], levels[0], MaskDetail.FULL, instances_cut=True) == 2
    assert degradation(levels[0], levels[0], MaskDetail.COARSE, instances_cut=False) == 4
    assert degradation(levels[0], cheapest, MaskDetail.NONE, instances_cut=True) == 1 + 2 + 8
