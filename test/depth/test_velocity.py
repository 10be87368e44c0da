"""Velocities from stamped positions."""

from __future__ import annotations

import itertools

import numpy as np

from yolact_ros.depth import Velocities

SPEED = np.array([0.4, -1.2, 0.1])


def walk(stamps: np.ndarray, wrong: tuple[int, ...] = (), noise: float = 0.0) -> np.ndarray | None:
    chance, velocities, found = np.random.default_rng(0), Velocities(), None
    for index, time_s in enumerate(stamps):
        position = 2 + SPEED * time_s + chance.normal(0, noise, 3) + (index in wrong)
        (found,) = velocities.update(time_s, [7], [position])
    return found


def slow_twin(stamps: np.ndarray, positions: np.ndarray) -> np.ndarray:
    pairs = itertools.combinations(range(len(stamps)), 2)
    return np.median(
        [(positions[b] - positions[a]) / (stamps[b] - stamps[a]) for a, b in pairs], axis=0
    )


def test_a_straight_walk_has_its_speed_at_any_rate_and_with_frames_dropped() -> None:
    for stamps in (
        np.arange(0, 1, 0.1),
        np.arange(5) / 3,
        np.arange(0, 1, 1 / 30),
        np.array([0, 0.1, 0.27, 0.4]),
    ):
        np.testing.assert_allclose(walk(stamps), SPEED, atol=1e-9)


def test_it_is_the_median_of_all_slopes() -> None:
    chance, stamps = np.random.default_rng(1), np.arange(6) / 15
    positions, velocities = chance.normal(0, 1, (6, 3)), Velocities()
    for time_s, position in zip(stamps, positions, strict=True):
        (found,) = velocities.update(time_s, [1], [position])
    np.testing.assert_allclose(found, slow_twin(stamps, positions))


def test_one_position_in_four_may_be_wrong() -> None:
    np.testing.assert_allclose(walk(np.arange(16) / 30, (3, 7, 11)), SPEED, atol=0.2)


def test_noise_of_a_centimetre_is_centimetres_a_second() -> None:
    np.testing.assert_allclose(walk(np.arange(16) / 30, noise=0.01), SPEED, atol=0.06)


def test_it_is_not_known_from_few_positions_or_a_short_time() -> None:
    assert walk(np.arange(3) / 10) is None
    assert walk(np.arange(4) / 100) is None


def test_objects_that_are_not_tracked_or_have_no_place_have_none() -> None:
    velocities = Velocities()
    for index in range(8):
        here = SPEED * index / 10
        found = velocities.update(index / 10, [0, 3, 4], [here, None, here])
    assert found[:2] == (None, None)
    np.testing.assert_allclose(found[2], SPEED)


def test_an_object_that_was_away_for_long_begins_anew() -> None:
    assert walk(np.array([0, 0.1, 0.2, 0.3, 0.4, 2.5])) is None


def test_stamps_that_run_backwards_and_reset_forget_all() -> None:
    velocities = Velocities()
    for index in range(8):
        velocities.update(10 + index / 10, [1], [SPEED])
    assert velocities.update(0.0, [1], [SPEED]) == (None,)
    for index in range(8):
        (found,) = velocities.update(index / 10, [1], [SPEED])
    assert found is not None
    velocities.reset()
    assert velocities.update(0.8, [1], [SPEED]) == (None,)


def test_a_stamp_that_comes_twice_replaces_the_position() -> None:
    velocities = Velocities()
    for index in range(6):
        velocities.update(index / 10, [1], [np.full(3, 9.0)])
        (found,) = velocities.update(index / 10, [1], [SPEED * index / 10])
    np.testing.assert_allclose(found, SPEED)
