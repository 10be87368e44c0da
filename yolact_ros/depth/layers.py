"""Which readings in a mask are the object's: the distribution of the depth inside it.

Depth is measured in steps of the sensor: one step is 1 per cent of the distance, or the standard
deviation of the noise where that is more. In these steps the readings of one surface lie close
together at any distance, and what is a gap near the camera is one far away too.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["MIN_GAP_STEPS", "Layer", "find_layer", "sides_of_jumps", "to_metres", "to_steps"]

# One step where the sensor's noise is below it, as a share of the distance.
STEP_SHARE = 0.01
# Neighbours farther apart than this are of two surfaces, or between them: noise alone spreads
# nine readings so far in 2 per cent of all places.
MAX_JUMP_STEPS = 5.0
# So many steps without readings part two layers,
MIN_GAP_STEPS = 3
# and steps with less than this share of the fullest one's count as without.
MIN_FILL = 0.01
# The nearest layer with this share of the largest one's readings is the object: masks cover the
# background beside and through an object more often than something before it.
NEAR_SHARE = 0.6
KERNEL = np.ones((3, 3), np.uint8)


# Stands for no reading where the largest or the smallest is looked for.
FAR_STEPS = np.float32(1e6)


class Layer(NamedTuple):
    """The object's part of the distribution: its readings are between these steps."""

    low: float
    high: float

    def has(self, steps: NDArray[np.float32], margin: float = 0) -> NDArray[np.bool_]:
        """Whether readings are in it, or so close to it."""
        inside: NDArray[np.bool_] = (steps >= self.low - margin) & (steps <= self.high + margin)
        return inside


def to_steps(depth_m: NDArray[np.float32], noise_per_m: float) -> NDArray[np.float32]:
    """Depth in steps of the sensor; it grows with depth, and where it begins means nothing.

    It is the integral of ``1 / hypot(STEP_SHARE * z, noise_per_m * z**2)``.

    Args:
        depth_m: float32, any shape, positive or NaN.
        noise_per_m: standard deviation at 1 m.
    """
    ratio = np.float32(STEP_SHARE / noise_per_m) / depth_m
    steps: NDArray[np.float32] = np.log(ratio + np.sqrt(ratio * ratio + np.float32(1)))
    steps *= np.float32(-1 / STEP_SHARE)
    return steps


def to_metres(steps: float, noise_per_m: float) -> float:
    """The inverse of :func:`to_steps`; infinite beyond what the sensor can tell."""
    if steps >= 0:
        return math.inf
    return STEP_SHARE / noise_per_m / math.sinh(-STEP_SHARE * steps)


def sides_of_jumps(
    steps: NDArray[np.float32], good: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Where the depth jumps, and to which side of the jump each pixel belongs.

    A sensor mixes what is before and behind at an edge: such a flying pixel has a depth at which
    nothing is.

    Args:
        steps (float32[h, w]): depth in steps.
        good (bool[h, w]): has a reading.

    Returns:
        bool[h, w], the readings among a pixel's eight neighbours and itself are too far apart;
        and float32[h, w], the steps, there of the nearest or farthest of them (the closer one).
    """
    highest = cv2.dilate(np.where(good, steps, -FAR_STEPS), KERNEL)
    lowest = cv2.erode(np.where(good, steps, FAR_STEPS), KERNEL)
    jumps: NDArray[np.bool_] = highest - lowest > MAX_JUMP_STEPS
    sides = np.where(steps + steps < lowest + highest, lowest, highest)
    return jumps, np.where(jumps, sides, steps)


def find_layer(steps: NDArray[np.float32]) -> Layer:
    """The object's layer.

    Args:
        steps (float32[n]): readings well inside the mask, at least one.
    """
    begin = float(np.floor(steps.min()))
    counts = np.bincount((steps - begin).astype(np.int64))
    filled = np.flatnonzero(counts >= MIN_FILL * counts.max())
    gaps = np.flatnonzero(np.diff(filled) > MIN_GAP_STEPS)
    first = filled[np.concatenate(([0], gaps + 1))]
    last = filled[np.concatenate((gaps, [len(filled) - 1]))]
    sizes = np.add.reduceat(counts, first)
    chosen = int(np.argmax(sizes >= NEAR_SHARE * sizes.max()))
    return Layer(begin + float(first[chosen]), begin + float(last[chosen]) + 1)
