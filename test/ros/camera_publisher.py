"""A camera in a process of its own: publishes images of one size at a steady rate.

Prints one JSON line when it is ready and one with the number of images published at the end.
SIGINT ends it.
"""

from __future__ import annotations

import argparse
import array
import json
import sys
import time

import numpy as np
import rclpy
from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import Image


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--topic", required=True)
    parser.add_argument("--reliability", choices=("reliable", "best_effort"), required=True)
    parser.add_argument("--size", type=int, nargs=2, required=True, metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--hz", type=float, default=30.0)
    parser.add_argument("--count", type=int, default=60)
    arguments = parser.parse_args()

    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node("camera")
    try:
        return publish(node, arguments)
    except KeyboardInterrupt:
        return 0
    finally:
        # The subscribers shall not wait for it.
        node.destroy_node()
        rclpy.try_shutdown()


def publish(node: Node, arguments: argparse.Namespace) -> int:
    publisher = node.create_publisher(
        Image,
        arguments.topic,
        QoSProfile(
            history=HistoryPolicy.KEEP_LAST,
            depth=1,
            reliability=ReliabilityPolicy[arguments.reliability.upper()],
        ),
    )
    message = make_image(*arguments.size)
    deadline_s = time.monotonic() + 120.0
    # The node may subscribe anew once it sees what is offered; wait until that has settled.
    settled_s = None
    while settled_s is None or time.monotonic() - settled_s < 1.0:
        matched = publisher.get_subscription_count() > 0
        settled_s = (settled_s or time.monotonic()) if matched else None
        if time.monotonic() > deadline_s:
            print(json.dumps({"error": "nobody subscribed"}), flush=True)
            return 1
        time.sleep(0.02)
    print(json.dumps({"ready": True}), flush=True)
    next_s = time.monotonic()
    for _ in range(arguments.count):
        message.header.stamp = node.get_clock().now().to_msg()
        publisher.publish(message)
        next_s = max(next_s + 1.0 / arguments.hz, time.monotonic())
        time.sleep(max(next_s - time.monotonic(), 0.0))
    print(json.dumps({"published": arguments.count}), flush=True)
    sys.stdin.readline()  # stay, so that the last image can be delivered
    return 0


def make_image(width_px: int, height_px: int) -> Image:
    pixels = array.array("B")
    noise = np.random.default_rng(0).integers(0, 256, (height_px, width_px, 3), np.uint8)
    pixels.frombytes(noise.tobytes())
    message = Image(height=height_px, width=width_px, step=3 * width_px, encoding="bgr8")
    message.header.frame_id = "camera_optical_frame"
    message.data = pixels
    return message


if __name__ == "__main__":
    sys.exit(main())
