"""What the node reports about itself on /diagnostics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from yolact_ros.ros.silence import why_no_result
from yolact_ros.ros.statistics import CameraStatistics, StatisticsSnapshot

__all__ = ["CameraReport", "NodeReport", "camera_status", "node_status"]

QUIET_S = 2.0
# A hundredth of the frames may miss the deadline before the level becomes a warning.
TOLERATED_SHARE = 0.01
NOTHING = CameraStatistics().snapshot()


@dataclass(frozen=True)
class CameraReport:
    """One camera at the end of an interval.

    Attributes:
        delivery: reliability in use and why; empty while not subscribed.
        previous: the snapshot before, None at the first.
        errors: faults by cause, since configure.
        warnings: warnings by cause, since configure.
        objects: what is known about objects in 3D, where there is depth.
    """

    label: str
    topic: str
    delivery: str
    publishers: int
    snapshot: StatisticsSnapshot
    previous: StatisticsSnapshot | None
    errors: Mapping[str, int]
    warnings: Mapping[str, int]
    objects: Sequence[tuple[str, object]] = ()


@dataclass(frozen=True)
class NodeReport:
    """The node at the end of an interval.

    Attributes:
        enabled: false after ``~/set_enabled``.
        problem: why it could not be configured; empty where it could.
        values: model, device and memory, in the order in which they are shown.
        errors: refused parameters and internal errors by cause, since the start.
    """

    state: str
    enabled: bool
    problem: str
    values: Sequence[tuple[str, object]] = ()
    errors: Mapping[str, int] = field(default_factory=dict)


def node_status(report: NodeReport, name: str) -> DiagnosticStatus:
    """State, model and memory. ERROR where the node could not be configured."""
    if report.problem:
        level, text = DiagnosticStatus.ERROR, report.problem
    elif report.state != "active":
        level, text = DiagnosticStatus.WARN, f"the node is {report.state}"
    elif not report.enabled:
        level, text = DiagnosticStatus.WARN, "switched off by ~/set_enabled"
    else:
        level, text = DiagnosticStatus.OK, "active"
    values = [("state", report.state), ("enabled", report.enabled), *report.values]
    values += [(f"errors {cause}", count) for cause, count in sorted(report.errors.items())]
    return _status(level, f"{name}: node", text, name, values)


def camera_status(report: CameraReport, name: str) -> DiagnosticStatus:
    """Rates, latencies and drops of one camera; the level is about the last interval only."""
    now, before = report.snapshot, report.previous or NOTHING
    dropped = {cause: count - before.dropped[cause] for cause, count in now.dropped.items()}
    failed = dropped["failed"]
    lost = now.lost - before.lost
    misses = now.deadline_misses - before.deadline_misses
    published = now.published - before.published
    no_result = "" if published else why_no_result(dropped)
    if not report.delivery:
        level, text = DiagnosticStatus.OK, "not subscribed"
    elif report.publishers == 0:
        level, text = DiagnosticStatus.WARN, f"nobody publishes on {report.topic}"
    elif failed:
        level, text = DiagnosticStatus.ERROR, f"{failed} images could not be processed"
    elif now.quiet_s > QUIET_S:
        level, text = DiagnosticStatus.STALE, f"no image for {now.quiet_s:.0f} s"
    elif no_result:
        level, text = DiagnosticStatus.WARN, no_result
    elif lost:
        level, text = DiagnosticStatus.WARN, f"the transport lost {lost} images"
    elif misses > TOLERATED_SHARE * max(published, 1):
        level, text = DiagnosticStatus.WARN, f"{misses} of {published} results were late"
    else:
        level, text = DiagnosticStatus.OK, f"{now.published_hz:.1f} results a second"
    values: list[tuple[str, object]] = [
        ("topic", report.topic),
        ("delivery", report.delivery or "not subscribed"),
        ("publishers", report.publishers),
        ("received (Hz)", f"{now.received_hz:.2f}"),
        ("published (Hz)", f"{now.published_hz:.2f}"),
        ("latency p50 (ms)", f"{now.latency_p50_ms:.2f}"),
        ("latency p95 (ms)", f"{now.latency_p95_ms:.2f}"),
        ("latency p99 (ms)", f"{now.latency_p99_ms:.2f}"),
        ("received", now.received),
        ("published", now.published),
        ("deadline misses", now.deadline_misses),
        ("degraded", now.degraded),
        ("batched", now.batched),
        ("lost in transport", now.lost),
        *report.objects,
    ]
    values += [(f"dropped {cause}", count) for cause, count in now.dropped.items()]
    values += [(f"errors {cause}", count) for cause, count in sorted(report.errors.items())]
    values += [(f"warnings {cause}", count) for cause, count in sorted(report.warnings.items())]
    return _status(level, f"{name}: {report.label}", text, report.topic, values)


def _status(
    level: bytes, name: str, message: str, hardware_id: str, values: Sequence[tuple[str, object]]
) -> DiagnosticStatus:
    return DiagnosticStatus(
        level=level,
        name=name,
        message=message,
        hardware_id=hardware_id,
        values=[KeyValue(key=key, value=str(value)) for key, value in values],
    )
