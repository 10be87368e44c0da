"""Latency of ~/instances while nobody and while somebody looks at the node's views.

    python benchmarks/views.py --runtime openvino --rate 15
    python benchmarks/views.py --topics overlay markers --rounds 10
    python benchmarks/views.py --topics objects points object_markers --tracker bytetrack

Topics of objects in 3D bring a depth camera: a plane with noise, of the images' size and stamps.

A camera, the node and a viewer are processes of their own and talk over DDS. Phases with and
without the viewer's subscriptions take turns, so that both see the same load of the machine.
Prints FrameReport.total_ms (reception to publication) of both, their ratio, and the ratio of each
pair of phases; the CPU time is that of the node's process.
"""

from __future__ import annotations

import argparse
import os
import select
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from yolact_ros.msg import InstanceArray

from yolact_ros.cli.demo_plan import default_clip
from yolact_ros.cli.demo_processes import Child, free_domain_id, stop_all
from yolact_ros.inference.cdr import read_image
from yolact_ros.ros.conversions import to_header_message, to_image_message
from yolact_ros.ros.views import OBJECT_VIEWS, VIEWS

NODE = "benchmarked"
IMAGE_TOPIC = "/camera/image_raw"
DEPTH_TOPIC = "/depth/image_raw"
START_TIMEOUT_S = 900.0
SETTLE_S = 1.0


@dataclass
class Phases:
    """What was measured in all phases of one kind."""

    total_ms: list[list[float]] = field(default_factory=list)
    cpu_ms_a_frame: list[float] = field(default_factory=list)
    view_messages: int = 0

    @property
    def all_ms(self) -> list[float]:
        return [value for phase in self.total_ms for value in phase]


