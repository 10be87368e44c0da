"""When a better level may be tried."""

from __future__ import annotations

from yolact_ros.inference.quality.backoff import Backoff


def spend(backoff: Backoff, misses: int) -> None:
    for _ in range(misses):
        backoff.note_finish(avoidable_miss=True, hurt_by_waiting=False)


def test_a_comfortable_level_is_tried_soon_a_tight_one_later_a_far_too_dear_one_never() -> None:
    backoff = Backoff()
    backoff.note_descent(10_000.0, 1.0)
    assert not backoff.may_climb(10_200.0, 0.5)
    assert backoff.may_climb(10_400.0, 0.5)
    assert not backoff.may_climb(10_400.0, 0.95)
    assert backoff.may_climb(11_100.0, 0.95)
    assert not backoff.may_climb(11_100.0, 1.2)
    assert backoff.may_climb(15_100.0, 1.2)
    assert not backoff.may_climb(99_000.0, 1.5)


def test_each_climb_taken_back_doubles_the_wait() -> None:
    backoff = Backoff()
    now_ms = 0.0
    for wait_ms in (2000.0, 4000.0, 8000.0):
        backoff.note_climb(now_ms, 0.5)
        backoff.note_descent(now_ms + 50.0, 2.0)
        assert not backoff.may_climb(now_ms + 49.0 + wait_ms, 0.5)
        assert backoff.may_climb(now_ms + 51.0 + wait_ms, 0.5)
        now_ms += 51.0 + wait_ms


def test_a_clear_fall_of_the_load_ends_the_wait() -> None:
    backoff = Backoff()
    backoff.note_climb(0.0, 0.5)
    backoff.note_descent(50.0, 2.0)
    assert not backoff.note_slowdown(1.9)
    assert not backoff.may_climb(1000.0, 0.5)
    assert backoff.note_slowdown(1.0)
    assert backoff.may_climb(1000.0, 0.5)


def test_nothing_is_tried_once_the_misses_allowed_are_used_up() -> None:
    backoff = Backoff()
    spend(backoff, 2)
    assert not backoff.may_climb(60_000.0, 0.5)
    backoff.note_slowdown(2.0)
    backoff.note_slowdown(1.0)
    assert backoff.may_climb(60_000.0, 0.5), "a load that went may be followed up to the last one"
    spend(backoff, 2)
    assert not backoff.may_climb(60_000.0, 0.5)


def test_frames_earn_less_than_one_miss_in_a_hundred() -> None:
    backoff = Backoff()
    spend(backoff, 4)
    for _ in range(100):
        backoff.note_finish(avoidable_miss=False, hurt_by_waiting=False)
    assert 0.0 < backoff.tokens < 1.0


def test_the_margin_settles_where_one_frame_in_two_hundred_is_hurt_by_waiting() -> None:
    backoff = Backoff()
    for index in range(2000):
        backoff.note_finish(avoidable_miss=False, hurt_by_waiting=index % 100 == 0)
    assert backoff.margin > 0.2
    for _ in range(2000):
        backoff.note_finish(avoidable_miss=False, hurt_by_waiting=False)
    assert backoff.margin == 0.0
