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
