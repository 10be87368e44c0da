"""The running p95 of each stage and level."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from yolact_ros.inference.quality.cost import CostModel, MaskCost, StageCost, quantile
from yolact_ros.inference.quality.levels import MaskDetail, QualityLevel, quality_levels


@given(st.lists(st.floats(0.0, 1e6), min_size=1, max_size=60), st.floats(0.01, 1.0))
def test_quantile_is_the_nearest_rank(values: list[float], q: float) -> None:
    assert quantile(values, q) == np.quantile(values, q, method="inverted_cdf")


def test_quantile_of_nothing_is_zero() -> None:
    assert quantile([], 0.95) == 0.0


def test_one_costly_frame_counts_at_once_and_is_forgotten_after_two_more() -> None:
    cost = StageCost()
    for index in range(24):
        cost.observe(550, index * 33.0, 1.0)
    cost.observe(550, 800.0, 3.0)
    assert cost.ratio_p95(550) == 3.0
    cost.observe(550, 833.0, 1.0)
    assert cost.ratio_p95(550) == 3.0
    cost.observe(550, 866.0, 1.0)
    assert cost.ratio_p95(550) == 1.0


def test_a_size_out_of_use_counts_the_frames_of_all_and_the_one_in_use_its_own() -> None:
    cost = StageCost()
    for index in range(10):
        cost.observe(550, index * 33.0, 2.0)
    for index in range(10, 13):
        cost.observe(300, index * 33.0, 1.0)
    assert cost.ratio_p95(300) == 1.0
    assert cost.ratio_p95(550) == 2.0


def test_two_costly_frames_are_remembered_for_the_window() -> None:
    cost = StageCost()
    for index in range(24):
        cost.observe(550, index * 33.0, 1.0)
    for at_ms in (800.0, 833.0):
        cost.observe(550, at_ms, 2.0)
    for index in range(20):
        cost.observe(550, 866.0 + index * 33.0, 1.0)
    assert cost.ratio_p95(550) == 2.0
    cost.observe(550, 1700.0, 1.0)
    assert cost.ratio_p95(550) == 1.0


def test_at_a_low_rate_the_last_six_frames_are_kept() -> None:
    cost = StageCost()
    for index in range(10):
        cost.observe(550, index * 1000.0, 4.0 if index < 5 else 1.0)
    assert cost.slowdown() == 1.0
    assert cost.ratio_p95(550) == 4.0


def test_a_warm_up_under_load_is_corrected_for_its_size_alone() -> None:
    costs = CostModel()
    costs.seed_network(550, 40.0)
    costs.seed_network(300, 8.0)
    for index in range(20):
        costs.observe_network(550, index * 33.0, 20.0)
    assert costs.network_ms(550) == pytest.approx(20.0)
    assert costs.network_ms(300) == pytest.approx(8.0)


def test_a_few_fast_frames_do_not_correct_the_warm_up() -> None:
    costs = CostModel()
    costs.seed_network(550, 40.0)
    costs.seed_network(300, 10.0)
    for index in range(5):
        costs.observe_network(550, index * 33.0, 20.0)
    assert costs.network_ms(300) == pytest.approx(5.0)


@pytest.mark.parametrize(
    ("seeds_ms", "believed_ms"),
    [
        ({320: 20.0, 256: 13.0, 192: 8.0}, {320: 20.0, 256: 13.0, 192: 8.0}),
        # A size that kernels do not like is believed.
        ({320: 24.4, 300: 38.5}, {320: 24.4, 300: 38.5}),
        # A load came while one size was measured: the largest, the middle, the smallest.
        ({320: 100.0, 256: 13.0, 192: 8.0}, {320: 13.0 * 1.5625 * 1.6}),
        ({320: 20.0, 256: 65.0, 192: 8.0}, {256: 8.0 * (256 / 192) ** 2 * 1.6}),
        ({320: 20.0, 256: 13.0, 192: 40.0}, {192: 13.0 * 1.6}),
    ],
)
def test_a_size_costs_no_more_than_the_others_allow(
    seeds_ms: dict[int, float], believed_ms: dict[int, float]
) -> None:
    costs = CostModel()
    for size_px, cost_ms in seeds_ms.items():
        costs.seed_network(size_px, cost_ms)
    for size_px, cost_ms in believed_ms.items():
        assert costs.network_ms(size_px) == pytest.approx(cost_ms)


def test_masks_cost_by_instance_and_detail() -> None:
    costs = CostModel()
    costs.seed_network(550, 20.0)
    costs.seed_masks(MaskDetail.FULL, MaskCost(1.0, 0.5))
    costs.seed_masks(MaskDetail.NONE, MaskCost(0.5, 0.0))
    assert costs.level_ms(QualityLevel(550, 15, MaskDetail.FULL), 4) == pytest.approx(23.0)
    assert costs.level_ms(QualityLevel(550, 2, MaskDetail.FULL), 4) == pytest.approx(22.0)
    assert costs.level_ms(QualityLevel(550, 15, MaskDetail.NONE), 4) == pytest.approx(20.5)


def test_slow_masks_say_nothing_about_the_network() -> None:
    costs = CostModel()
    costs.seed_network(550, 20.0)
    costs.observe_masks(MaskDetail.FULL, 10, 0.0, 100.0)
    assert costs.network_ms(550) == 20.0
    assert costs.masks_ms(MaskDetail.FULL, 10) == pytest.approx(100.0)


def test_the_first_observation_stands_in_for_a_warm_up() -> None:
    costs = CostModel()
    assert costs.network_ms(550) == 0.0
    costs.observe_network(550, 0.0, 30.0)
    assert costs.network_ms(550) == pytest.approx(30.0)
    assert costs.network_ms(275) == pytest.approx(7.5)


def test_a_batch_that_saves_less_than_a_tenth_does_not_pay() -> None:
    costs = CostModel()
    assert not costs.seed_batch(550, 2, 1.85)
    assert costs.batch_cost(550, 2) == 2.0
    assert costs.seed_batch(550, 2, 1.5)
    assert costs.batch_cost(550, 2) == 1.5


def test_a_batch_never_costs_less_than_one_of_its_frames() -> None:
    costs = CostModel()
    costs.seed_batch(550, 2, 0.6)  # measured while another load went
    assert costs.batch_cost(550, 2) == 1.0


def test_the_best_batch_pays_at_every_input_size_and_leaves_the_rest_single() -> None:
    costs = CostModel()
    levels = quality_levels([550, 400], 15)
    assert costs.best_batch(levels, 3) == (1, 3.0)
    costs.seed_batch(550, 2, 1.5)
    assert costs.best_batch(levels, 2) == (1, 2.0)
    costs.seed_batch(400, 2, 1.2)
    costs.seed_batch(400, 3, 1.25)
    assert costs.best_batch(levels, 1) == (1, 1.0)
    assert costs.best_batch(levels, 2) == (2, 1.5)
    assert costs.best_batch(levels, 4) == (2, 3.5)
    assert costs.best_batch(quality_levels([400], 15), 4) == (3, 2.25)
