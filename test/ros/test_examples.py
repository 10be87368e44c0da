"""The Python example consumers, each in its own process over DDS."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from geometry_msgs.msg import Twist
from ros_client import RosClient
from ros_processes import Process
from sensor_msgs.msg import CameraInfo, Image, PointCloud2, PointField
from yolact_ros.msg import Instance, InstanceArray, InstanceMask, Object3D, Object3DArray

EXAMPLES = Path(__file__).parents[2] / "examples" / "python"
HEIGHT_PX, WIDTH_PX = 120, 160


def cup_of_20_by_20() -> InstanceArray:
    """One instance with its mask at rows 50 to 69 and columns 110 to 129."""
    mask = InstanceMask(encoding=InstanceMask.BITS, x_offset=110, y_offset=50, width=20, height=20)
    mask.data = array("B", np.packbits(np.ones((20, 20), np.bool_)).tobytes())
    instances = InstanceArray(image_height=HEIGHT_PX, image_width=WIDTH_PX)
    instances.instances = [Instance(class_name="cup", score=0.9, mask=mask)]
    instances.header.stamp.sec = 7
    return instances


class Feed:
    """Publishes messages to an example until it answers.

    The inputs are taken best effort and the topics are not ordered among each other.
    """

    def __init__(self, client: RosClient, messages: Mapping[str, Any]) -> None:
        self._client = client
        self._messages = messages
        self._publishers = {
            topic: client.node.create_publisher(type(message), topic, 5)
            for topic, message in messages.items()
        }

    def publish(self) -> None:
        for topic, message in self._messages.items():
            self._publishers[topic].publish(message)
            self._client.spin_for(0.1)

    def close(self) -> None:
        for publisher in self._publishers.values():
            self._client.node.destroy_publisher(publisher)


def test_object_distance_prints_where_the_masked_object_is(
    client: RosClient, ros_env: dict[str, str], tmp_path: Path
) -> None:
    # The cup is 40 px right of the optical axis, 2 m away, before a wall at 5 m.
    depth_mm = np.full((HEIGHT_PX, WIDTH_PX), 5000, np.uint16)
    depth_mm[50:70, 110:130] = 2000
    info = CameraInfo(height=HEIGHT_PX, width=WIDTH_PX)
    info.k = [100.0, 0.0, 79.5, 0.0, 100.0, 59.5, 0.0, 0.0, 1.0]
    depth = Image(height=HEIGHT_PX, width=WIDTH_PX, encoding="16UC1", step=2 * WIDTH_PX)
    depth.data = array("B", depth_mm.tobytes())
    depth.header.stamp.sec = 7
    feed = Feed(client, {"camera_info": info, "depth": depth, "instances": cup_of_20_by_20()})

    def publish_and_look() -> str:
        feed.publish()
        return process.output

    command = [sys.executable, str(EXAMPLES / "object_distance.py")]
    with Process(command, ros_env, tmp_path / "example.log") as process:
        output = client.spin_until(publish_and_look, "a line of the example")
    feed.close()
    assert output.splitlines()[0] == "cup at x 0.80 y 0.00 z 2.00 m"


def test_follow_person_stays_with_the_person_that_it_chose(
    client: RosClient, ros_env: dict[str, str], tmp_path: Path
) -> None:
    def people(*rows: tuple[int, int, float]) -> InstanceArray:
        message = InstanceArray(image_height=HEIGHT_PX, image_width=WIDTH_PX)
        message.instances = [
            Instance(
                class_name="person", track_id=track_id, track_age=age, x_min=x - 10, x_max=x + 10
            )
            for track_id, age, x in rows
        ]
        return message

    command = [sys.executable, str(EXAMPLES / "follow_person.py")]
    with Process(command, ros_env, tmp_path / "example.log") as process:
        publisher = client.node.create_publisher(InstanceArray, "instances", 5)

        def told(message: InstanceArray, line: str) -> None:
            def is_told() -> bool:
                publisher.publish(message)
                client.spin_for(0.1)
                return line in process.output.splitlines()

            client.spin_until(is_told, line)

        # Seven was there for longest; nine is nearer to the middle and comes to be older.
        told(people((0, 0, 80.0), (9, 3, 80.0), (7, 5, 120.0)), "person 7: turn +0.50")
        told(people((9, 9, 80.0), (7, 6, 40.0)), "person 7: turn -0.50")
        told(people((9, 10, 80.0)), "person 9: turn +0.00")
        client.node.destroy_publisher(publisher)


def test_follow_at_distance_drives_towards_the_nearest_person_and_stays_with_it(
    client: RosClient, ros_env: dict[str, str], tmp_path: Path
) -> None:
    def people(*rows: tuple[int, float, float]) -> Object3DArray:
        message = Object3DArray()
        for track_id, x, z in rows:
            person = Object3D(class_name="person", track_id=track_id, located=True)
            person.centroid.x, person.centroid.z = x, z
            person.distance = float(np.hypot(x, z))
            message.objects.append(person)
        lost = Object3D(class_name="person", track_id=1, reason="too few depth pixels (0 of 9)")
        message.objects += [lost, Object3D(class_name="cup", track_id=2, located=True)]
        return message

    command = [sys.executable, str(EXAMPLES / "follow_at_distance.py")]
    with Process(command, ros_env, tmp_path / "example.log"):
        publisher = client.node.create_publisher(Object3DArray, "objects", 5)
        commands, _ = client.collect(Twist, "cmd_vel")

        def driven(message: Object3DArray, forward: float, turn: float) -> None:
            def is_driven() -> bool:
                publisher.publish(message)
                client.spin_for(0.1)
                return bool(commands) and (
                    commands[-1].linear.x,
                    commands[-1].angular.z,
                ) == pytest.approx((forward, turn), abs=1e-6)

            client.spin_until(is_driven, f"{forward} m/s and {turn} rad/s")

        driven(people((9, 0.0, 3.0), (7, 0.0, 2.0)), 0.4, 0.0)
        # Nine is nearer now; seven went on, to the left.
        driven(people((9, 0.0, 1.0), (7, -2.0, 2.0)), 0.5, np.pi / 4)
        # Nobody: stop.
        driven(people(), 0.0, 0.0)
        # Too near: back.
        driven(people((9, 0.0, 1.0)), -0.4, 0.0)


def coloured_cloud() -> tuple[PointCloud2, np.ndarray]:
    """An organised cloud with padded rows, and its points: x, y, z and a colour number."""
    dtype = np.dtype({"names": ["x", "y", "z", "rgb"], "formats": ["<f4"] * 3 + ["<u4"]})
    points = np.zeros((HEIGHT_PX, WIDTH_PX), dtype)
    points["x"], points["y"] = np.meshgrid(np.arange(WIDTH_PX), np.arange(HEIGHT_PX))
    points["z"] = 2.0
    points["rgb"] = np.arange(points.size).reshape(points.shape)
    # Two points of the cup that the camera did not see.
    points["z"][50, 110:112] = np.nan
    rows = points.view(np.uint8).reshape(HEIGHT_PX, -1)
    rows = np.pad(rows, ((0, 0), (0, 8)))
    cloud = PointCloud2(height=HEIGHT_PX, width=WIDTH_PX, point_step=16, row_step=rows.shape[1])
    cloud.fields = [
        PointField(name=name, offset=4 * place, datatype=kind, count=1)
        for place, (name, kind) in enumerate(
            [(axis, PointField.FLOAT32) for axis in "xyz"] + [("rgb", PointField.UINT32)]
        )
    ]
    cloud.data = array("B", rows.tobytes())
    cloud.header.stamp.sec = 7
    cloud.header.frame_id = "camera_optical_frame"
    return cloud, points


def test_object_clouds_publishes_the_points_of_each_mask(
    client: RosClient, ros_env: dict[str, str], tmp_path: Path
) -> None:
    cloud, points = coloured_cloud()
    feed = Feed(client, {"points": cloud, "instances": cup_of_20_by_20()})
    parts, _ = client.collect(PointCloud2, "/object_clouds/object_0")
    others, _ = client.collect(PointCloud2, "/object_clouds/object_1")

    def publish_and_look() -> bool:
        feed.publish()
        return bool(parts and others)

    command = [sys.executable, str(EXAMPLES / "object_clouds.py")]
    with Process(command, ros_env, tmp_path / "example.log") as process:
        client.spin_until(publish_and_look, "the points of the cup")
        assert "Traceback" not in process.output
    feed.close()
    cup = points[50:70, 110:130].ravel()[2:]
    assert parts[0].header == cloud.header
    assert (parts[0].height, parts[0].width, parts[0].row_step) == (1, 398, 398 * 16)
    assert bytes(parts[0].data) == cup.tobytes()
    assert parts[0].fields == cloud.fields
    assert others[0].width == 0


def test_object_clouds_names_the_cure_for_a_cloud_without_rows(
    client: RosClient, ros_env: dict[str, str], tmp_path: Path
) -> None:
    cloud, _ = coloured_cloud()
    cloud.height, cloud.width = 1, HEIGHT_PX * WIDTH_PX
    feed = Feed(client, {"points": cloud, "instances": cup_of_20_by_20()})

    def publish_and_look() -> bool:
        feed.publish()
        return "use an organised cloud" in process.output

    command = [sys.executable, str(EXAMPLES / "object_clouds.py")]
    with Process(command, ros_env, tmp_path / "example.log") as process:
        client.spin_until(publish_and_look, "the reason")
        assert "the cloud has 1 rows of 19200 points, the image is 160 x 120" in process.output
    feed.close()
