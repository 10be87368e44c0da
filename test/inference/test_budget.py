"""The frame budget, decision by decision."""

from __future__ import annotations

import pytest

from yolact_ros.errors import ConfigError
from yolact_ros.inference.budget import FrameBudget
from yolact_ros.inference.cost import MaskCost
from yolact_ros.inference.frame_plan import FrameOutcome, OverrunPolicy
from yolact_ros.inference.frame_statistics import DropCause
from yolact_ros.inference.ladder import Degradation, MaskDetail, QualityLadder

NETWORK_MS = {550: 24.0, 400: 13.0, 300: 8.0}
LADDER = QualityLadder.from_settings([550, 400, 300], 15)


def make_budget(
    budget_ms: float = 33.3,
    policy: OverrunPolicy = OverrunPolicy.PUBLISH,
    ladder: QualityLadder = LADDER,
) -> FrameBudget:
    budget = FrameBudget(ladder, budget_ms, policy)
    for size_px, cost_ms in NETWORK_MS.items():
        budget.costs.seed_network(size_px, cost_ms)
    budget.costs.seed_masks(MaskDetail.FULL, MaskCost(1.0, 0.5))
    budget.costs.seed_masks(MaskDetail.COARSE, MaskCost(1.0, 0.1))
    budget.costs.seed_masks(MaskDetail.NONE, MaskCost(0.5, 0.0))
    return budget


def batching_budget(worth: float, budget_ms: float = 33.3) -> FrameBudget:
    budget = make_budget(budget_ms)
    for size_px in NETWORK_MS:
        assert budget.costs.seed_batch(size_px, 2, worth)
    return budget


def run_frame(
    budget: FrameBudget,
    begun_ms: float,
    *,
    network_ms: float,
    masks_ms: float = 1.0,
    wait_ms: float = 0.0,
    found: int = 1,
) -> tuple[int, FrameOutcome]:
    plan = budget.begin(begun_ms, begun_ms - wait_ms)
    assert plan.run
    budget.after_inference(begun_ms + network_ms, found)
    return plan.rung.input_size_px, budget.finish(begun_ms + network_ms + masks_ms)


def run_steadily(budget: FrameBudget, start_ms: float, frames: int, slowdown: float) -> list[int]:
    sizes_px = []
    for index in range(frames):
        at_ms = start_ms + index * 33.3
        cost_ms = NETWORK_MS[budget.begin(at_ms, at_ms).rung.input_size_px] * slowdown
        sizes_px.append(budget.rung.input_size_px)
        budget.after_inference(at_ms + cost_ms, 1)
        budget.finish(at_ms + cost_ms + 1.0)
    return sizes_px


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


def test_the_policy_drop_drops_a_late_frame_and_counts_it() -> None:
    budget = make_budget(policy=OverrunPolicy.DROP)
    _, outcome = run_frame(budget, 100.0, network_ms=33.0, masks_ms=2.0)
    assert not outcome.publish
    assert budget.statistics().drops[DropCause.LATE] == 1


def test_the_policy_drop_saves_the_masks_of_a_frame_that_is_late_already() -> None:
    budget = make_budget(policy=OverrunPolicy.DROP)
    budget.begin(100.0, 100.0)
    assert not budget.after_inference(134.0, 5).run
    assert budget.statistics().drops[DropCause.LATE] == 1
    assert budget.begin(140.0, 140.0).run


def test_without_a_budget_every_frame_is_at_the_best_rung_and_in_time() -> None:
    budget = make_budget(budget_ms=0.0)
    for index in range(5):
        size_px, outcome = run_frame(budget, index * 1000.0, network_ms=900.0, found=50)
        assert size_px == 550
        assert outcome.deadline_met
        assert outcome.lateness_ms == 0.0
        assert outcome.degradation is Degradation.NONE


def test_the_frame_after_a_step_up_uses_a_rung_that_fits() -> None:
    budget = make_budget()
    run_steadily(budget, 0.0, 30, slowdown=1.0)
    _, outcome = run_frame(budget, 1000.0, network_ms=48.0)
    assert not outcome.deadline_met
    size_px, outcome = run_frame(budget, 1066.0, network_ms=26.0)
    assert size_px == 400
    assert outcome.deadline_met
    assert outcome.degradation == Degradation.INPUT


