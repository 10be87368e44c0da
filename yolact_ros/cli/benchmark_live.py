"""A node between a camera and a measuring subscriber, each in its own process, over DDS."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from yolact_ros.cli.demo_plan import IMAGE_TOPIC, NODE_NAME, node_command, program
from yolact_ros.cli.demo_processes import Child, free_domain_id, stop_all
from yolact_ros.errors import DataError, YolactError
from yolact_ros.evaluation.benchmark.live_record import (
    CONNECTED,
    FIRST_RESULT,
    FrameAccount,
    ResultRecord,
    read_records,
)
from yolact_ros.resources import find_resource
from yolact_ros.transport_profile import PROFILE_VARIABLES, profile_variable
from yolact_ros.workers import how_it_ended

__all__ = ["LiveRun", "LiveSettings", "run_live"]

# Images that the camera keeps in memory and plays over and over.
KEPT_IMAGES = 16
POLL_S = 0.05
# Beyond the duration: the last results, then a second of diagnostics.
AFTER_S = 30.0


@dataclass(frozen=True)
class LiveSettings:
    """What runs.

    Attributes:
        size_px: width and height that its images are scaled to.
        parameters: of the node, as ``name:=value``.
        shipped_profile: use config/fastdds.xml; False takes what Fast DDS does by itself.
        output: existing folder for records and logs.
        node_prefix: what the node is started with, such as ``("chrt", "--rr", "1")``.
    """

    source: str
    size_px: tuple[int, int]
    rate_hz: float
    duration_s: float
    parameters: tuple[str, ...]
    shipped_profile: bool
    output: Path
    node_prefix: tuple[str, ...] = ()
    timeout_s: float = 120.0


@dataclass(frozen=True)
class LiveRun:
    """What came of it.

    Attributes:
        counters: the node's last diagnostics of the camera.
        cpu_percent: CPU time of the node over wall time, 100 = one core.
    """

    records: list[ResultRecord]
    published: int
    counters: Mapping[str, str]
    cpu_percent: float

    def counter(self, name: str) -> int:
        """A number of the diagnostics; 0 if there is none."""
        return int(self.counters.get(name, 0))

    @property
    def account(self) -> FrameAccount:
        """What the node says became of the frames."""
        drops = {name: int(n) for name, n in self.counters.items() if name.startswith("dropped ")}
        replaced, skipped = drops.get("dropped replaced", 0), drops.get("dropped skipped", 0)
        return FrameAccount(
            received=self.counter("received"),
            published=self.counter("published"),
            replaced=replaced,
            skipped=skipped,
            otherwise_dropped=sum(drops.values()) - replaced - skipped,
        )


def run_live(
    settings: LiveSettings,
    environment: Mapping[str, str],
    *,
    meanwhile: Callable[[float], object] | None = None,
) -> LiveRun:
    """Start node, subscriber and camera, wait for the camera's end, and end them all.

    Args:
        meanwhile: called all the time with the seconds since the first result.

    Raises:
        YolactError: one of them failed; the message has its last lines.
    """
    children: list[Child] = []
    try:
        return _run(settings, _environment(settings, environment), children, meanwhile)
    finally:
        stop_all(children)


def _run(
    settings: LiveSettings,
    environment: Mapping[str, str],
    children: list[Child],
    meanwhile: Callable[[float], object] | None,
) -> LiveRun:
    records = settings.output / "records.jsonl"
    counters = settings.output / "counters.json"
    for stale in (records, counters):
        stale.unlink(missing_ok=True)

    def start(name: str, command: tuple[str, ...]) -> Child:
        child = Child(name, command, settings.output / f"{name}.log", environment)
        children.append(child)
        return child

    node = start("node", _node_command(settings))
    probe = start("probe", _probe_command(records, counters))
    # Not before: a result that is published before DDS has connected the subscriber is lost to it.
    _wait(
        lambda: CONNECTED in probe.last_lines(),
        settings.timeout_s,
        children,
        "the node did not get ready",
    )
    camera = start("camera", _camera_command(settings))
    _wait(
        lambda: FIRST_RESULT in probe.last_lines(),
        settings.timeout_s,
        children,
        "no result came",
    )
    begun_s, begun_cpu_s = time.monotonic(), node.cpu_s()
    cpu_percent = 0.0

    def camera_ended() -> bool:
        nonlocal cpu_percent
        elapsed_s = time.monotonic() - begun_s
        if meanwhile is not None:
            meanwhile(elapsed_s)
        if camera.exit_code() is not None:
            return True
        cpu_percent = 100.0 * (node.cpu_s() - begun_cpu_s) / max(elapsed_s, POLL_S)
        return False

    _wait(camera_ended, settings.duration_s + AFTER_S, children, "the camera did not end")
    published = camera.last_json().get("published")
    if published is None:
        raise DataError(f"{camera.log}: the camera does not say how many images it sent")
    _wait(lambda: probe.exit_code() == 0, AFTER_S, children, "the subscriber did not end")
    return LiveRun(
        records=read_records(records),
        published=int(published),
        counters=json.loads(counters.read_text(encoding="utf-8")),
        cpu_percent=cpu_percent,
    )


def _wait(
    condition: Callable[[], bool], timeout_s: float, children: list[Child], problem: str
) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        for child in children:
            code = child.exit_code()
            # The node, the first, has no end of its own.
            if code is not None and (code or child is children[0]):
                raise _failed(child, how_it_ended(code))
        if time.monotonic() > deadline_s:
            raise _failed(children[0], f"{problem} within {timeout_s:g} s")
        time.sleep(POLL_S)


def _failed(child: Child, what: str) -> YolactError:
    return YolactError(f"{child.name}: {what}; {child.last_words()}")


def _environment(settings: LiveSettings, environment: Mapping[str, str]) -> dict[str, str]:
    result = {key: value for key, value in environment.items() if key not in PROFILE_VARIABLES}
    if settings.shipped_profile:
        profile = find_resource("config/fastdds.xml")
        if profile is None:
            raise DataError("config/fastdds.xml is not installed with the package")
        result[profile_variable(environment)] = str(profile)
    # Topics of a robot in the same network would disturb the measurement, and it them.
    result["ROS_DOMAIN_ID"] = str(free_domain_id())
    result["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    return result


def _node_command(settings: LiveSettings) -> tuple[str, ...]:
    return node_command(IMAGE_TOPIC, settings.parameters, settings.node_prefix)


def _probe_command(records: Path, counters: Path) -> tuple[str, ...]:
    return (
        *program("benchmark_probe"),
        "--node", NODE_NAME,
        "--image", IMAGE_TOPIC,
        "--records", str(records),
        "--counters", str(counters),
    )  # fmt: skip


def _camera_command(settings: LiveSettings) -> tuple[str, ...]:
    return (
        *program("demo_camera"),
        "--source", settings.source,
        "--topic", IMAGE_TOPIC,
        "--rate", f"{settings.rate_hz:g}",
        "--duration", f"{settings.duration_s:g}",
        "--size", *map(str, settings.size_px),
        "--preload", str(KEPT_IMAGES),
        "--wait-for", f"/{NODE_NAME}/instances",
        "--wait-for-node", f"/{NODE_NAME}",
        # Results of another runtime than the one that is measured are none.
        "--node-wait-s", f"{2 * settings.timeout_s:g}",
        "--wait-s", f"{settings.timeout_s:g}",
    )  # fmt: skip
