"""Stand-in for ``ros2 bag play`` and ``ros2 bag record`` where rosbag2 is not installed.

``python ros2_bag.py bag play|record ...`` takes rosbag2's options as far as replay.launch.py uses
them, and does as rosbag2 does in what a replay depends on: the paused player has its publishers
and /clock, its service resumes it; the recorder finds publishers by polling, and under simulated
time only once there is a /clock.
"""

from __future__ import annotations

import argparse
import importlib
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from rclpy.time import Time
from rosbags.rosbag2 import Reader, StoragePlugin, Writer
from rosgraph_msgs.msg import Clock
from std_srvs.srv import Empty

from yolact_ros.evaluation.bag.reading.messages import default_typestore

POLL_S = 0.1


def parser() -> argparse.ArgumentParser:
    """Options of rosbag2 from 0.26.4 (Jazzy) on, as far as the commands may use them."""
    parser = argparse.ArgumentParser(prog="ros2 bag", exit_on_error=False, allow_abbrev=False)
    verbs = parser.add_subparsers(dest="verb", required=True)
    play = verbs.add_parser("play", exit_on_error=False, allow_abbrev=False)
    play.add_argument("bag_path", nargs="?")
    play.add_argument("-r", "--rate", type=float, default=1.0)
    play.add_argument("--topics", nargs="+", default=[])
    play.add_argument("--qos-profile-overrides-path")
    play.add_argument("-l", "--loop", action="store_true")
    play.add_argument("--remap", "-m", nargs="+", default="")
    play.add_argument("--clock", type=float, nargs="?", const=40, default=0)
    play.add_argument("--disable-keyboard-controls", action="store_true")
    play.add_argument("-p", "--start-paused", action="store_true")
    play.add_argument("--start-offset", type=float, default=0.0)
    record = verbs.add_parser("record", exit_on_error=False, allow_abbrev=False)
    record.add_argument("-o", "--output")
    record.add_argument("--topics", nargs="+", default=[])
    record.add_argument("--use-sim-time", action="store_true")
    return parser


def main() -> int:
    assert sys.argv[1] == "bag", sys.argv
    args = parser().parse_args(sys.argv[2:])
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    executor = SingleThreadedExecutor()
    if args.verb == "play":
        play(args, stop, executor)
    else:
        record(args, stop, executor)
    executor.shutdown()
    rclpy.try_shutdown()
    return 0


def play(args: argparse.Namespace, stop: threading.Event, executor: Any) -> None:
    node = rclpy.create_node("rosbag2_player")
    executor.add_node(node)
    renamed = dict(pair.split(":=") for pair in args.remap)
    with Reader(Path(args.bag_path)) as reader:
        publishers = {
            connection.topic: node.create_publisher(
                message_type(connection.msgtype),
                renamed.get(connection.topic, connection.topic),
                QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE),
            )
            for connection in reader.connections
        }
        start_ns = reader.start_time + int(args.start_offset * 1e9)
        clock = node.create_publisher(Clock, "/clock", 1)
        paused = threading.Event() if args.start_paused else None
        elapsed_s = 0.0
        resumed_s = time.monotonic()

        def now_ns() -> int:
            held = paused is not None and not paused.is_set()
            return start_ns + (
                0 if held else int((time.monotonic() - resumed_s) * args.rate * 1e9)
            )

        def tick() -> None:
            clock.publish(Clock(clock=Time(nanoseconds=now_ns()).to_msg()))

        def resume(_: Empty.Request, response: Empty.Response) -> Empty.Response:
            nonlocal resumed_s
            assert paused is not None
            resumed_s = time.monotonic()
            paused.set()
            return response

        node.create_service(Empty, "~/resume", resume)
        if args.clock:
            node.create_timer(1 / args.clock, tick)
        while paused is not None and not paused.is_set() and not stop.is_set():
            executor.spin_once(timeout_sec=POLL_S)
        while not stop.is_set():
            for connection, time_ns, data in reader.messages(start=start_ns):
                due_s = (time_ns - start_ns) / 1e9 / args.rate
                while (elapsed_s := time.monotonic() - resumed_s) < due_s and not stop.is_set():
                    executor.spin_once(timeout_sec=due_s - elapsed_s)
                if stop.is_set():
                    return
                publishers[connection.topic].publish(bytes(data))
            if not args.loop:
                # As rosbag2, which takes a moment to end.
                stop.wait(POLL_S)
                return
            resumed_s = time.monotonic()


def record(args: argparse.Namespace, stop: threading.Event, executor: Any) -> None:
    node = rclpy.create_node(
        "rosbag2_recorder",
        parameter_overrides=[Parameter("use_sim_time", value=args.use_sim_time)],
    )
    executor.add_node(node)
    writer = Writer(Path(args.output), version=9, storage_plugin=StoragePlugin.MCAP)
    store = default_typestore()
    subscribed: set[str] = set()
    with writer:

        def subscribe(topic: str, kind: str) -> None:
            connection = writer.add_connection(topic, kind, typestore=store)

            def write(data: bytes) -> None:
                writer.write(connection, node.get_clock().now().nanoseconds, data)

            node.create_subscription(
                message_type(kind), topic, write, offered(node, topic), raw=True
            )

        look_s = 0.0
        while not stop.is_set():
            if time.monotonic() > look_s and node.get_clock().now().nanoseconds:
                look_s = time.monotonic() + POLL_S
                for topic, kinds in node.get_topic_names_and_types():
                    wanted = topic in args.topics and topic not in subscribed
                    if wanted and node.count_publishers(topic):
                        subscribed.add(topic)
                        subscribe(topic, kinds[0])
            executor.spin_once(timeout_sec=POLL_S)


def offered(node: Node, topic: str) -> QoSProfile:
    """What every publisher of the topic offers."""
    offers = [info.qos_profile for info in node.get_publishers_info_by_topic(topic)]
    reliable = all(offer.reliability == ReliabilityPolicy.RELIABLE for offer in offers)
    kind = ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT
    return QoSProfile(depth=10, reliability=kind)


def message_type(name: str) -> Any:
    package, _, message = name.split("/")
    return getattr(importlib.import_module(f"{package}.msg"), message)


if __name__ == "__main__":
    sys.exit(main())
