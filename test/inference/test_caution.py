"""When a better rung may be tried."""

from __future__ import annotations

from yolact_ros.inference.caution import Caution


def spend(caution: Caution, misses: int) -> None:
    for _ in range(misses):
        caution.note_finish(avoidable_miss=True, hurt_by_waiting=False)


def test_a_comfortable_rung_is_tried_soon_a_tight_one_later_a_hopeless_one_never() -> None:
    caution = Caution()
    caution.note_descent(10_000.0, 1.0)
    assert not caution.may_climb(10_200.0, 0.5)
    assert caution.may_climb(10_400.0, 0.5)
    assert not caution.may_climb(10_400.0, 0.95)
    assert caution.may_climb(11_100.0, 0.95)
    assert not caution.may_climb(11_100.0, 1.2)
    assert caution.may_climb(15_100.0, 1.2)
    assert not caution.may_climb(99_000.0, 1.5)


def test_each_climb_taken_back_doubles_the_wait() -> None:
    caution = Caution()
    now_ms = 0.0
    for wait_ms in (2000.0, 4000.0, 8000.0):
        caution.note_climb(now_ms, 0.5)
        caution.note_descent(now_ms + 50.0, 2.0)
        assert not caution.may_climb(now_ms + 49.0 + wait_ms, 0.5)
        assert caution.may_climb(now_ms + 51.0 + wait_ms, 0.5)
        now_ms += 51.0 + wait_ms


def test_a_clear_fall_of_the_load_ends_the_wait() -> None:
    caution = Caution()
    caution.note_climb(0.0, 0.5)
    caution.note_descent(50.0, 2.0)
    assert not caution.note_level(1.9)
    assert not caution.may_climb(1000.0, 0.5)
    assert caution.note_level(1.0)
    assert caution.may_climb(1000.0, 0.5)


def test_nothing_is_tried_once_the_misses_allowed_are_used_up() -> None:
    caution = Caution()
    spend(caution, 2)
    assert not caution.may_climb(60_000.0, 0.5)
    caution.note_level(2.0)
    caution.note_level(1.0)
    assert caution.may_climb(60_000.0, 0.5), "a load that went may be followed up to the last one"
    spend(caution, 2)
    assert not caution.may_climb(60_000.0, 0.5)


def test_frames_earn_less_than_one_miss_in_a_hundred() -> None:
    caution = Caution()
    spend(caution, 4)
    for _ in range(100):
        caution.note_finish(avoidable_miss=False, hurt_by_waiting=False)
    assert 0.0 < caution.allowance.misses < 1.0


def test_the_margin_settles_where_one_frame_in_two_hundred_is_hurt_by_waiting() -> None:
    caution = Caution()
    for index in range(2000):
        caution.note_finish(avoidable_miss=False, hurt_by_waiting=index % 100 == 0)
    assert caution.margin > 0.2
    for _ in range(2000):
        caution.note_finish(avoidable_miss=False, hurt_by_waiting=False)
    assert caution.margin == 0.0
