"""The frame budget where frames wait for each other: fast cameras, several, and batches."""

from __future__ import annotations

import pytest
from budgets import batching_budget, make_budget, run_frame


def test_a_frame_that_waited_too_long_is_skipped_for_one_that_is_due() -> None:
    budget = make_budget()
    for index in range(4):
        run_frame(budget, index * 16.7 * 2, network_ms=24.0)
    plan = budget.begin(116.0, 100.2)
    assert not plan.run


def test_two_frames_are_never_skipped_in_a_row() -> None:
    budget = make_budget()
    for index in range(4):
        run_frame(budget, index * 33.4, network_ms=24.0)
    assert not budget.begin(160.0, 133.6).run
    assert budget.begin(193.4, 167.0).run


def test_no_frame_is_skipped_while_another_camera_waits() -> None:
    budget = make_budget()
    for index in range(4):
        run_frame(budget, index * 33.4, network_ms=24.0)
    assert budget.begin(160.0, 133.6, queued=1).run


def test_the_time_is_shared_with_the_other_cameras_that_wait() -> None:
    budget = make_budget()
    assert budget.begin(0.0, 0.0, source="left", queued=1).level.input_size_px == 400


def test_a_batch_that_fits_takes_a_better_level_than_frames_one_by_one() -> None:
    budget = make_budget()
    budget.begin(0.0, 0.0, source="left", queued=1)
    assert budget.level.input_size_px == 400
    budget = batching_budget(1.2)
    plan = budget.begin(0.0, 0.0, source="left", queued=1)
    assert (plan.batch_size, plan.level.input_size_px) == (2, 550)  # 24 * 1.2 + 2 * 1 ms


def test_a_batch_that_does_not_fit_the_first_deadline_takes_a_level_that_does() -> None:
    budget = batching_budget(1.6)
    plan = budget.begin(0.0, 0.0, source="left", queued=1)
    assert (plan.batch_size, plan.level.input_size_px) == (2, 400)
    budget.abandon(0.0)
    plan = budget.begin(1000.0, 1000.0 - 26.0, source="left", queued=1)
    assert (plan.batch_size, plan.level.input_size_px) == (1, 300)


def test_frames_alone_are_not_batched() -> None:
    assert batching_budget(1.2).begin(0.0, 0.0).batch_size == 1


def test_without_a_budget_batches_are_used_wherever_they_pay() -> None:
    budget = batching_budget(1.7, budget_ms=0.0)
    plan = budget.begin(0.0, 0.0, queued=1)
    assert (plan.batch_size, plan.level.input_size_px) == (2, 550)


def test_every_frame_of_a_batch_has_its_own_times_and_outcome() -> None:
    budget = batching_budget(1.2)
    first = budget.begin(100.0, 95.0, source="left", queued=1)
    second = budget.join(101.0, 99.0, source="right", replaced=2)
    assert (first.wait_ms, second.wait_ms) == (5.0, 2.0)
    assert second.level == first.level
    budget.run_network(102.0)
    for finished_ms, met in ((127.0, True), (133.0, False)):
        masks = budget.after_inference(finished_ms - 1.0, 1)
        assert masks.run
        outcome = budget.finish(finished_ms)
        assert outcome.deadline_met is met
    assert outcome.total_ms == pytest.approx(34.0)


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


def test_what_the_frames_of_a_batch_do_not_share_is_counted_for_each() -> None:
    budget = batching_budget(1.2, budget_ms=100.0)
    budget.begin(0.0, 0.0, queued=1)
    budget.join(0.0, 0.0)
    budget.run_network(8.0)  # 4 ms of decoding each
    for finished_ms in (33.0, 34.0):
        budget.after_inference(finished_ms - 1.0, 0)
        budget.finish(finished_ms)
    budget.set_budget(33.3)
    plan = budget.begin(1000.0, 1000.0, queued=1)
    # 24 * 1.2 + 2 * 1 ms of masks would be in time, with 2 * 4 ms before them it is not.
    assert (plan.batch_size, plan.level.input_size_px) == (2, 400)


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
    broken = budget.join(101.0, 97.0)
    budget.abandon(101.0, broken)
    budget.join(101.0, 98.0)
    budget.run_network(102.0)
    totals_ms = []
    for finished_ms in (126.0, 127.0):
        budget.after_inference(finished_ms, 0)
        totals_ms.append(budget.finish(finished_ms).total_ms)
    budget.abandon(128.0, broken)
    assert totals_ms == [26.0, 29.0]
