"""Counters, rates and latencies of a camera."""

from __future__ import annotations

import pytest

from yolact_ros.ros.statistics import CameraStatistics


def test_every_received_frame_is_accounted_for() -> None:
    now_s = 100.0
    statistics = CameraStatistics(clock=lambda: now_s)
    for latency_ms in range(1, 101):
        statistics.count_received()
        statistics.count_finished(
            float(latency_ms), deadline_met=latency_ms <= 90, published=latency_ms <= 95
        )
    for cause in ("replaced", "skipped", "stale", "failed", "discarded"):
        statistics.count_received()
        statistics.count_dropped(cause)
    now_s = 104.0
    snapshot = statistics.snapshot()
    assert snapshot.received == 105 == snapshot.published + sum(snapshot.dropped.values())
    assert snapshot.dropped == {
        "replaced": 1,
        "skipped": 1,
        "stale": 1,
        "late": 5,
        "failed": 1,
        "discarded": 1,
    }
    assert snapshot.deadline_misses == 10
    assert (snapshot.received_hz, snapshot.published_hz) == (26.25, 23.75)
    assert snapshot.latency_p50_ms == pytest.approx(50.5)
    assert snapshot.latency_p95_ms == pytest.approx(95.05)
    assert snapshot.latency_p99_ms == pytest.approx(99.01)
    assert snapshot.quiet_s == 4.0


def test_results_of_batches_are_counted_among_the_others() -> None:
    statistics = CameraStatistics()
    for batched in (True, False, True):
        statistics.count_finished(5.0, deadline_met=True, published=True, batched=batched)
    snapshot = statistics.snapshot()
    assert (snapshot.published, snapshot.batched) == (3, 2)


def test_rates_are_about_the_time_since_the_previous_snapshot() -> None:
    now_s = 0.0
    statistics = CameraStatistics(clock=lambda: now_s)
    statistics.count_received()
    now_s = 1.0
    statistics.snapshot()
    now_s = 3.0
    assert statistics.snapshot().received_hz == 0.0
    for _ in range(60):
        statistics.count_received()
    now_s = 5.0
    assert statistics.snapshot().received_hz == 30.0


def test_an_unknown_cause_is_a_mistake_in_the_program() -> None:
    with pytest.raises(ValueError, match="'lost' is none of"):
        CameraStatistics().count_dropped("lost")


def test_what_was_received_since_the_last_result_is_unanswered() -> None:
    now_s = 10.0
    statistics = CameraStatistics(clock=lambda: now_s)
    assert statistics.snapshot().unanswered_s == 0.0
    for _ in range(3):
        statistics.count_received()
        statistics.count_dropped("stale")
    now_s = 17.0
    snapshot = statistics.snapshot()
    assert (snapshot.unanswered, snapshot.unanswered_s) == ({"stale": 3}, 7.0)
    statistics.count_finished(5.0, deadline_met=False, published=False)
    assert statistics.snapshot().unanswered == {"stale": 3, "late": 1}
    statistics.count_received()
    statistics.count_finished(5.0, deadline_met=True, published=True)
    snapshot = statistics.snapshot()
    assert (snapshot.unanswered, snapshot.unanswered_s) == ({}, 0.0)


def test_images_from_before_a_pause_are_not_waited_for() -> None:
    statistics = CameraStatistics(clock=lambda: 10.0)
    statistics.count_received()
    statistics.count_dropped("discarded")
    statistics.await_images()
    assert statistics.snapshot().unanswered == {}
