"""What the frame budget promises several cameras that share a network, by simulation."""

from __future__ import annotations

import itertools

from budget_simulation import (
    CameraFrame,
    LoadStep,
    World,
    simulate_cameras,
)
from budget_worlds import BUDGET_MS, loads, networks, simulated
from hypothesis import given
from hypothesis import strategies as st


@simulated
@given(
    st.lists(st.floats(0.0, 33.0), min_size=2, max_size=3),
    st.sampled_from([0.0, 0.05]),
    st.integers(0, 1000),
)
def test_cameras_that_share_a_network_share_its_time(
    offsets_ms: list[float], noise: float, seed: int
) -> None:
    world = World({550: 24.0, 400: 12.0, 300: 5.0}, noise=noise, seed=seed)
    cameras = simulate_cameras(
        world, budget_ms=BUDGET_MS, period_ms=33.3, offsets_ms=offsets_ms, duration_ms=30_000.0
    )
    counts = [len(frames) for frames in cameras]
    assert min(counts) >= 0.8 * max(counts)
    missed = sum(not frame.deadline_met for frames in cameras for frame in frames)
    assert missed <= 0.01 * sum(counts)


def test_two_cameras_at_once_work_on_a_level_that_fits_twice() -> None:
    world = World({550: 24.0, 400: 13.0, 300: 5.0}, noise=0.0)
    left, right = simulate_cameras(
        world, budget_ms=BUDGET_MS, period_ms=33.3, offsets_ms=[0.0, 0.0], duration_ms=20_000.0
    )
    for frames in (left, right):
        assert len(frames) == 600
        assert all(frame.deadline_met for frame in frames)
        at_400 = sum(frame.level.input_size_px == 400 for frame in frames)
        assert at_400 >= 0.95 * len(frames)


def test_two_cameras_at_once_work_on_a_better_level_where_a_batch_fits_it() -> None:
    world = World({550: 22.0, 400: 13.0, 300: 5.0}, noise=0.02)
    cameras = simulate_cameras(
        world,
        budget_ms=BUDGET_MS,
        period_ms=33.3,
        offsets_ms=[0.0, 0.0],
        duration_ms=40_000.0,
        batch_cost={2: 1.2},
    )
    for frames in cameras:
        assert len(frames) == 1201
        at_best = sum(frame.level.input_size_px == 550 for frame in frames)
        assert at_best >= 0.95 * len(frames)
        assert sum(frame.batch_size == 2 for frame in frames) >= 0.95 * len(frames)


def test_a_batch_that_saves_less_than_a_tenth_is_not_used() -> None:
    world = World({550: 10.0})
    cameras = simulate_cameras(
        world,
        budget_ms=BUDGET_MS,
        period_ms=33.3,
        offsets_ms=[0.0, 0.0],
        duration_ms=2_000.0,
        batch_cost={2: 1.85},
    )
    assert {frame.batch_size for frames in cameras for frame in frames} == {1}


@simulated
@given(
    networks(best_share=0.99),
    loads(most=4, highest=2.0),
    st.lists(st.floats(0.0, 33.0), min_size=2, max_size=4),
    st.floats(0.0, 1.0),
    st.sampled_from([0.0, 0.5, 3.0]),
    st.sampled_from([0.0, 0.05, 0.1]),
    st.integers(0, 1000),
)
def test_batches_starve_no_camera_and_keep_the_deadlines_that_the_cheapest_level_keeps(
    network_ms: dict[int, float],
    load: tuple[LoadStep, ...],
    offsets_ms: list[float],
    each: float,
    prepare_ms: float,
    noise: float,
    seed: int,
) -> None:
    world = World(network_ms, load, noise=noise, seed=seed)

    def run(fixed_level: int | None, batch_cost: dict[int, float]) -> list[list[CameraFrame]]:
        return simulate_cameras(
            world,
            budget_ms=BUDGET_MS,
            period_ms=33.3,
            offsets_ms=offsets_ms,
            duration_ms=20_000.0,  # 1200 frames at least, because the first four misses are free
            batch_cost=batch_cost,
            prepare_ms=prepare_ms,
            fixed_level=fixed_level,
        )

    cheapest = list(itertools.chain(*run(-1, {})))
    fits = sum(not frame.deadline_met for frame in cheapest) <= 0.001 * len(cheapest)
    cameras = run(None, {frames: 1.0 + each * (frames - 1) for frames in (2, 3, 4)})
    counts = [len(frames) for frames in cameras]
    assert min(counts) >= 0.5 * max(counts)
    frames = list(itertools.chain(*cameras))
    for frame in frames:
        assert frame.deadline_met == (frame.finished_ms - frame.received_ms <= BUDGET_MS)
    if fits:
        assert sum(not frame.deadline_met for frame in frames) <= 0.01 * len(frames)
