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
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

import cv2
import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus
from numpy.typing import NDArray
from rclpy.executors import Executor
from rclpy.node import Node
from sensor_msgs.msg import Image

from yolact_ros.errors import ImageError, YolactError
from yolact_ros.evaluation.benchmark.sample_images import read_images
from yolact_ros.inference.cdr import MessageHeader
from yolact_ros.inference.sources import open_source
from yolact_ros.ros.conversions import to_image_message
from yolact_ros.ros.observer import (
    listen_to,
    observer,
    runtime_is_chosen,
    sees_images,
    spin_until,
    spin_until_settled,
)
from yolact_ros.ros.qos import result_qos
from yolact_ros.signals import StopSignal

__all__ = ["Played", "TimedFrame", "main", "play"]

SETTLE_S = 0.3
FRAME_ID = "camera"


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
        period_s: lateness from which on it is skipped.
    """

    image_bgr: NDArray[np.uint8]
    time_s: float
    period_s: float


def main(argv: Sequence[str], stop: StopSignal) -> int:
    """Play until the duration is over or SIGINT or SIGTERM comes; returns the exit code."""
    args = _parser().parse_args(argv)
    stop.ends_itself()
    try:
        with observer("demo_camera") as (node, executor):
            publisher = node.create_publisher(Image, args.topic, result_qos(depth=1))
            print(
                f"demo_camera: {args.topic} is there, and waits for subscribers", file=sys.stderr
            )
            topics = (publisher.topic_name, *(args.wait_for or ()))
            _wait_for_subscribers(node, executor, topics, args.wait_s, stop)
            if args.wait_for_node is not None:
                _wait_for_node(node, executor, args.wait_for_node, args.node_wait_s, stop)
            played = play(
                _frames(args),
                lambda image_bgr: publisher.publish(_to_message(node, image_bgr)),
                duration_s=args.duration,
                stopped=stop.is_set,
                sleep=stop.wait,
            )
            print(json.dumps(asdict(played)), flush=True)
            stop.wait(SETTLE_S)  # the last frame is on its way
    except YolactError as error:
        print(f"demo_camera: {error}", file=sys.stderr)
        return 1
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
        duration_s: when to stop, if the images last longer; 0 plays them all.
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


def _wait_for_subscribers(
    node: Node, executor: Executor, topics: Sequence[str], timeout_s: float, stop: StopSignal
) -> None:
    """Return once the topics have subscribers and keep them."""
    missing = spin_until_settled(
        executor,
        lambda: " and ".join(topic for topic in topics if node.count_subscribers(topic) == 0),
        settle_s=SETTLE_S,
        timeout_s=timeout_s,
        stopped=stop.is_set,
    )
    if missing:
        raise ImageError(f"nobody subscribed to {missing} within {timeout_s:g} s")


def _wait_for_node(
    node: Node, executor: Executor, watched: str, timeout_s: float, stop: StopSignal
) -> None:
    """Return once the node named ``watched`` has its final runtime and sees us, or after a while.

    Without images the runtimes are measured sooner. On a busy machine the node can find our topic
    seconds after we found its subscription; a clip of a second was over by then.
    """
    missing = "chosen its runtime"

    def read(own: Mapping[str, DiagnosticStatus]) -> None:
        nonlocal missing
        if runtime_is_chosen(own):
            missing = "" if sees_images(own) else "found the images"

    subscription = listen_to(node, watched, read)
    if not spin_until(executor, lambda: not missing or stop.is_set(), timeout_s):
        print(
            f"demo_camera: playing, though {watched} has not {missing} within {timeout_s:g} s",
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


def _to_message(node: Node, image_bgr: NDArray[np.uint8]) -> Image:
    stamp = node.get_clock().now().to_msg()
    return to_image_message(MessageHeader(stamp.sec, stamp.nanosec, FRAME_ID), image_bgr, "bgr8")


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
    parser.add_argument(
        "--wait-for", action="append", metavar="TOPIC", help="start when it has a subscriber"
    )
    parser.add_argument(
        "--wait-for-node", metavar="NODE", help="start when it is ready and sees the images"
    )
    parser.add_argument("--node-wait-s", type=float, default=40.0, help="but not later")
    parser.add_argument("--wait-s", type=float, default=60.0, help="longest wait for subscribers")
    return parser
