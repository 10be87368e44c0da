"""The frame budget, decision by decision."""

from __future__ import annotations

import pytest
from budgets import LEVELS, NETWORK_MS, make_budget, run_frame, run_steadily

from yolact_ros.inference.quality.budget import FrameBudget
from yolact_ros.inference.quality.levels import Degradation, quality_levels
from yolact_ros.inference.quality.plan import FrameOutcome, OverrunPolicy


def test_a_frame_in_time_gives_nothing_up() -> None:
    size_px, outcome = run_frame(make_budget(), 100.0, network_ms=24.0, masks_ms=2.0, wait_ms=3.0)
    assert size_px == 550
    assert outcome == FrameOutcome(True, True, Degradation.NONE, 33.3, pytest.approx(29.0), 0.0)


def test_a_late_frame_is_published_and_says_by_how_much() -> None:
    _, outcome = run_frame(make_budget(), 100.0, network_ms=40.0, masks_ms=2.0)
    assert outcome.publish
    assert not outcome.deadline_met
    assert outcome.lateness_ms == pytest.approx(42.0 - 33.3)


def test_the_deadline_counts_from_reception_not_from_the_start_of_work() -> None:
    _, outcome = run_frame(make_budget(), 100.0, network_ms=24.0, masks_ms=2.0, wait_ms=8.0)
    assert not outcome.deadline_met
    assert outcome.lateness_ms == pytest.approx(34.0 - 33.3)


def test_the_policy_drop_drops_a_late_frame() -> None:
    budget = make_budget(policy=OverrunPolicy.DROP)
    _, outcome = run_frame(budget, 100.0, network_ms=33.0, masks_ms=2.0)
    assert not outcome.publish


def test_the_policy_drop_saves_the_masks_of_a_frame_that_is_late_already() -> None:
    budget = make_budget(policy=OverrunPolicy.DROP)
    budget.begin(100.0, 100.0)
    assert not budget.after_inference(134.0, 5).run
    assert budget.begin(140.0, 140.0).run


@pytest.mark.parametrize("network_ms", [1.0, 900.0])
def test_without_a_budget_every_frame_is_at_the_best_level_and_in_time(network_ms: float) -> None:
    budget = make_budget(budget_ms=0.0)
    for index in range(5):
        size_px, outcome = run_frame(budget, index * 1000.0, network_ms=network_ms, found=50)
        assert size_px == 550
        assert outcome.deadline_met
        assert outcome.lateness_ms == 0.0
        assert outcome.degradation is Degradation.NONE


def test_the_frame_after_a_step_up_uses_a_level_that_fits() -> None:
    budget = make_budget()
    run_steadily(budget, 0.0, 30, slowdown=1.0)
    _, outcome = run_frame(budget, 1000.0, network_ms=48.0)
    assert not outcome.deadline_met
    size_px, outcome = run_frame(budget, 1066.0, network_ms=26.0)
    assert size_px == 400
    assert outcome.deadline_met
    assert outcome.degradation == Degradation.INPUT


def test_a_frame_that_is_late_already_is_no_reason_for_a_better_level() -> None:
    budget = make_budget(budget_ms=16.0)
    assert run_steadily(budget, 0.0, 2, slowdown=1.0)[-1] == 400
    budget.set_budget(33.3)
    assert budget.begin(1000.0, 1000.0 - 40.0).level == LEVELS[-1]


def test_a_spike_is_forgotten_within_half_a_second() -> None:
    budget = make_budget()
    run_steadily(budget, 0.0, 30, slowdown=1.0)
    run_frame(budget, 1000.0, network_ms=48.0)
    sizes_px = run_steadily(budget, 1066.0, 15, slowdown=1.0)
    assert sizes_px[0] < 550
    assert sizes_px[-1] == 550


def test_unvisited_levels_cost_as_much_more_as_the_visited_one() -> None:
    budget = make_budget()
    run_steadily(budget, 0.0, 10, slowdown=1.3)
    assert budget.costs.network_ms(300) == pytest.approx(8.0 * 1.3)


def test_a_size_never_seeded_is_scaled_by_its_area() -> None:
    budget = FrameBudget(LEVELS, 33.3)
    budget.costs.seed_network(400, 16.0)
    assert budget.costs.network_ms(300) == pytest.approx(9.0)


def test_a_load_while_the_best_size_was_measured_does_not_keep_it_out_of_use() -> None:
    budget = make_budget()
    budget.costs.seed_network(550, 5 * NETWORK_MS[550])
    assert 550 in run_steadily(budget, 0.0, 200, 1.0)


def test_work_begins_at_the_best_level_when_no_cost_is_known() -> None:
    assert FrameBudget(LEVELS, 33.3).begin(0.0, 0.0).level == LEVELS[0]


def test_a_barred_size_and_larger_ones_are_left_alone_for_the_time() -> None:
    budget = make_budget(budget_ms=100.0)
    budget.begin(0.0, 0.0)
    budget.abandon(1.0, bar_input_for_ms=5000.0)
    assert budget.begin(33.0, 33.0).level.input_size_px == 400
    budget.abandon(34.0, bar_input_for_ms=5000.0)
    assert budget.begin(66.0, 66.0).level.input_size_px == 300
    budget.abandon(67.0)
    assert budget.begin(6000.0, 6000.0).level.input_size_px == 550


def test_a_size_larger_than_one_that_failed_is_barred_unseen() -> None:
    budget = make_budget(budget_ms=16.0)
    assert run_steadily(budget, 0.0, 2, slowdown=1.0)[-1] == 400
    budget.begin(100.0, 100.0)
    budget.abandon(101.0, bar_input_for_ms=5000.0)
    budget.set_budget(100.0)
    assert run_steadily(budget, 200.0, 60, slowdown=1.0)[-1] == 300


def test_a_size_is_barred_without_a_budget_too() -> None:
    budget = make_budget(budget_ms=0.0)
    budget.begin(0.0, 0.0)
    budget.abandon(1.0, bar_input_for_ms=5000.0)
    assert budget.begin(33.0, 33.0).level.input_size_px == 400
    assert budget.begin(6000.0, 6000.0).level.input_size_px == 550


def test_the_smallest_size_is_never_barred() -> None:
    budget = make_budget(levels=quality_levels([550], 15), budget_ms=100.0)
    budget.begin(0.0, 0.0)
    budget.abandon(1.0, bar_input_for_ms=5000.0)
    assert budget.begin(33.0, 33.0).level.input_size_px == 550


def test_a_frame_left_open_is_closed_when_the_next_begins() -> None:
    budget = make_budget()
    budget.begin(0.0, 0.0)
    budget.begin(33.0, 33.0)
    budget.after_inference(57.0, 1)
    assert budget.finish(58.0).total_ms == pytest.approx(25.0)


def test_a_clock_that_jumps_back_harms_nothing() -> None:
    budget = make_budget()
    run_frame(budget, 5000.0, network_ms=24.0)
    plan = budget.begin(100.0, 4000.0)
    assert plan.wait_ms == 0.0
    budget.after_inference(90.0, 3)
    assert budget.finish(80.0).total_ms == 0.0


def test_calls_out_of_order_say_so() -> None:
    budget = make_budget()
    with pytest.raises(RuntimeError, match="call begin first"):
        budget.after_inference(0.0, 0)
    budget.begin(0.0, 0.0)
    with pytest.raises(RuntimeError, match="call after_inference"):
        budget.finish(1.0)
