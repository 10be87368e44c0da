"""Levels of the diagnostics: what is wrong now, not what once was."""

from __future__ import annotations

from dataclasses import replace

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not here")

from diagnostic_msgs.msg import DiagnosticStatus

from yolact_ros.ros.diagnostics import CameraReport, NodeReport, camera_status, node_status
from yolact_ros.ros.statistics import DROP_CAUSES, CameraStatistics, StatisticsSnapshot

QUIET = CameraStatistics(clock=lambda: 0.0).snapshot()
BUSY = replace(QUIET, received=90, published=60, published_hz=30.0, quiet_s=0.0)


TOO_OLD = (
    "30 images and no result, since they are older than max_image_age_ms on arrival; cure: "
    "use_sim_time for a bag or simulator, clocks that agree, or a larger max_image_age_ms"
)


def report(snapshot: StatisticsSnapshot, **changes: object) -> CameraReport:
    base = CameraReport("image", "/image", "reliable: why", 1, snapshot, BUSY, {}, {})
    return replace(base, **changes)  # type: ignore[arg-type]


def later(**changes: object) -> StatisticsSnapshot:
    return replace(BUSY, **{"published": 90, **changes})  # type: ignore[arg-type]


def dropped(**counts: int) -> dict[str, int]:
    return dict.fromkeys(DROP_CAUSES, 0) | counts


@pytest.mark.parametrize(
    ("camera", "level", "text"),
    [
        (report(later()), DiagnosticStatus.OK, "30.0 results a second"),
        (report(later(), delivery=""), DiagnosticStatus.OK, "not subscribed"),
        (report(later(), publishers=0), DiagnosticStatus.WARN, "nobody publishes on /image"),
        (report(later(quiet_s=3.0)), DiagnosticStatus.STALE, "no image for 3 s"),
        (report(later(lost=4)), DiagnosticStatus.WARN, "the transport lost 4 images"),
        (report(later(deadline_misses=1)), DiagnosticStatus.WARN, "1 of 30 results were late"),
        (
            report(later(dropped=dropped(failed=2))),
            DiagnosticStatus.ERROR,
            "2 images could not be processed",
        ),
        (
            report(later(published=60, dropped=dropped(stale=30, replaced=60))),
            DiagnosticStatus.WARN,
            TOO_OLD,
        ),
        (
            report(later(published=61, dropped=dropped(stale=30))),
            DiagnosticStatus.OK,
            "30.0 results a second",
        ),
        (report(BUSY, previous=None), DiagnosticStatus.OK, "30.0 results a second"),
    ],
)
def test_the_level_is_about_the_last_interval(
    camera: CameraReport, level: bytes, text: str
) -> None:
    status = camera_status(camera, "yolact")
    assert (status.level, status.message) == (level, text)


def test_trouble_that_is_over_is_not_reported_again() -> None:
    troubled = replace(BUSY, lost=9, deadline_misses=9, dropped=dropped(failed=9))
    camera = report(replace(troubled, published=90), previous=troubled)
    assert camera_status(camera, "yolact").level == DiagnosticStatus.OK


def test_every_drop_cause_and_fault_is_a_value() -> None:
    camera = report(later(), errors={"encoding": 3}, warnings={"zero stamp": 2})
    values = {item.key: item.value for item in camera_status(camera, "yolact").values}
    assert {f"dropped {cause}" for cause in DROP_CAUSES} <= set(values)
    assert (values["errors encoding"], values["warnings zero stamp"]) == ("3", "2")


@pytest.mark.parametrize(
    ("node", "level", "text"),
    [
        (NodeReport("active", True, ""), DiagnosticStatus.OK, "active"),
        (NodeReport("inactive", True, ""), DiagnosticStatus.WARN, "the node is inactive"),
        (NodeReport("active", False, ""), DiagnosticStatus.WARN, "switched off by ~/set_enabled"),
        (NodeReport("unconfigured", True, "no model"), DiagnosticStatus.ERROR, "no model"),
    ],
)
def test_a_node_that_cannot_work_says_why(node: NodeReport, level: bytes, text: str) -> None:
    status = node_status(node, "yolact")
    assert (status.level, status.message) == (level, text)
