"""``python -m yolact_ros.ros demo_viewer``: watches a node's results and keeps pictures.

Prints a live line, and leaves ``overlay.mp4``, ``contact_sheet.png`` and ``summary.json``. Ends
when the duration is over, or when the camera has gone and the last result is in.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.executors import Executor
from rclpy.node import Node
from sensor_msgs.msg import Image

from yolact_ros.errors import FrameFault, YolactError
from yolact_ros.evaluation.live import LiveStatistics, Result
from yolact_ros.evaluation.recording import ContactSheet, OverlayVideo
from yolact_ros.inference.bit_depth import BitDepth
from yolact_ros.inference.cdr import read_image
from yolact_ros.inference.encodings import image_to_bgr
from yolact_ros.msg import InstanceArray
from yolact_ros.ros.observer import IMAGE_TYPES, observer, published_images
from yolact_ros.ros.qos import result_qos
from yolact_ros.signals import StopSignal

__all__ = ["NO_RESULTS_EXIT_CODE", "Viewer", "main", "why_no_results"]

NO_RESULTS_EXIT_CODE = 3
CAMERA_GONE_S = 1.0
CAMERA_GONE_AT_MOST_S = 30.0
TERMINAL_PERIOD_S = 0.25
LOG_PERIOD_S = 2.0
REMEMBERED_CAPTIONS = 200


class Viewer:
    """Subscribes to results and overlays, counts and records them."""

    def __init__(self, node: Node, args: argparse.Namespace) -> None:
        self.statistics = LiveStatistics()
        self.video = OverlayVideo(args.output / "overlay.mp4", args.rate)
        self.sheet = ContactSheet()
        self.last_overlay_s: float | None = None
        self.complaint = ""
        self.node_failed = False
        self._node = node
        self._args = args
        self._captions: dict[int, str] = {}
        self._first_stamp_ns = 0
        qos = result_qos(depth=30)
        node.create_subscription(InstanceArray, args.instances, self._on_instances, qos)
        node.create_subscription(Image, args.overlay, self._on_overlay, qos, raw=True)
        node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)

    def why_no_results(self) -> str:
        """The likeliest reason, from the node's own complaint or from the ROS graph."""
        args = self._args
        reason = why_no_results(self._node, args.image, args.instances, args.overlay)
        return f"{reason}; the node says: {self.complaint}" if self.complaint else reason

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.level == DiagnosticStatus.ERROR:
                self.complaint = status.message
                self.node_failed |= status.name.endswith(": node")

    def _on_instances(self, message: InstanceArray) -> None:
        received_ns = self._node.get_clock().now().nanoseconds
        stamp = message.header.stamp
        stamp_ns = stamp.sec * 1_000_000_000 + stamp.nanosec
        names = tuple(instance.class_name for instance in message.instances)
        report = message.report
        self.statistics.add(
            Result(
                received_s=time.monotonic(),
                latency_ms=(received_ns - stamp_ns) / 1e6,
                total_ms=report.total_ms,
                deadline_met=report.deadline_met,
                frames_dropped=report.frames_dropped,
                class_names=names,
            )
        )
        self._first_stamp_ns = self._first_stamp_ns or stamp_ns
        best = {instance.class_name: instance.score for instance in reversed(message.instances)}
        found = ", ".join(
            f"{count} {name} {best[name]:.2f}" for name, count in Counter(names).most_common(3)
        )
        seconds = (stamp_ns - self._first_stamp_ns) / 1e9
        caption = f"{seconds:.1f} s   {report.total_ms:.0f} ms   {found or 'nothing'}"
        self._captions[stamp_ns] = caption
        if len(self._captions) > REMEMBERED_CAPTIONS:
            del self._captions[next(iter(self._captions))]

    def _on_overlay(self, data: bytes) -> None:
        try:
            message = read_image(data)
            image_bgr = image_to_bgr(message, BitDepth())
        except FrameFault:
            return  # the node sends no such image
        stamp_ns = message.header.stamp_ns
        self.last_overlay_s = time.monotonic()
        self.video.add(image_bgr, stamp_ns / 1e9)
        self.sheet.add(image_bgr, self._captions.pop(stamp_ns, ""))


