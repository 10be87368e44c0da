"""Faults are all counted and seldom written."""

from __future__ import annotations

from yolact_ros.ros.faults import FaultLog


def test_a_cause_is_written_once_a_period_and_always_counted() -> None:
    now_s = 0.0
    lines: list[str] = []
    log = FaultLog(lines.append, period_s=5.0, clock=lambda: now_s)
    for step in range(100):
        now_s = step * 0.1
        log.report("encoding", "unknown encoding")
        if step == 50:
            log.report("size", "no size")
    assert lines == [
        "unknown encoding",
        "unknown encoding (and 49 more since the last such line)",
        "no size",
    ]
    assert log.counts() == {"encoding": 100, "size": 1}


def test_faults_of_one_cause_about_different_things_are_each_written() -> None:
    lines: list[str] = []
    log = FaultLog(lines.append, clock=lambda: 0.0)
    for value in ("7", "8"):
        log.report("parameter", f"top_k is {value}", subject="top_k")
        log.report("parameter", f"classes is {value}", subject="classes")
    assert lines == ["top_k is 7", "classes is 7"]
    assert log.counts() == {"parameter": 4}