def test_a_spike_is_forgotten_within_half_a_second() -> None:
    budget = make_budget()
    run_steadily(budget, 0.0, 30, slowdown=1.0)
    run_frame(budget, 1000.0, network_ms=48.0)
    sizes_px = run_steadily(budget, 1066.0, 15, slowdown=1.0)
    assert sizes_px[0] < 550
    assert sizes_px[-1] == 550


def test_unvisited_rungs_cost_as_much_more_as_the_visited_one() -> None:
    budget = make_budget()
    run_steadily(budget, 0.0, 10, slowdown=1.3)
    assert budget.costs.network_ms(300) == pytest.approx(8.0 * 1.3)


def test_a_size_never_seeded_is_scaled_by_its_area() -> None:
    budget = FrameBudget(LADDER, 33.3)
    budget.costs.seed_network(400, 16.0)
    assert budget.costs.network_ms(300) == pytest.approx(9.0)


def test_a_load_while_the_best_size_was_measured_does_not_keep_it_out_of_use() -> None:
    budget = make_budget()
    budget.costs.seed_network(550, 5 * NETWORK_MS[550])
    assert 550 in run_steadily(budget, 0.0, 200, 1.0)


def test_work_begins_at_the_best_rung_when_no_cost_is_known() -> None:
    assert FrameBudget(LADDER, 33.3).begin(0.0, 0.0).rung == LADDER.rungs[0]


def test_instances_are_cut_before_mask_detail() -> None:
    budget = make_budget()
    budget.begin(100.0, 100.0)
    plan = budget.after_inference(100.0 + 33.3 - 5.1, 15)
    assert plan.mask_detail is MaskDetail.FULL
    assert plan.max_instances == 8  # 1 + 8 * 0.5 ms
    outcome = budget.finish(133.2)
    assert outcome.degradation == Degradation.INSTANCES


def test_mask_detail_is_cut_before_masks() -> None:
    budget = make_budget()
    budget.begin(100.0, 100.0)
    plan = budget.after_inference(100.0 + 33.3 - 2.6, 15)
    assert (plan.max_instances, plan.mask_detail) == (15, MaskDetail.COARSE)
    assert budget.finish(133.2).degradation == Degradation.MASKS


def test_masks_are_given_up_when_only_boxes_are_in_time() -> None:
    budget = make_budget()
    budget.begin(100.0, 100.0)
    plan = budget.after_inference(100.0 + 33.3 - 0.6, 15)
    assert (plan.max_instances, plan.mask_detail) == (15, MaskDetail.NONE)
    assert budget.finish(133.2).degradation == Degradation.BOXES


def test_a_frame_without_instances_is_not_degraded() -> None:
    budget = make_budget()
    budget.begin(100.0, 100.0)
    assert budget.after_inference(132.0, 0).mask_detail is MaskDetail.FULL
    assert budget.finish(132.5).degradation is Degradation.NONE


def test_more_than_top_k_found_is_not_a_degradation() -> None:
    budget = make_budget()
    budget.begin(100.0, 100.0)
    assert budget.after_inference(115.0, 60).max_instances == 15
    assert budget.finish(124.0).degradation is Degradation.NONE


def test_a_hopeless_frame_keeps_the_masks_that_cost_next_to_nothing() -> None:
    budget = make_budget(budget_ms=5.0)
    run_steadily(budget, 0.0, 5, slowdown=6.0)
    plan = budget.begin(1000.0, 1000.0)
    assert plan.rung.input_size_px == 300
    masks = budget.after_inference(1080.0, 3)
    assert masks.mask_detail is MaskDetail.FULL
    outcome = budget.finish(1082.0)
    assert outcome.degradation == Degradation.INPUT
    assert not outcome.deadline_met


def test_a_hopeless_frame_gives_up_masks_that_would_make_it_much_later() -> None:
    budget = make_budget(budget_ms=5.0)
    budget.begin(1000.0, 1000.0)
    assert budget.after_inference(1006.0, 15).mask_detail is MaskDetail.NONE


def test_a_frame_that_waited_too_long_gives_way_to_one_that_is_due() -> None:
    budget = make_budget()
    for index in range(4):
        run_frame(budget, index * 16.7 * 2, network_ms=24.0)
    plan = budget.begin(116.0, 100.2)
    assert not plan.run
    assert budget.statistics().drops[DropCause.GAVE_WAY] == 1