def why_no_results(node: Node, image_topic: str, result_topic: str, own_topic: str) -> str:
    """The likeliest reason in one sentence, with what to look at.

    Args:
        image_topic, result_topic: input and instances of the segmentation node.
        own_topic: its overlay, which is no camera.
    """
    if node.count_publishers(result_topic) == 0:
        return "the node has not come up"
    if node.count_subscribers(image_topic) == 0:
        return f"the node is up but not active: it has not subscribed to {image_topic}"
    types = {info.topic_type for info in node.get_publishers_info_by_topic(image_topic)}
    if others := types - set(IMAGE_TYPES):
        return f"{image_topic} is of the type {min(others)}, expected sensor_msgs/msg/Image"
    if not types:
        there = [topic for topic in published_images(node) if topic != own_topic]
        return (
            f"nobody publishes images on {image_topic}; images are published on "
            f"{', '.join(there) or 'no topic at all'} (a camera on another machine needs the same "
            "ROS_DOMAIN_ID, and ROS_AUTOMATIC_DISCOVERY_RANGE other than LOCALHOST)"
        )
    return (
        f"images are published on {image_topic} and the node has subscribed, but no result came: "
        "the images may not arrive (reliability, shared memory) or may be refused"
    )


def main(argv: Sequence[str], stop: StopSignal) -> int:
    """Watch and record; returns 0, 1 or NO_RESULTS_EXIT_CODE on failure."""
    args = _parser().parse_args(argv)
    stop.ends_itself(within_s=None)  # no picture is cut off in the middle
    try:
        with observer("demo_viewer") as (node, executor):
            viewer = Viewer(node, args)
            code = _watch(node, executor, viewer, args, stop)
            _save(viewer, args.output)
            return code
    except YolactError as error:
        print(f"demo_viewer: {error}", file=sys.stderr)
        return 1


def _watch(
    node: Node, executor: Executor, viewer: Viewer, args: argparse.Namespace, stop: StopSignal
) -> int:
    line = _LiveLine()
    statistics = viewer.statistics
    started_s = time.monotonic()
    first_s: float | None = None
    try:
        while not stop.is_set():
            executor.spin_once(timeout_sec=0.05)
            now_s = time.monotonic()
            if statistics.count == 0:
                if viewer.node_failed:
                    print(f"demo_viewer: the node {viewer.complaint}", file=sys.stderr)
                    return NO_RESULTS_EXIT_CODE
                if now_s - started_s > args.timeout:
                    _complain(viewer, f"within {args.timeout:g} s")
                    return NO_RESULTS_EXIT_CODE
                continue
            first_s = first_s or now_s
            line.show(statistics, now_s)
            if args.duration and now_s - first_s >= args.duration:
                return 0
            silence_s = now_s - max(statistics.last_s, viewer.last_overlay_s or 0.0)
            if silence_s > CAMERA_GONE_S and node.count_publishers(args.image) == 0:
                # A slow node may still be at work on the last frame.
                patience_s = min(2 * statistics.longest_gap_s, CAMERA_GONE_AT_MOST_S)
                if silence_s > max(patience_s, CAMERA_GONE_S):
                    return 0
            if silence_s > args.timeout:
                line.end()
                _complain(viewer, f"for {args.timeout:g} s")
                return NO_RESULTS_EXIT_CODE
        return 0
    finally:
        line.end()


def _complain(viewer: Viewer, time_span: str) -> None:
    print(f"demo_viewer: no result {time_span}: {viewer.why_no_results()}", file=sys.stderr)


class _LiveLine:
    """One line that renews itself on a terminal; in a log, a line every two seconds."""

    def __init__(self) -> None:
        self._terminal = sys.stdout.isatty()
        self._shown_s = 0.0
        self._open = False

    def show(self, statistics: LiveStatistics, now_s: float) -> None:
        period_s = TERMINAL_PERIOD_S if self._terminal else LOG_PERIOD_S
        if now_s - self._shown_s < period_s:
            return
        self._shown_s = now_s
        text = statistics.line(now_s)
        if self._terminal:
            # A line that wraps could not be renewed.
            text = f"\r\x1b[K{text[: shutil.get_terminal_size().columns - 1]}"
        print(text, end="" if self._terminal else "\n", flush=True)
        self._open = True

    def end(self) -> None:
        if self._open and self._terminal:
            print(flush=True)
        self._open = False


def _save(viewer: Viewer, output: Path) -> None:
    viewer.video.close()
    summary: dict[str, Any] = viewer.statistics.summary()
    summary["overlays"] = viewer.last_overlay_s is not None
    if len(viewer.sheet):
        viewer.sheet.save(output / "contact_sheet.png")
    (output / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="demo_viewer", description=__doc__)
    parser.add_argument("--instances", default="/yolact_node/instances", metavar="TOPIC")
    parser.add_argument("--overlay", default="/yolact_node/overlay", metavar="TOPIC")
    parser.add_argument("--image", default="/camera/image_raw", help="the node's input topic")
    parser.add_argument("--output", type=Path, required=True, help="existing folder")
    parser.add_argument("--rate", type=float, default=30.0, help="of the video, frames a second")
    parser.add_argument(
        "--duration", type=float, default=0.0, help="seconds from the first result; 0: see above"
    )
    parser.add_argument("--timeout", type=float, default=60.0, help="longest silence, seconds")
    return parser
