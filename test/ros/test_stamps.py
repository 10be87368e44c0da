"""Ages of images and stamps that cannot be right."""

from __future__ import annotations

from yolact_ros.ros.stamps import StampMonitor

SECOND_NS = 1_000_000_000


def test_the_age_is_reception_minus_stamp() -> None:
    reading = StampMonitor().read(5 * SECOND_NS, 5 * SECOND_NS + 20_000_000)
    assert (reading.age_ms, reading.problem) == (20.0, "")


def test_a_zero_stamp_has_no_age() -> None:
    reading = StampMonitor().read(0, 5 * SECOND_NS)
    assert (reading.age_ms, reading.problem) == (0.0, "zero stamp")


def test_a_bag_that_starts_again_is_noticed_once() -> None:
    monitor = StampMonitor()
    problems = [monitor.read(s * SECOND_NS, 9 * SECOND_NS).problem for s in (1, 2, 3, 1, 2, 3)]
    assert problems == ["", "", "", "stamp ran backwards", "", ""]
