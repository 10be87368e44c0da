"""The quality ladder and its degradation bits."""

from __future__ import annotations

import pytest

from yolact_ros.errors import ConfigError
from yolact_ros.inference.ladder import Degradation, MaskDetail, QualityLadder, Rung


def test_resolution_goes_before_mask_detail_and_masks_go_last() -> None:
    assert QualityLadder.from_settings([550, 400], 15).rungs == (
        Rung(550, 15, MaskDetail.FULL),
        Rung(400, 15, MaskDetail.FULL),
        Rung(400, 15, MaskDetail.COARSE),
        Rung(400, 15, MaskDetail.NONE),
    )


def test_without_masks_only_the_sizes_are_rungs_and_boxes_are_no_degradation() -> None:
    ladder = QualityLadder.from_settings([550, 400], 15, masks=False)
    assert len(ladder) == 2
    best = ladder.rungs[0]
    assert ladder.degradation(best, MaskDetail.NONE, instances_cut=False) is Degradation.NONE


@pytest.mark.parametrize("sizes_px", [[], [400, 550], [550, 550], [0], [-300]])
def test_bad_sizes_are_refused(sizes_px: list[int]) -> None:
    with pytest.raises(ConfigError, match=r"quality ladder|input_size is \["):
        QualityLadder.from_settings(sizes_px, 15, masks=False)


@pytest.mark.parametrize(
    "second",
    [
        Rung(400, 15, MaskDetail.COARSE),
        Rung(400, 16, MaskDetail.NONE),
        Rung(400, 10, MaskDetail.FULL),
        Rung(550, 10, MaskDetail.COARSE),
    ],
)
def test_a_rung_that_is_in_anything_dearer_than_the_one_before_is_refused(second: Rung) -> None:
    first = Rung(400, 15, MaskDetail.COARSE)
    QualityLadder((first, Rung(400, 15, MaskDetail.NONE)))
    with pytest.raises(ConfigError, match="expected the best rung first"):
        QualityLadder((first, second))


def test_a_top_k_of_zero_is_refused() -> None:
    with pytest.raises(ConfigError, match="quality ladder"):
        QualityLadder.from_settings([550], 0)


def test_degradation_bits_are_those_of_the_message() -> None:
    ladder = QualityLadder.from_settings([550, 400], 15)
    cheapest = ladder.rungs[-1]
    assert ladder.degradation(ladder.rungs[0], MaskDetail.FULL, instances_cut=False) == 0
    assert ladder.degradation(ladder.rungs[1], MaskDetail.FULL, instances_cut=False) == 1
    assert ladder.degradation(ladder.rungs[0], MaskDetail.FULL, instances_cut=True) == 2
    assert ladder.degradation(ladder.rungs[0], MaskDetail.COARSE, instances_cut=False) == 4
    assert ladder.degradation(cheapest, MaskDetail.NONE, instances_cut=True) == 1 + 2 + 8
