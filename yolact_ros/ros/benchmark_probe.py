"""``python -m yolact_ros.ros benchmark_probe``: notes every result of a node with its latency.

Writes a line of JSON for each result (:class:`~yolact_ros.evaluation.benchmark.live_record.
ResultRecord`), and at the end the node's own counters from the diagnostics. Prints a line when it
is connected to the node, so that the camera can start, and one at the first result. Ends when the
camera has gone and the counters stand still.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TextIO

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.node import Node

from yolact_ros.evaluation.benchmark.live_record import (
    CONNECTED,
    FIRST_RESULT,
    ResultRecord,
    to_line,
)
from yolact_ros.msg import InstanceArray, InstanceMask
from yolact_ros.ros.observer import listen_to, observer, spin_until, values_of
from yolact_ros.ros.qos import result_qos
from yolact_ros.ros.spinning import make_executor
from yolact_ros.signals import StopSignal

__all__ = ["Probe", "main"]

QUIET_S = 1.0
DEPTH = 200


class Probe:
    """Subscribes to the results and diagnostics of one node with one camera.

    Attributes:
        counters: the newest values of the camera's diagnostics.
        last_result_s, last_diagnostics_s: monotonic; None before the first.
    """

    def __init__(self, node: Node, watched: str, records: TextIO) -> None:
        self.counters: dict[str, str] = {}
        self.last_result_s: float | None = None
        self.last_diagnostics_s: float | None = None
        self._node = node
        self._records = records
        node.create_subscription(
            InstanceArray,
            f"/{watched}/instances",
            self._on_instances,
            # Room for all that comes while this process waits for a CPU.
            result_qos(DEPTH),
            event_callbacks=SubscriptionEventCallbacks(
                matched=lambda _: print(CONNECTED, flush=True)
            ),
        )
        listen_to(node, watched, self._on_diagnostics)

    def _on_instances(self, message: InstanceArray) -> None:
        received_ns = self._node.get_clock().now().nanoseconds
        stamp, report = message.header.stamp, message.report
        record = ResultRecord(
            stamp_ns=stamp.sec * 1_000_000_000 + stamp.nanosec,
            received_ns=received_ns,
            budget_ms=report.budget_ms,
            image_age_ms=report.image_age_ms,
            wait_ms=report.wait_ms,
            preprocess_ms=report.preprocess_ms,
            inference_ms=report.inference_ms,
            postprocess_ms=report.postprocess_ms,
            total_ms=report.total_ms,
            frames_dropped=report.frames_dropped,
            deadline_met=report.deadline_met,
            input_size=report.input_size,
            degradation=report.degradation,
            instances=len(message.instances),
            masks=sum(
                instance.mask.encoding != InstanceMask.NONE for instance in message.instances
            ),
        )
        self._records.write(to_line(record) + "\n")
        if self.last_result_s is None:
            print(FIRST_RESULT, flush=True)
        self.last_result_s = time.monotonic()

    def _on_diagnostics(self, own: Mapping[str, DiagnosticStatus]) -> None:
        if "image" in own:
            self.counters = values_of(own["image"])
            self.last_diagnostics_s = time.monotonic()


def main(argv: Sequence[str], stop: StopSignal) -> int:
    """Note results until the camera has gone or SIGINT or SIGTERM comes; returns 0."""
    args = _parser().parse_args(argv)
    stop.ends_itself(within_s=None)
    with observer("benchmark_probe", make_executor) as (node, executor):
        with args.records.open("w", encoding="utf-8") as records:
            probe = Probe(node, args.node, records)
            spin_until(
                executor, lambda: stop.is_set() or _is_over(node, probe, args.image), math.inf
            )
        args.counters.write_text(json.dumps(probe.counters), encoding="utf-8")
    return 0


def _is_over(node: Node, probe: Probe, image_topic: str) -> bool:
    """The camera has gone, and the diagnostics were sent after the last result."""
    if probe.last_result_s is None or probe.last_diagnostics_s is None:
        return False
    if node.count_publishers(image_topic) > 0:
        return False
    return probe.last_diagnostics_s - probe.last_result_s > QUIET_S


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmark_probe", description=__doc__)
    parser.add_argument("--node", required=True, help="name of the node to watch")
    parser.add_argument("--image", required=True, help="its image topic")
    parser.add_argument("--records", type=Path, required=True, help="file for the results")
    parser.add_argument("--counters", type=Path, required=True, help="file for its diagnostics")
    return parser
