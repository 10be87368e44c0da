"""Where each object will be: Kalman filters of constant velocity, in seconds instead of frames.

The centre moves at a velocity that changes like a random walk, the size itself does; both axes and
both quantities are independent, so a filter is a few numbers and all objects are one array
operation. The noise is that of continuous time: predicting 0.1 s at once is the same as three
times a third of it, so what is expected does not depend on the frame rate nor on frames that were
dropped. Its strength is that of BoT-SORT (Aharon et al. 2022, section 3.1) at 30 frames a second.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from typing_extensions import Self  # of typing from Python 3.11 on

__all__ = ["MotionState", "Table", "correct", "initial_state", "predict", "warp"]

Floats = NDArray[np.float64]
Rows = NDArray[np.int64] | NDArray[np.bool_]

RATE_HZ = 30.0
# Standard deviations as shares of the object's longer side: of a measured centre or size,
# of what these do by themselves from frame to frame, and of the velocity's change (a second).
MEASUREMENT = 1 / 20
POSITION_STEP = 1 / 20
VELOCITY_STEP = RATE_HZ / 160
# Nothing is known about the velocity of an object that was seen once.
FIRST_VELOCITY = 10 * VELOCITY_STEP
POSITION_DENSITY = POSITION_STEP**2 * RATE_HZ
VELOCITY_DENSITY = VELOCITY_STEP**2 * RATE_HZ
MIN_SIZE_PX = 1.0


@dataclass(frozen=True, eq=False)
class Table:
    """A dataclass whose fields are arrays with a row for each object, or such tables."""

    def take(self, rows: Rows) -> Self:
        """Some of the rows."""
        values = (getattr(self, field.name) for field in fields(self))
        return type(self)(
            *(value.take(rows) if isinstance(value, Table) else value[rows] for value in values)
        )

    def put(self, rows: Rows, other: Self) -> Self:
        """A copy with the other's rows in place of some."""
        copies = []
        for field in fields(self):
            value, theirs = getattr(self, field.name), getattr(other, field.name)
            if isinstance(value, Table):
                value = value.put(rows, theirs)
            else:
                value = value.copy()
                value[rows] = theirs
            copies.append(value)
        return type(self)(*copies)

    def join(self, other: Self) -> Self:
        """These rows and then the other's."""
        pairs = ((getattr(self, field.name), getattr(other, field.name)) for field in fields(self))
        return type(self)(
            *(
                ours.join(theirs) if isinstance(ours, Table) else np.concatenate((ours, theirs))
                for ours, theirs in pairs
            )
        )


@dataclass(frozen=True, eq=False)
class MotionState(Table):
    """What is known about m objects; every array is float64[m, 2], x before y.

    Attributes:
        centers, sizes: pixels.
        velocities: of the centres, pixels a second.
        center_var, covariance, velocity_var: of centre and velocity.
        size_var: of the size.
    """

    centers: Floats
    velocities: Floats
    sizes: Floats
    center_var: Floats
    covariance: Floats
    velocity_var: Floats
    size_var: Floats

    def __len__(self) -> int:
        return len(self.centers)

    @property
    def extents(self) -> Floats:
        """The longer side, twice: the scale of all noise.

        Of an object that goes behind another one side shrinks and the other stays.
        """
        return _extents(self.sizes)

    @property
    def boxes_xyxy(self) -> Floats:
        """float64[m, 4], pixels."""
        return np.concatenate(
            (self.centers - self.sizes / 2, self.centers + self.sizes / 2), axis=1
        )


def initial_state(boxes_xyxy: Floats) -> MotionState:
    """Of objects that were seen once.

    Args:
        boxes_xyxy (float64[m, 4]): pixels.
    """
    centers, sizes = _centers_and_sizes(boxes_xyxy)
    extents = _extents(sizes)
    return MotionState(
        centers=centers,
        velocities=np.zeros_like(centers),
        sizes=sizes,
        center_var=(2 * MEASUREMENT * extents) ** 2,
        covariance=np.zeros_like(centers),
        velocity_var=(FIRST_VELOCITY * extents) ** 2,
        size_var=(2 * MEASUREMENT * extents) ** 2,
    )


def predict(state: MotionState, seconds: float | Floats) -> MotionState:
    """So many seconds later; for all objects alike, or for each (float64[m, 1])."""
    position_noise = POSITION_DENSITY * state.extents**2 * seconds
    velocity_noise = VELOCITY_DENSITY * state.extents**2 * seconds
    return MotionState(
        centers=state.centers + state.velocities * seconds,
        velocities=state.velocities,
        sizes=state.sizes,
        center_var=state.center_var
        + 2 * state.covariance * seconds
        + state.velocity_var * seconds**2
        + position_noise
        + velocity_noise * seconds**2 / 3,
        covariance=state.covariance + state.velocity_var * seconds + velocity_noise * seconds / 2,
        velocity_var=state.velocity_var + velocity_noise,
        size_var=state.size_var + position_noise,
    )


def correct(state: MotionState, boxes_xyxy: Floats) -> MotionState:
    """After the objects were seen.

    Args:
        boxes_xyxy (float64[m, 4]): pixels.
    """
    centers, sizes = _centers_and_sizes(boxes_xyxy)
    noise = (MEASUREMENT * state.extents) ** 2
    innovation = centers - state.centers
    total = state.center_var + noise
    center_gain, velocity_gain = state.center_var / total, state.covariance / total
    size_gain = state.size_var / (state.size_var + noise)
    return MotionState(
        centers=state.centers + center_gain * innovation,
        velocities=state.velocities + velocity_gain * innovation,
        sizes=np.maximum(state.sizes + size_gain * (sizes - state.sizes), MIN_SIZE_PX),
        center_var=(1 - center_gain) * state.center_var,
        covariance=(1 - center_gain) * state.covariance,
        velocity_var=state.velocity_var - velocity_gain * state.covariance,
        size_var=(1 - size_gain) * state.size_var,
    )


def warp(state: MotionState, camera_motion: Floats) -> MotionState:
    """Where the objects are in the new image after the camera moved.

    Variances follow its scale; that a turn of the image mixes the axes is left out.

    Args:
        camera_motion (float64[2, 3]): pixels of the old image to pixels of the new one.
    """
    turn, shift = camera_motion[:, :2], camera_motion[:, 2]
    scale = float(np.sqrt(abs(np.linalg.det(turn))))
    return MotionState(
        centers=state.centers @ turn.T + shift,
        velocities=state.velocities @ turn.T,
        sizes=state.sizes * scale,
        center_var=state.center_var * scale**2,
        covariance=state.covariance * scale**2,
        velocity_var=state.velocity_var * scale**2,
        size_var=state.size_var * scale**2,
    )


def _extents(sizes: Floats) -> Floats:
    return np.repeat(sizes.max(axis=1, keepdims=True), 2, axis=1)


def _centers_and_sizes(boxes_xyxy: Floats) -> tuple[Floats, Floats]:
    first, last = boxes_xyxy[:, :2], boxes_xyxy[:, 2:]
    return (first + last) / 2, np.maximum(last - first, MIN_SIZE_PX)
