"""``python -m yolact_ros.ros demo_camera``: plays a clip as a camera topic.

Prints one line of JSON at the end: the frames published, and those skipped because this process
was late.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass

import cv2
import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import Image

from yolact_ros.errors import ImageError, YolactError
from yolact_ros.evaluation.benchmark.sample_images import read_images
from yolact_ros.inference.sources import open_source
from yolact_ros.ros.wait_active import runtime_is_chosen
from yolact_ros.signals import StopSignal

__all__ = ["Played", "TimedFrame", "main", "play", "wait_for_runtime", "wait_for_subscribers"]

SETTLE_S = 0.3
POLL_S = 0.02


@dataclass(frozen=True)
class Played:
    """What was played: frames published, and frames left out to keep the rate."""

    published: int
    skipped: int


@dataclass(frozen=True)
class TimedFrame:
    """An image to publish.

    Attributes:
        image_bgr (uint8[H, W, 3]): the picture.
        time_s: since the first one.
        period_s: lateness from which on it is skipped.
    """

    image_bgr: NDArray[np.uint8]
    time_s: float
    period_s: float


def main(argv: Sequence[str], stop: StopSignal) -> int:
    """Play until the duration is over or SIGINT or SIGTERM comes; returns the exit code."""
    args = _parser().parse_args(argv)
    stop.ends_itself()
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node("demo_camera")
    try:
        qos = QoSProfile(
            history=HistoryPolicy.KEEP_LAST, depth=1, reliability=ReliabilityPolicy.RELIABLE
        )
        publisher = node.create_publisher(Image, args.topic, qos)
        print(f"demo_camera: {args.topic} is there, and waits for subscribers", file=sys.stderr)
        wait_for_subscribers(node, publisher, args.wait_for or (), args.wait_s, stop)
        if args.wait_for_runtime is not None:
            wait_for_runtime(node, args.wait_for_runtime, args.runtime_wait_s, stop)
        played = play(
            _frames(args),
            lambda image_bgr: publisher.publish(_to_message(node, image_bgr, args.frame_id)),
            duration_s=args.duration,
            stopped=stop.is_set,
            sleep=stop.wait,
        )
        print(json.dumps(asdict(played)), flush=True)
        stop.wait(SETTLE_S)  # the last frame is on its way
    except YolactError as error:
        print(f"demo_camera: {error}", file=sys.stderr)
        return 1
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
    return 0


def play(
    frames: Iterator[TimedFrame],
    publish: Callable[[NDArray[np.uint8]], None],
    *,
    duration_s: float,
    stopped: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
) -> Played:
    """Publish frames at their times; one that is late by a whole period is skipped.

    Args:
        frames: what to publish and when.
        publish: sends one image.
        duration_s: when to stop, if the images last longer; 0 plays them all.
        stopped: whether to stop before.
        clock: seconds, steady.
        sleep: waits the given seconds.
    """
    published = skipped = 0
    start_s = clock()
    for frame in frames:
        if duration_s and frame.time_s >= duration_s:
            break
        late_s = clock() - (start_s + frame.time_s)
        if late_s < 0:
            sleep(-late_s)
        if stopped():
            break
        if late_s > frame.period_s and frame.time_s:
            skipped += 1
            continue
        publish(frame.image_bgr)
        published += 1
    return Played(published, skipped)


def wait_for_subscribers(
    node: Node,
    publisher: Publisher,
    other_topics: Sequence[str],
    timeout_s: float,
    stop: StopSignal,
) -> None:
    """Return once the image topic and ``other_topics`` have subscribers and keep them.

    Raises:
        ImageError: a topic had none for ``timeout_s``; the message names it.
    """
    deadline_s = time.monotonic() + timeout_s
    complete_since_s: float | None = None
    while not stop.is_set():
        missing = [topic for topic in other_topics if node.count_subscribers(topic) == 0]
        if publisher.get_subscription_count() == 0:
            missing.insert(0, publisher.topic_name)
        now_s = time.monotonic()
        if missing:
            complete_since_s = None
            if now_s > deadline_s:
                raise ImageError(
                    f"nobody subscribed to {' and '.join(missing)} within {timeout_s:g} s"
                )
        elif complete_since_s is None:
            complete_since_s = now_s
        elif now_s - complete_since_s >= SETTLE_S:
            return
        stop.wait(POLL_S)


def wait_for_runtime(node: Node, watched: str, timeout_s: float, stop: StopSignal) -> None:
    """Return once the node named ``watched`` has the runtime that it will keep, or after a while.

    Without images the runtimes are measured sooner.
    """
    chosen = False

    def read(message: DiagnosticArray) -> None:
        nonlocal chosen
        chosen = chosen or runtime_is_chosen(message, watched)

    subscription = node.create_subscription(DiagnosticArray, "/diagnostics", read, 10)
    deadline_s = time.monotonic() + timeout_s
    while not (chosen or stop.is_set()) and time.monotonic() < deadline_s:
        rclpy.spin_once(node, timeout_sec=POLL_S)
    if not (chosen or stop.is_set()):
        print(
            f"demo_camera: playing, though {watched} has not chosen its runtime within "
            f"{timeout_s:g} s",
            file=sys.stderr,
        )
    node.destroy_subscription(subscription)


def _frames(args: argparse.Namespace) -> Iterator[TimedFrame]:
    """The source's frames, from the beginning again for as long as a duration is given."""
    if args.preload:
        with open_source(args.source) as source:
            period_s = 1.0 / (args.rate or source.rate_hz)
        kept = read_images(args.source, args.preload, args.size and tuple(args.size))
        for index, image_bgr in enumerate(itertools.cycle(kept) if args.duration else kept):
            yield TimedFrame(image_bgr, index * period_s, period_s)
        return
    start_s = 0.0
    while True:
        with open_source(args.source) as source:
            period_s = 1.0 / (args.rate or source.rate_hz)
            count = 0
            time_s = start_s
            for frame in source:
                image_bgr = frame.image_bgr
                if args.size is not None:
                    resized = cv2.resize(image_bgr, args.size, interpolation=cv2.INTER_CUBIC)
                    image_bgr = np.asarray(resized, dtype=np.uint8)
                time_s = start_s + (count * period_s if args.rate else frame.time_s)
                yield TimedFrame(image_bgr, time_s, period_s)
                count += 1
            start_s = time_s + period_s
        if count == 0:
            raise ImageError(f"{args.source}: not one image in it can be read")
        if not args.duration or source.is_live:
            return


