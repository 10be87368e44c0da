"""A program that behaves like the node towards its topics: finds one person in the middle.

Modes: ``work``; ``blind`` (works, and says that nobody publishes images); ``die`` after ten
results; ``silent``; ``refuse`` (reports that it cannot be configured).
"""

from __future__ import annotations

import contextlib
import sys
import time

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image
from yolact_ros.msg import Instance, InstanceArray


def main() -> None:
    rclpy.init()
    node = rclpy.create_node("stub")
    mode = node.declare_parameter("mode", "work").value
    work_s = node.declare_parameter("work_s", 0.01).value
    results = node.create_publisher(InstanceArray, "~/instances", 5)
    overlays = node.create_publisher(Image, "~/overlay", 5)
    diagnostics = node.create_publisher(DiagnosticArray, "/diagnostics", 5)
    count = 0

    def on_image(image: Image) -> None:
        nonlocal count
        if mode == "silent":
            return
        time.sleep(work_s)
        message = InstanceArray(header=image.header, image_height=image.height)
        message.image_width = image.width
        message.instances = [Instance(class_name="person", score=0.9)]
        message.report.total_ms = work_s * 1e3
        message.report.deadline_met = True
        results.publish(message)
        pixels = np.frombuffer(image.data, np.uint8).reshape(image.height, image.width, 3).copy()
        middle = slice(image.height // 4, -image.height // 4)
        pixels[middle, image.width // 4 : -image.width // 4] //= 2
        image.data = pixels.tobytes()
        overlays.publish(image)
        count += 1
        if mode == "die" and count == 10:
            print("stub: out of imaginary memory", file=sys.stderr, flush=True)
            sys.exit(9)

    def complain() -> None:
        status = DiagnosticStatus(level=DiagnosticStatus.ERROR, name="stub: node")
        status.message = "cannot configure: nan in the weights"
        diagnostics.publish(DiagnosticArray(status=[status]))

    def report() -> None:
        seen = 0 if mode == "blind" else node.count_publishers(images.topic_name)
        statuses = [
            DiagnosticStatus(
                name=f"{node.get_name()}: {of}", values=[KeyValue(key=key, value=value)]
            )
            for of, key, value in (
                ("node", "runtime provisional", "False"),
                ("image", "publishers", str(seen)),
            )
        ]
        diagnostics.publish(DiagnosticArray(status=statuses))

    if mode == "refuse":
        node.create_timer(0.1, complain)
    else:
        images = node.create_subscription(Image, "image", on_image, QoSProfile(depth=1))
        node.create_timer(0.1, report)
    with contextlib.suppress(KeyboardInterrupt):
        rclpy.spin(node)


if __name__ == "__main__":
    main()
