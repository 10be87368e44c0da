"""The Python example consumer, in its own process over DDS."""

from __future__ import annotations

import sys
from array import array
from pathlib import Path

import numpy as np
from ros_client import RosClient
from ros_processes import Process
from sensor_msgs.msg import CameraInfo, Image
from yolact_ros.msg import Instance, InstanceArray, InstanceMask

EXAMPLE = Path(__file__).parents[2] / "examples" / "python" / "object_distance.py"


def cup_at_two_metres() -> tuple[CameraInfo, Image, InstanceArray]:
    """A square 40 px right of the optical axis, 2 m away, before a wall at 5 m."""
    depth_mm = np.full((120, 160), 5000, np.uint16)
    depth_mm[50:70, 110:130] = 2000
    info = CameraInfo(height=120, width=160)
    info.k = [100.0, 0.0, 79.5, 0.0, 100.0, 59.5, 0.0, 0.0, 1.0]
    depth = Image(height=120, width=160, encoding="16UC1", step=320)
    depth.data = array("B", depth_mm.tobytes())
    mask = InstanceMask(encoding=InstanceMask.BITS, x_offset=110, y_offset=50, width=20, height=20)
    mask.data = array("B", np.packbits(np.ones((20, 20), np.bool_)).tobytes())
    instances = InstanceArray(image_height=120, image_width=160)
    instances.instances = [Instance(class_name="cup", score=0.9, mask=mask)]
    depth.header.stamp.sec = instances.header.stamp.sec = 7
    return info, depth, instances


def test_the_example_prints_where_the_masked_object_is(
    client: RosClient, ros_env: dict[str, str], tmp_path: Path
) -> None:
    messages = dict(zip(("camera_info", "depth", "instances"), cup_at_two_metres(), strict=True))
    publishers = {
        topic: client.node.create_publisher(type(message), topic, 5)
        for topic, message in messages.items()
    }

    def publish_and_look() -> str:
        # The depth image is taken best effort and the topics are not ordered among each other.
        for topic, message in messages.items():
            publishers[topic].publish(message)
            client.spin_for(0.1)
        return process.output

    with Process([sys.executable, str(EXAMPLE)], ros_env, tmp_path / "example.log") as process:
        output = client.spin_until(publish_and_look, "a line of the example")
    assert output.splitlines()[0] == "cup at x 0.80 y 0.00 z 2.00 m"
