"""Velocities and upright boxes, with a stand-in for tf2.

The ROS wheels have no tf2. The stand-in answers as tf2_ros.Buffer does, so that all but the
listening to /tf is the node's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not here")

from depth_camera import calibration, depth_message, stamp_of
from ros_camera import image_message
from ros_client import RosClient
from ros_node import NodeInThread, node_in_thread
from sensor_msgs.msg import CameraInfo, Image
from yolact_ros.msg import InstanceArray, Object3DArray

from yolact_ros.ros import transforms

FRAME_S = 0.1
SPEED_M_S = 0.5
# The optical frame in odom, of a camera that looks along x: z forward is x, x right is -y.
QUATERNION = {"x": -0.5, "y": 0.5, "z": -0.5, "w": 0.5}


class NoTransform(Exception):
    """As tf2_ros.TransformException."""


class StandInBuffer:
    """Knows one transform that never changes, until it is gone."""

    gone = False

    def lookup_transform(self, target: str, source: str, time: Any) -> Any:
        if self.gone or (target, source) != ("odom", "camera_optical_frame"):
            raise NoTransform(f'"{target}" passed to lookupTransform does not exist')
        transform = SimpleNamespace(
            rotation=SimpleNamespace(**QUATERNION),
            translation=SimpleNamespace(x=1.0, y=2.0, z=3.0),
        )
        return SimpleNamespace(transform=transform)


class StandInListener:
    def __init__(self, buffer: StandInBuffer, node: object) -> None:
        self.buffer = buffer

    def unregister(self) -> None:
        pass


@pytest.fixture
def reached(
    domain_id: int, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[NodeInThread]:
    monkeypatch.setattr(StandInBuffer, "gone", False)
    for name, value in (
        ("TF2_INSTALLED", True),
        ("Buffer", StandInBuffer),
        ("TransformListener", StandInListener),
        ("TransformException", NoTransform),
    ):
        monkeypatch.setattr(transforms, name, value, raising=False)
    parameters: dict[str, object] = {
        "depth_image": "/reached_depth/image",
        "target_frame": "odom",
        "tracker": "bytetrack",
        # Another runtime has slightly other masks, and the middle of what they show jumps.
        "runtime": "eager",
    }
    with node_in_thread(domain_id, tiny_model, **parameters) as running:
        yield running


def test_what_comes_nearer_has_its_velocity_in_the_fixed_frame_until_tf_is_gone(
    client: RosClient, reached: NodeInThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = client.node.create_publisher(Image, "/reached_image", 5)
    depth = client.node.create_publisher(Image, "/reached_depth/image", 5)
    info = client.node.create_publisher(CameraInfo, "/reached_depth/camera_info", 5)
    messages, _ = client.collect(Object3DArray, "/reached/objects")
    instances, _ = client.collect(InstanceArray, "/reached/instances")
    client.spin_until(
        lambda: depth.get_subscription_count() and info.get_subscription_count(), "the node"
    )
    frame = 0

    def shoot() -> Object3DArray | None:
        """The objects of the next frame, in which the plane is 0.05 m nearer."""
        nonlocal frame
        frame += 1
        stamp_ns = 7_000_000_000 + round(frame * FRAME_S * 1e9)
        distance_m = 15.0 - SPEED_M_S * FRAME_S * frame
        info.publish(calibration())
        depth.publish(stamp_of(depth_message(distance_m), stamp_ns))
        image.publish(stamp_of(image_message(), stamp_ns))
        client.spin_for(0.15)
        stamped = [m for m in messages if m.header.stamp.sec * 10**9 >= 7 * 10**9]
        return stamped[-1] if stamped else None

    def known() -> Object3DArray | None:
        found = shoot()
        return found if found and any(o.velocity_known for o in found.objects) else None

    found = client.spin_until(known, "a velocity")
    assert found.velocity_frame == "odom"
    assert found.box_upright
    for thing in (o for o in found.objects if o.velocity_known):
        velocity = thing.velocity
        # The same pixels see ever smaller a part of the plane, so they move towards the axis too.
        toward = SPEED_M_S / thing.centroid.z
        expected = (-SPEED_M_S, thing.centroid.x * toward, thing.centroid.y * toward)
        assert (velocity.x, velocity.y, velocity.z) == pytest.approx(expected, abs=0.02)

    monkeypatch.setattr(StandInBuffer, "gone", True)

    def gone() -> bool:
        found = shoot()
        warned = "no tf" in reached.node._frames.cameras[0].warnings.counts()
        return found is not None and found.velocity_frame == "" and warned

    client.spin_until(gone, "objects without tf")
    assert not any(thing.velocity_known for thing in messages[-1].objects)
    assert any(thing.located for thing in messages[-1].objects)
    assert instances[-1].header.stamp == messages[-1].header.stamp