def main() -> None:
    """Start everything, take turns, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    topics = [view.topic for view in VIEWS]
    in_3d = [view.topic for view in OBJECT_VIEWS]
    parser.add_argument("--topics", nargs="+", default=topics, choices=[*topics, *in_3d])
    parser.add_argument("--tracker", default="none", help="the node's tracker")
    parser.add_argument("--runtime", default="openvino")
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--source", default="", help="clip; the demo's by default")
    parser.add_argument("--size", type=int, nargs=2, default=(640, 480))
    parser.add_argument("--rate", type=float, default=15.0, help="images a second")
    parser.add_argument("--rounds", type=int, default=8, help="pairs of phases")
    parser.add_argument("--phase-s", type=float, default=6.0)
    parser.add_argument("--view", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--depth-camera", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.view:
        watch(args.topics)
        return
    if args.depth_camera:
        publish_depth(*args.size)
        return
    args.depth = bool(set(args.topics) & set(in_3d))
    os.environ.setdefault("ROS_DOMAIN_ID", str(free_domain_id()))
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    with tempfile.TemporaryDirectory() as folder:
        print_table(measure(args, Path(folder)), args)


def measure(args: argparse.Namespace, folder: Path) -> dict[str, Phases]:
    """Run the processes and the phases; the keys are "off" and "on"."""
    python = (sys.executable, "-u", "-m", "yolact_ros.ros")
    node_command = [*python, "node", "--ros-args", "-r", f"__node:={NODE}"]
    node_command += ["-r", f"image:={IMAGE_TOPIC}"]
    parameters = [f"model:={args.model}", f"runtime:={args.runtime}", "frame_budget_ms:=0.0"]
    parameters += [f"tracker:={args.tracker}"]
    parameters += [f"depth_image:={DEPTH_TOPIC}"] if args.depth else []
    for parameter in parameters:
        node_command += ["-p", parameter]
    camera_command = [*python, "demo_camera", "--topic", IMAGE_TOPIC]
    camera_command += ["--source", args.source or str(default_clip()), "--rate", f"{args.rate}"]
    camera_command += ["--size", *map(str, args.size), "--duration", "86400", "--wait-s", "900"]
    node = Child("node", node_command, folder / "node.log", os.environ)
    camera = Child("camera", camera_command, folder / "camera.log", os.environ)
    others = [camera, node]
    if args.depth:
        depth_command = [sys.executable, "-u", __file__, "--depth-camera"]
        depth_command += ["--size", *map(str, args.size)]
        others.insert(0, Child("depth", depth_command, folder / "depth.log", os.environ))
    viewer = Viewer(args.topics)
    recorder = Recorder(f"/{NODE}/instances")
    try:
        recorder.wait_for_frames(10, START_TIMEOUT_S, (node, camera))
        kinds = {"off": Phases(), "on": Phases()}
        for number in range(args.rounds):
            # The order changes so that a drift of the machine's load favours neither.
            for kind in ("off", "on") if number % 2 == 0 else ("on", "off"):
                viewer.look(kind == "on")
                time.sleep(SETTLE_S)
                cpu_before_s, seen_before = cpu_time_s(node.pid), viewer.count()
                taken = recorder.record(args.phase_s)
                cpu_s, seen = cpu_time_s(node.pid) - cpu_before_s, viewer.count() - seen_before
                kinds[kind].total_ms.append(taken)
                kinds[kind].cpu_ms_a_frame.append(1e3 * cpu_s / max(len(taken), 1))
                kinds[kind].view_messages += seen
        return kinds
    finally:
        viewer.close()
        recorder.close()
        stop_all(others)


def print_table(kinds: dict[str, Phases], args: argparse.Namespace) -> None:
    """One row a kind of phase, and the ratios."""
    width_px, height_px = args.size
    print(f"{args.model} on {args.runtime}, {width_px}x{height_px} at {args.rate:g} Hz")
    print(f"views: {', '.join(args.topics)}")
    print("views  frames  p50 ms  p95 ms  node's CPU ms a frame  view messages")
    for kind, phases in kinds.items():
        values = phases.all_ms
        print(
            f"{kind:5}  {len(values):6}  {np.percentile(values, 50):6.2f}  "
            f"{np.percentile(values, 95):6.2f}  {statistics.median(phases.cpu_ms_a_frame):21.1f}  "
            f"{phases.view_messages:13}"
        )
    for percentile in (50, 95):
        off, on = (np.percentile(kinds[kind].all_ms, percentile) for kind in ("off", "on"))
        pairs = [
            float(np.percentile(with_views, percentile) / np.percentile(without, percentile))
            for without, with_views in zip(
                kinds["off"].total_ms, kinds["on"].total_ms, strict=True
            )
        ]
        print(
            f"p{percentile}: on / off {on / off:.3f}; of the {len(pairs)} rounds: median "
            f"{statistics.median(pairs):.3f}, {min(pairs):.3f} to {max(pairs):.3f}"
        )


class Recorder:
    """Receives every result in a thread of this process."""

    def __init__(self, topic: str) -> None:
        rclpy.init()
        self._node = rclpy.create_node("recorder")
        self._total_ms: list[float] = []
        qos = QoSProfile(depth=50, reliability=ReliabilityPolicy.RELIABLE)
        self._node.create_subscription(InstanceArray, topic, self._receive, qos)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def wait_for_frames(self, count: int, timeout_s: float, children: tuple[Child, ...]) -> None:
        """Return once ``count`` results have come; end the program if they will not."""
        deadline_s = time.monotonic() + timeout_s
        while len(self._total_ms) < count:
            gone = [child for child in children if child.exit_code() is not None]
            if gone or time.monotonic() > deadline_s:
                tail = "\n".join(line for child in children for line in child.last_lines())
                sys.exit(f"no results came:\n{tail}")
            time.sleep(0.1)

    def record(self, duration_s: float) -> list[float]:
        """The total_ms of the results of this time."""
        begin = len(self._total_ms)
        time.sleep(duration_s)
        return self._total_ms[begin:]

    def close(self) -> None:
        """Unsubscribe."""
        rclpy.try_shutdown()
        self._thread.join()

    def _receive(self, message: InstanceArray) -> None:
        self._total_ms.append(message.report.total_ms)

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except ExternalShutdownException:
            return


class Viewer:
    """The process that looks at the views, or looks away."""

    def __init__(self, topics: list[str]) -> None:
        command = [sys.executable, "-u", __file__, "--view", "--topics", *topics]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def look(self, wanted: bool) -> None:
        """Subscribe to every topic, or to none; returns when that is done."""
        self._ask("on" if wanted else "off")

    def count(self) -> int:
        """Messages received until now."""
        return int(self._ask("count"))

    def close(self) -> None:
        """End it."""
        self._process.communicate()

    def _ask(self, question: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{question}\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().strip()


def watch(topics: list[str]) -> None:
    """The viewer's process: obeys the lines of its standard input."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    rclpy.init()
    node = rclpy.create_node("viewer")
    types: dict[str, Any] = {view.topic: view.message_type for view in (*VIEWS, *OBJECT_VIEWS)}
    received = 0
    subscriptions: list[Any] = []

    def receive(_data: bytes) -> None:
        nonlocal received
        received += 1

    executor = SingleThreadedExecutor()
    executor.add_node(node)
    while True:
        executor.spin_once(timeout_sec=0.05)
        if not select.select([sys.stdin], [], [], 0)[0]:
            continue
        question = sys.stdin.readline().strip()
        if not question:
            break
        if question == "on" and not subscriptions:
            subscriptions = [
                # Raw, as a C++ viewer is cheap too.
                node.create_subscription(types[topic], f"/{NODE}/{topic}", receive, 1, raw=True)
                for topic in topics
            ]
        elif question == "off":
            while subscriptions:
                node.destroy_subscription(subscriptions.pop())
        print(received, flush=True)
    rclpy.try_shutdown()


def publish_depth(width_px: int, height_px: int) -> None:
    """The depth camera's process: for every image a plane at 2 m with noise, until it is ended."""
    rclpy.init()
    node = rclpy.create_node("depth_camera")
    qos = QoSProfile(depth=2, reliability=ReliabilityPolicy.RELIABLE)
    depths = node.create_publisher(Image, DEPTH_TOPIC, qos)
    infos = node.create_publisher(CameraInfo, DEPTH_TOPIC.replace("image_raw", "camera_info"), qos)
    noise = np.random.default_rng(0).normal(2000, 10, (height_px, width_px))
    plane = noise.astype(np.uint16)
    info = CameraInfo(width=width_px, height=height_px)
    info.k = [600.0, 0.0, width_px / 2, 0.0, 600.0, height_px / 2, 0.0, 0.0, 1.0]

    def publish(data: bytes) -> None:
        header = read_image(data).header
        info.header = to_header_message(header)
        infos.publish(info)
        depths.publish(to_image_message(header, plane, "16UC1"))

    node.create_subscription(Image, IMAGE_TOPIC, publish, qos, raw=True)
    try:
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        return


def cpu_time_s(pid: int) -> float:
    """User and system time of a process, so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
