"""Statistics of arriving results."""

from __future__ import annotations

import json

import pytest

from yolact_ros.evaluation.live import LiveStatistics, Result


def result(received_s: float, **changes: object) -> Result:
    values = {
        "latency_ms": 40.0, "total_ms": 30.0, "deadline_met": True, "frames_dropped": 0,
        "class_names": ("person",),
    }  # fmt: skip
    return Result(received_s, **{**values, **changes})


def filled(count: int = 101, rate_hz: float = 20.0, **changes: object) -> LiveStatistics:
    statistics = LiveStatistics()
    for index in range(count):
        statistics.add(result(100.0 + index / rate_hz, **changes))
    return statistics


def test_the_summary_has_rate_latency_and_totals_over_the_whole_run():
    statistics = LiveStatistics()
    for index in range(101):
        statistics.add(
            result(
                100.0 + index / 20,
                latency_ms=float(index),
                total_ms=index / 2,
                deadline_met=index % 4 != 0,
                frames_dropped=2 * (index % 2),
                class_names=("dog", "person", "person") if index < 10 else ("person",),
            )
        )
    assert statistics.summary() == {
        "results": 101,
        "seconds": 5.0,
        "rate_hz": 20.0,
        "latency_p50_ms": 50.0,
        "latency_p95_ms": 95.0,
        "node_total_p50_ms": 25.0,
        "node_total_p95_ms": 47.5,
        "deadline_met_percent": pytest.approx(100 * 75 / 101, abs=0.01),
        "frames_dropped": 100,
        "frames_with_class": {"person": 101, "dog": 10},
    }


def test_the_line_looks_at_the_last_five_seconds_only():
    statistics = filled(101, latency_ms=500.0, deadline_met=False, frames_dropped=1)
    for index in range(101):
        statistics.add(result(110.0 + index / 10, class_names=("cup", "cup", "dog")))
    line = statistics.line(120.0)
    assert "10.0 Hz" in line
    assert "| 40 ms, p95 40 ms |" in line
    assert "in time 100 %" in line
    assert "dropped 101" in line
    assert line.endswith("| 2 cup, 1 dog")


def test_the_rate_falls_when_results_stop_coming():
    statistics = filled()
    assert "20.0 Hz" in statistics.line(105.0)
    assert "10.0 Hz" in statistics.line(107.5)
    assert " 0.0 Hz" in statistics.line(120.0)


def test_the_first_result_has_no_rate_yet():
    assert "  -   Hz" in filled(1).line(100.0)


def test_the_longest_gap_is_remembered():
    statistics = filled(3, rate_hz=10.0)
    statistics.add(result(102.0))
    statistics.add(result(102.1))
    assert statistics.longest_gap_s == pytest.approx(1.8)
    assert statistics.last_s == 102.1


def test_without_results_the_summary_is_valid_json():
    summary = LiveStatistics().summary()
    assert json.loads(json.dumps(summary, allow_nan=False))["results"] == 0
    assert LiveStatistics().line(1.0) == "waiting for results"
