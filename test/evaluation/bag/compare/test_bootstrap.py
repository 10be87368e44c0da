"""Confidence intervals cover what they should, and blocks keep neighbours together."""

from __future__ import annotations

import numpy as np
import pytest

from yolact_ros.evaluation.bag.compare.bootstrap import (
    Interval,
    block_weights,
    percentile_interval,
)


def resampled(num_frames: int, length: int, times: int, random: np.random.Generator) -> np.ndarray:
    return np.stack([block_weights(num_frames, length, random) for _ in range(times)])


def interval_of_mean(values: np.ndarray, weights: np.ndarray) -> Interval:
    drawn = weights @ values / weights.sum(axis=1)
    return percentile_interval(float(values.mean()), drawn)


def test_every_resample_draws_as_many_frames_as_there_are() -> None:
    weights = resampled(50, 7, 20, np.random.default_rng(0))
    assert weights.shape == (20, 50)
    assert (weights.sum(axis=1) == 50).all()


def test_blocks_are_consecutive_frames() -> None:
    weights = resampled(60, 10, 200, np.random.default_rng(1))
    alone = (weights > 0) & (np.roll(weights, 1, 1) == 0) & (np.roll(weights, -1, 1) == 0)
    assert not alone.any()
    singles = resampled(60, 1, 200, np.random.default_rng(1))
    assert ((singles > 0) & (np.roll(singles, 1, 1) == 0) & (np.roll(singles, -1, 1) == 0)).any()


def test_the_interval_of_a_mean_covers_it_in_about_95_of_100_cases() -> None:
    random = np.random.default_rng(3)
    covered = 0
    for _ in range(100):
        values = random.normal(5.0, 2.0, 80)
        interval = interval_of_mean(values, resampled(80, 1, 300, random))
        covered += interval.low <= 5.0 <= interval.high
    assert 86 <= covered <= 100


def test_blocks_widen_the_interval_of_neighbours_that_resemble_each_other() -> None:
    random = np.random.default_rng(4)
    values = np.repeat(random.normal(0.0, 1.0, 40), 20)

    single, block = (
        interval_of_mean(values, resampled(800, length, 400, np.random.default_rng(5)))
        for length in (1, 20)
    )
    assert block.high - block.low > 2.5 * (single.high - single.low)


def test_a_statistic_without_a_value_has_no_interval() -> None:
    interval = percentile_interval(float("nan"), np.full(10, np.nan))
    assert np.isnan(interval.low)
    assert not interval.excludes_zero


@pytest.mark.parametrize(
    ("low", "high", "expected"), [(0.1, 0.2, True), (-0.2, -0.1, True), (-0.1, 0.1, False)]
)
def test_an_interval_says_whether_zero_is_outside(low: float, high: float, expected: bool) -> None:
    assert Interval(0.0, low, high).excludes_zero is expected