def _to_message(node: Node, image_bgr: NDArray[np.uint8], frame_id: str) -> Image:
    message = Image()
    message.header.stamp = node.get_clock().now().to_msg()
    message.header.frame_id = frame_id
    message.height, message.width = image_bgr.shape[:2]
    message.encoding = "bgr8"
    message.step = message.width * 3
    # rclpy takes an array.array as it is; a NumPy array costs 57 ms a megabyte to check.
    message.data = array("B")
    message.data.frombytes(np.ascontiguousarray(image_bgr).data)
    return message


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="demo_camera", description=__doc__)
    parser.add_argument("--source", required=True, help="video, image, folder or camera index")
    parser.add_argument("--topic", default="/camera/image_raw")
    parser.add_argument("--rate", type=float, help="frames a second (default: its own times)")
    parser.add_argument("--duration", type=float, default=0.0, help="seconds; 0 plays it once")
    parser.add_argument("--size", type=int, nargs=2, metavar=("WIDTH", "HEIGHT"))
    parser.add_argument(
        "--preload", type=int, default=0, metavar="N", help="play the first N images only, kept "
        "in memory, so that decoding takes no time from other programs",
    )  # fmt: skip
    parser.add_argument("--frame-id", default="camera")
    parser.add_argument(
        "--wait-for", action="append", metavar="TOPIC", help="start when it has a subscriber"
    )
    parser.add_argument(
        "--wait-for-runtime", metavar="NODE", help="start when it has chosen its runtime"
    )
    parser.add_argument("--runtime-wait-s", type=float, default=40.0, help="but not later")
    parser.add_argument("--wait-s", type=float, default=60.0, help="longest wait for subscribers")
    return parser