def test_two_frames_never_give_way_in_a_row() -> None:
    budget = make_budget()
    for index in range(4):
        run_frame(budget, index * 33.4, network_ms=24.0)
    assert not budget.begin(160.0, 133.6).run
    assert budget.begin(193.4, 167.0).run


def test_a_frame_does_not_give_way_while_another_camera_waits() -> None:
    budget = make_budget()
    for index in range(4):
        run_frame(budget, index * 33.4, network_ms=24.0)
    assert budget.begin(160.0, 133.6, queued=1).run


def test_the_time_is_shared_with_the_other_cameras_that_wait() -> None:
    budget = make_budget()
    assert budget.begin(0.0, 0.0, source="left", queued=1).rung.input_size_px == 400


def test_a_batch_that_fits_takes_a_better_rung_than_frames_one_by_one() -> None:
    budget = make_budget()
    budget.begin(0.0, 0.0, source="left", queued=1)
    assert budget.rung.input_size_px == 400
    budget = batching_budget(1.2)
    plan = budget.begin(0.0, 0.0, source="left", queued=1)
    assert (plan.together, plan.rung.input_size_px) == (2, 550)  # 24 * 1.2 + 2 * 1 ms


def test_a_batch_that_does_not_fit_the_first_deadline_takes_a_rung_that_does() -> None:
    budget = batching_budget(1.6)
    plan = budget.begin(0.0, 0.0, source="left", queued=1)
    assert (plan.together, plan.rung.input_size_px) == (2, 400)
    budget.abandon(0.0)
    plan = budget.begin(1000.0, 1000.0 - 26.0, source="left", queued=1)
    assert (plan.together, plan.rung.input_size_px) == (1, 300)


def test_frames_alone_are_not_batched() -> None:
    assert batching_budget(1.2).begin(0.0, 0.0).together == 1


def test_without_a_budget_batches_are_used_wherever_they_pay() -> None:
    budget = batching_budget(1.7, budget_ms=0.0)
    plan = budget.begin(0.0, 0.0, queued=1)
    assert (plan.together, plan.rung.input_size_px) == (2, 550)


def test_every_frame_of_a_batch_has_its_own_times_and_outcome() -> None:
    budget = batching_budget(1.2)
    first = budget.begin(100.0, 95.0, source="left", queued=1)
    second = budget.join(101.0, 99.0, source="right", replaced=2)
    assert (first.wait_ms, second.wait_ms) == (5.0, 2.0)
    assert second.rung == first.rung
    budget.run_network(102.0)
    for finished_ms, met in ((127.0, True), (133.0, False)):
        masks = budget.after_inference(finished_ms - 1.0, 1)
        assert masks.run
        outcome = budget.finish(finished_ms)
        assert outcome.deadline_met is met
    assert outcome.total_ms == pytest.approx(34.0)
    summary = budget.statistics()
    assert (summary.frames_finished, summary.frames_missed) == (2, 1)
    assert summary.drops[DropCause.REPLACED] == 2


def test_the_run_of_a_batch_is_not_taken_for_the_cost_of_a_frame() -> None:
    budget = batching_budget(1.5, budget_ms=100.0)
    for index in range(30):
        at_ms = 200.0 * index
        budget.begin(at_ms, at_ms, queued=1)
        budget.join(at_ms, at_ms)
        budget.run_network(at_ms + 4.0)  # 2 ms of decoding each
        for _ in range(2):
            budget.after_inference(at_ms + 4.0 + 1.5 * 22.0, 1)
            budget.finish(at_ms + 40.0)
    assert budget.costs.network_ms(550) == pytest.approx(24.0)


def test_the_time_left_for_masks_is_shared_by_the_frames_of_a_batch() -> None:
    budget = batching_budget(1.2)
    budget.begin(100.0, 100.0, queued=1)
    budget.join(100.0, 100.0)
    budget.run_network(100.0)
    masks = budget.after_inference(100.0 + 33.3 - 10.2, 15)
    assert masks.max_instances == 8  # 1 + 8 * 0.5 ms in half of 10.2 ms
    budget.finish(128.1)
    assert budget.after_inference(128.1, 15).max_instances == 8


def test_a_frame_of_a_batch_can_fail_alone() -> None:
    budget = batching_budget(1.2)
    budget.begin(100.0, 100.0, queued=2)
    broken = budget.join(101.0, 100.0)
    budget.abandon(101.0, broken)
    budget.join(101.0, 98.0)
    budget.run_network(102.0)
    totals_ms = []
    for finished_ms in (126.0, 127.0):
        budget.after_inference(finished_ms, 0)
        totals_ms.append(budget.finish(finished_ms).total_ms)
    budget.abandon(128.0, broken)
    assert totals_ms == [26.0, 29.0]
    assert budget.statistics().drops[DropCause.FAILED] == 1


