"""Budgets and levels that change while frames come."""

from __future__ import annotations

import pytest
from budgets import make_budget, run_steadily

from yolact_ros.errors import ConfigError
from yolact_ros.inference.quality.levels import Degradation, quality_levels


def test_a_smaller_budget_takes_effect_with_the_next_frame() -> None:
    budget = make_budget()
    run_steadily(budget, 0.0, 10, slowdown=1.0)
    budget.set_budget(16.0)
    assert budget.begin(1000.0, 1000.0).level.input_size_px == 400


def test_a_frame_is_held_to_the_budget_it_began_with() -> None:
    budget = make_budget(budget_ms=100.0)
    budget.begin(0.0, 0.0)
    budget.set_budget(5.0)
    budget.set_levels(quality_levels([700, 550], 15))
    budget.after_inference(24.0, 1)
    outcome = budget.finish(26.0)
    assert outcome.deadline_met
    assert outcome.budget_ms == 100.0
    assert outcome.degradation is Degradation.NONE


def test_a_larger_budget_brings_quality_back_within_two_seconds() -> None:
    budget = make_budget(budget_ms=16.0)
    assert run_steadily(budget, 0.0, 10, slowdown=1.0)[-1] == 400
    budget.set_budget(33.3)
    assert run_steadily(budget, 400.0, 60, slowdown=1.0)[-1] == 550


@pytest.mark.parametrize("bad", [-1.0, float("nan"), float("inf")])
def test_a_bad_budget_is_refused_and_the_old_one_stays(bad: float) -> None:
    budget = make_budget()
    with pytest.raises(ConfigError, match="frame_budget_ms"):
        budget.set_budget(bad)
    assert budget.budget_ms == 33.3


def test_new_levels_keeps_the_size_in_use() -> None:
    budget = make_budget(budget_ms=16.0)
    run_steadily(budget, 0.0, 10, slowdown=1.0)
    budget.set_levels(quality_levels([700, 400], 15))
    assert budget.level.input_size_px == 400
    assert budget.begin(1000.0, 1000.0).level.input_size_px == 400


def test_new_levels_without_the_size_in_use_starts_at_its_best_level_that_fits() -> None:
    budget = make_budget(budget_ms=16.0)
    run_steadily(budget, 0.0, 10, slowdown=1.0)
    budget.costs.seed_network(320, 9.0)
    budget.set_levels(quality_levels([700, 320], 15))
    assert budget.begin(1000.0, 1000.0).level.input_size_px == 320
