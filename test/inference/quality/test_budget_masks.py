"""What the frame budget gives up once the detections of a frame are known."""

from __future__ import annotations

from budgets import make_budget, run_frame, run_steadily

from yolact_ros.inference.quality.levels import Degradation, MaskDetail


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


def test_a_frame_late_in_any_case_keeps_the_masks_that_cost_next_to_nothing() -> None:
    budget = make_budget(budget_ms=5.0)
    run_steadily(budget, 0.0, 5, slowdown=6.0)
    plan = budget.begin(1000.0, 1000.0)
    assert plan.level.input_size_px == 300
    masks = budget.after_inference(1080.0, 3)
    assert masks.mask_detail is MaskDetail.FULL
    outcome = budget.finish(1082.0)
    assert outcome.degradation == Degradation.INPUT
    assert not outcome.deadline_met


def test_a_frame_late_in_any_case_gives_up_masks_that_would_make_it_much_later() -> None:
    budget = make_budget(budget_ms=5.0)
    budget.begin(1000.0, 1000.0)
    assert budget.after_inference(1006.0, 15).mask_detail is MaskDetail.NONE


def test_masks_that_cost_next_to_nothing_are_given_up_where_boxes_are_in_time() -> None:
    budget = make_budget()
    budget.begin(100.0, 100.0)
    assert budget.after_inference(100.0 + 33.3 - 0.8, 1).mask_detail is MaskDetail.NONE


def test_where_nothing_fits_for_two_seconds_the_masks_come_back_that_hardly_count() -> None:
    budget = make_budget()
    run_frame(budget, 0.0, network_ms=24.0, found=15)
    run_frame(budget, 100.0, network_ms=6 * 24.0, found=15)
    for begun_ms in range(300, 2300, 100):
        _, outcome = run_frame(budget, begun_ms, network_ms=6 * 8.0, masks_ms=0.5, found=15)
        assert outcome.degradation == Degradation.INPUT | Degradation.BOXES
    plan = budget.begin(2400.0, 2400.0)
    # Of 48 ms, 2.5 for coarse masks are little and 8.5 for full ones are not.
    assert (plan.level.input_size_px, plan.level.mask_detail) == (300, MaskDetail.COARSE)