def test_a_barred_size_and_larger_ones_are_left_alone_for_the_time() -> None:
    budget = make_budget(budget_ms=100.0)
    budget.begin(0.0, 0.0)
    budget.abandon(1.0, bar_input_for_ms=5000.0)
    assert budget.begin(33.0, 33.0).rung.input_size_px == 400
    budget.abandon(34.0, bar_input_for_ms=5000.0)
    assert budget.begin(66.0, 66.0).rung.input_size_px == 300
    budget.abandon(67.0)
    assert budget.statistics().drops[DropCause.FAILED] == 3
    assert budget.begin(6000.0, 6000.0).rung.input_size_px == 550


def test_a_size_is_barred_without_a_budget_too() -> None:
    budget = make_budget(budget_ms=0.0)
    budget.begin(0.0, 0.0)
    budget.abandon(1.0, bar_input_for_ms=5000.0)
    assert budget.begin(33.0, 33.0).rung.input_size_px == 400
    assert budget.begin(6000.0, 6000.0).rung.input_size_px == 550


def test_the_smallest_size_is_never_barred() -> None:
    budget = make_budget(ladder=QualityLadder.from_settings([550], 15), budget_ms=100.0)
    budget.begin(0.0, 0.0)
    budget.abandon(1.0, bar_input_for_ms=5000.0)
    assert budget.begin(33.0, 33.0).rung.input_size_px == 550


def test_a_frame_left_open_is_counted_as_failed_when_the_next_begins() -> None:
    budget = make_budget()
    budget.begin(0.0, 0.0)
    budget.begin(33.0, 33.0)
    assert budget.statistics().drops[DropCause.FAILED] == 1


def test_a_smaller_budget_takes_effect_with_the_next_frame() -> None:
    budget = make_budget()
    run_steadily(budget, 0.0, 10, slowdown=1.0)
    budget.set_budget(16.0)
    assert budget.begin(1000.0, 1000.0).rung.input_size_px == 400


def test_a_frame_is_held_to_the_budget_it_began_with() -> None:
    budget = make_budget(budget_ms=100.0)
    budget.begin(0.0, 0.0)
    budget.set_budget(5.0)
    budget.set_ladder(QualityLadder.from_settings([700, 550], 15))
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


def test_a_new_ladder_keeps_the_size_in_use() -> None:
    budget = make_budget(budget_ms=16.0)
    run_steadily(budget, 0.0, 10, slowdown=1.0)
    budget.set_ladder(QualityLadder.from_settings([700, 400], 15))
    assert budget.rung.input_size_px == 400
    assert budget.begin(1000.0, 1000.0).rung.input_size_px == 400


def test_a_new_ladder_without_the_size_in_use_starts_at_its_best_rung_that_fits() -> None:
    budget = make_budget(budget_ms=16.0)
    run_steadily(budget, 0.0, 10, slowdown=1.0)
    budget.costs.seed_network(320, 9.0)
    budget.set_ladder(QualityLadder.from_settings([700, 320], 15))
    assert budget.begin(1000.0, 1000.0).rung.input_size_px == 320


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


def test_statistics_tell_latency_misses_drops_and_rungs() -> None:
    budget = make_budget()
    budget.count_drop(DropCause.STALE, 2)
    for index in range(99):
        run_frame(budget, index * 50.0, network_ms=20.0)
    run_frame(budget, 5000.0, network_ms=40.0)
    run_frame(budget, 5066.0, network_ms=20.0)
    summary = budget.statistics()
    assert summary.frames_finished == 101
    assert summary.frames_missed == 1
    assert summary.miss_ratio == pytest.approx(1 / 101)
    assert summary.latency_p50_ms == pytest.approx(21.0)
    assert summary.latency_p99_ms == pytest.approx(21.0)
    assert summary.drops[DropCause.STALE] == 2
    assert summary.drops[DropCause.LATE] == 0
    assert summary.frames_by_rung[LADDER.rungs[0]] == 100
    assert summary.frames_by_rung[LADDER.rungs[1]] == 1
    assert summary.rung_changes == 1
    assert summary.frames_degraded == 1
