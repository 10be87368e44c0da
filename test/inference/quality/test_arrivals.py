"""When the next frame of a camera is due."""

from __future__ import annotations

import math

import pytest

from yolact_ros.inference.quality.budget import Arrivals


def test_frames_that_were_replaced_count_for_the_period() -> None:
    arrivals = Arrivals()
    for index in range(20):
        arrivals.note("front", index * 33.4, replaced=1)
    assert arrivals.until_next_ms("front", 19 * 33.4) == pytest.approx(16.7)
    assert arrivals.until_next_ms("front", 19 * 33.4 + 10.0) == pytest.approx(6.7)


def test_cameras_have_periods_of_their_own_and_none_before_their_second_frame() -> None:
    arrivals = Arrivals()
    arrivals.note("front", 0.0, replaced=0)
    assert arrivals.until_next_ms("front", 5.0) == math.inf
    arrivals.note("front", 50.0, replaced=0)
    arrivals.note("rear", 60.0, replaced=0)
    assert arrivals.until_next_ms("front", 60.0) == pytest.approx(40.0)
    assert arrivals.until_next_ms("rear", 60.0) == math.inf


def test_a_new_rate_is_followed_smoothly() -> None:
    arrivals = Arrivals()
    for at_ms in (0.0, 100.0, 150.0):
        arrivals.note("front", at_ms, replaced=0)
    assert arrivals.until_next_ms("front", 150.0) == pytest.approx(90.0)
