"""The filters of all objects at once against the one of a textbook, and in steps of any length."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from yolact_ros.tracking import motion
from yolact_ros.tracking.motion import MotionState, correct, initial_state, predict, warp

BOXES = np.array([[100.0, 50, 160, 170], [300, 200, 420, 260], [0, 0, 30, 30]])


def moving_state() -> MotionState:
    state = initial_state(BOXES)
    for step in range(1, 6):
        state = correct(predict(state, 0.1), BOXES + step * np.array([4.0, -2, 4, -2]))
    return state


def values(state: MotionState) -> NDArray[np.float64]:
    return np.stack([getattr(state, name) for name in state.__dataclass_fields__])


@pytest.mark.parametrize("steps", [2, 3, 10])
def test_predicting_in_steps_is_predicting_at_once(steps: int) -> None:
    state = moving_state()
    at_once = predict(state, 0.4)

    for _ in range(steps):
        state = predict(state, 0.4 / steps)

    np.testing.assert_allclose(values(state), values(at_once), rtol=1e-12)


def test_prediction_and_correction_are_those_of_a_kalman_filter() -> None:
    """One axis of one object with matrices: state (centre, velocity, size)."""
    state = moving_state()
    seen = BOXES + np.array([30.0, -5, 34, -9])
    seconds = 0.13
    ours = correct(predict(state, seconds), seen)
    for row in range(3):
        for axis in range(2):
            mean = np.array([getattr(state, name)[row, axis] for name in
                             ("centers", "velocities", "sizes")])  # fmt: skip
            covariance = np.diag([state.center_var[row, axis], state.velocity_var[row, axis],
                                  state.size_var[row, axis]])  # fmt: skip
            covariance[0, 1] = covariance[1, 0] = state.covariance[row, axis]
            extent = state.sizes[row].max()
            transition = np.array([[1, seconds, 0], [0, 1, 0], [0, 0, 1]])
            position = motion.POSITION_DENSITY * extent**2 * seconds
            velocity = motion.VELOCITY_DENSITY * extent**2
            process = np.array(
                [
                    [position + velocity * seconds**3 / 3, velocity * seconds**2 / 2, 0],
                    [velocity * seconds**2 / 2, velocity * seconds, 0],
                    [0, 0, position],
                ]
            )
            mean = transition @ mean
            covariance = transition @ covariance @ transition.T + process
            observed = np.array([[1.0, 0, 0], [0, 0, 1]])
            noise = (motion.MEASUREMENT * extent) ** 2 * np.eye(2)
            gain = (
                covariance @ observed.T @ np.linalg.inv(observed @ covariance @ observed.T + noise)
            )
            first, last = seen[row, axis], seen[row, axis + 2]
            mean = mean + gain @ (np.array([(first + last) / 2, last - first]) - observed @ mean)
            covariance = (np.eye(3) - gain @ observed) @ covariance

            np.testing.assert_allclose(
                [getattr(ours, name)[row, axis] for name in ("centers", "velocities", "sizes")],
                mean,
            )
            np.testing.assert_allclose(
                [ours.center_var[row, axis], ours.covariance[row, axis],
                 ours.velocity_var[row, axis], ours.size_var[row, axis]],
                [covariance[0, 0], covariance[0, 1], covariance[1, 1], covariance[2, 2]],
            )  # fmt: skip


def test_the_velocity_is_pixels_a_second_at_any_frame_rate() -> None:
    for rate_hz in (5, 10, 30, 60):
        state = initial_state(BOXES)
        for step in range(1, 2 * rate_hz):
            moved = BOXES + np.tile(np.array([50.0, -20]), 2) * step / rate_hz
            state = correct(predict(state, 1 / rate_hz), moved)

        np.testing.assert_allclose(state.velocities, [[50.0, -20]] * 3, atol=1.0)


def test_the_motion_of_the_camera_moves_turns_and_scales_everything() -> None:
    state = moving_state()
    quarter_turn_twice_as_large = np.array([[0.0, -2, 10], [2, 0, 20]])

    moved = warp(state, quarter_turn_twice_as_large)

    for row in range(3):
        x, y = state.centers[row]
        assert moved.centers[row].tolist() == pytest.approx([-2 * y + 10, 2 * x + 20])
        right, down = state.velocities[row]
        assert moved.velocities[row].tolist() == pytest.approx([-2 * down, 2 * right])
    np.testing.assert_allclose(moved.sizes, 2 * state.sizes)
    np.testing.assert_allclose(moved.velocity_var, 4 * state.velocity_var)
