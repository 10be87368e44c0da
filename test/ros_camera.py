"""A camera in the test's process: images made by hand, and the node's answers to them."""

from __future__ import annotations

import array

import numpy as np
from rclpy.publisher import Publisher
from ros_client import RosClient
from ros_fixtures import NODE
from sensor_msgs.msg import Image
from yolact_ros.msg import InstanceArray

__all__ = ["HEIGHT_PX", "WIDTH_PX", "HandCamera", "image_message", "picture"]

HEIGHT_PX, WIDTH_PX = 90, 120


def picture(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (HEIGHT_PX, WIDTH_PX, 3), np.uint8)


def image_message(stamp_sec: int = 7, pixels: np.ndarray | None = None) -> Image:
    pixels = picture() if pixels is None else pixels
    message = Image(height=HEIGHT_PX, width=WIDTH_PX, step=3 * WIDTH_PX, encoding="bgr8")
    message.header.stamp.sec = stamp_sec
    message.header.stamp.nanosec = 123456789
    message.header.frame_id = "camera_optical_frame"
    message.data = array.array("B", pixels.tobytes())
    return message


class HandCamera:
    """Publishes from the test's process and waits for answers."""

    def __init__(self, client: RosClient) -> None:
        self.client = client
        self.publisher: Publisher = client.node.create_publisher(Image, "/image", 1)
        self.messages, self.subscription = client.collect(InstanceArray, f"/{NODE}/instances")
        client.spin_until(
            lambda: self.publisher.get_subscription_count() and self._results_connected(),
            "the node's topics",
        )
        # The node may subscribe anew when it sees this publisher; ask until it answers.
        self.segment(image_message(1))

    def segment(self, message: Image) -> InstanceArray:
        """The answer to one image; published again until it comes, as a camera would."""
        self.messages.clear()
        stamp = message.header.stamp

        def answer() -> InstanceArray | None:
            self.publisher.publish(message)
            self.client.spin_for(0.1)
            return next((m for m in self.messages if m.header.stamp == stamp), None)

        return self.client.spin_until(answer, "the answer to an image")

    def _results_connected(self) -> bool:
        return self.client.node.count_publishers(f"/{NODE}/instances") > 0
