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


def test_until_the_clock_of_a_looping_bag_has_gone_back_too_ages_are_unknown() -> None:
    """The bag lasts from second 10 to second 20, and /clock comes after two images."""
    monitor = StampMonitor()
    times = [(19.9, 20.0), (10.0, 20.0), (10.1, 20.0), (10.2, 10.2), (10.3, 10.4)]
    readings = [
        monitor.read(int(stamp * SECOND_NS), int(now * SECOND_NS), simulated=True)
        for stamp, now in times
    ]
    ages_ms = [round(reading.age_ms) for reading in readings]
    assert ages_ms == [100, 0, 0, 0, 100]
    assert [r.problem for r in readings] == ["", "stamp ran backwards", "", "", ""]


def test_a_clock_that_has_gone_back_before_the_images_gives_ages_at_once() -> None:
    monitor = StampMonitor()
    monitor.read(20 * SECOND_NS, 20 * SECOND_NS, simulated=True)
    reading = monitor.read(10 * SECOND_NS, 10 * SECOND_NS + 50_000_000, simulated=True)
    assert (reading.age_ms, reading.problem) == (50.0, "stamp ran backwards")


def test_stamps_that_run_backwards_on_a_clock_that_does_not_are_old_images() -> None:
    """Either the clock is the computer's, or nobody takes the simulated one back."""
    monitor = StampMonitor()
    monitor.read(20 * SECOND_NS, 20 * SECOND_NS)
    assert monitor.read(10 * SECOND_NS, 20 * SECOND_NS).age_ms == 10_000.0
    monitor = StampMonitor()
    monitor.read(20 * SECOND_NS, 20 * SECOND_NS, simulated=True)
    monitor.read(10 * SECOND_NS, 20 * SECOND_NS, simulated=True)
    assert monitor.read(11 * SECOND_NS, 21 * SECOND_NS, simulated=True).age_ms == 10_000.0


def test_a_simulated_clock_that_has_not_started_gives_no_age() -> None:
    reading = StampMonitor().read(5 * SECOND_NS, 0, simulated=True)
    assert (reading.age_ms, reading.problem) == (0.0, "no clock")
