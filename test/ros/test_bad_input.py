"""Parameters and images that cannot be used: refused, counted, reported once, survived."""

from __future__ import annotations

import array
from collections import Counter
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not here")

from rclpy.serialization import serialize_message
from ros_camera import HEIGHT_PX, HandCamera, image_message
from ros_client import RosClient
from ros_fixtures import NODE, TINY_CLASSES, TINY_INPUT_SIZE_PX
from ros_processes import Process
from sensor_msgs.msg import Image

from yolact_ros.ros.parameter_spec import ParameterSpec
from yolact_ros.ros.parameters import PARAMETERS


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("score_threshold", 1.5, "out of range"),
        ("top_k", 0, "out of range"),
        ("top_k", "many", "expected a whole number"),
        ("mask_encoding", "png", "expected one of bits, rle, none"),
        ("classes", ["persn"], "no class 'persn'; did you mean 'person'?"),
        ("frame_budget_ms", -1.0, "out of range"),
        ("input_size", [32], "input_size has 32, expected 0 or 64..2048 px"),
        ("input_size", [64, 128], "expected the largest first and none twice"),
        ("model", "other.pth", "fixed while the node is configured; deactivate and clean up"),
        ("autostart", False, "read-only"),
    ],
)
def test_a_bad_value_is_refused_with_the_reason_and_the_old_one_stays(
    running_node: Process, client: RosClient, name: str, value: object, reason: str
) -> None:
    before = client.get_parameter(NODE, name)
    result = client.set_parameter(NODE, name, value)
    assert not result.successful
    assert reason in result.reason
    assert client.get_parameter(NODE, name) == before


def another_value(spec: ParameterSpec) -> object:
    """One that the tiny model can have."""
    special: dict[str, object] = {
        "classes": [TINY_CLASSES[1]],
        "input_size": [2 * TINY_INPUT_SIZE_PX],
        "target_frame": "odom",
    }
    if spec.name in special:
        return special[spec.name]
    if spec.choices:
        return next(choice for choice in spec.choices if choice != spec.default)
    if isinstance(spec.default, bool):
        return not spec.default
    assert spec.limits is not None
    return type(spec.default)((spec.default + spec.limits[1]) / 2)


@pytest.mark.parametrize(
    "spec", [spec for spec in PARAMETERS if spec.change == "live"], ids=lambda spec: spec.name
)
def test_every_live_parameter_can_be_set_between_two_frames(
    camera: HandCamera, spec: ParameterSpec
) -> None:
    client = camera.client

    def segment_fresh_image() -> None:
        message = image_message()
        message.header.stamp = client.node.get_clock().now().to_msg()
        camera.segment(message)

    before, other = client.get_parameter(NODE, spec.name), another_value(spec)
    assert other != before
    result = client.set_parameter(NODE, spec.name, other)
    assert result.successful, result.reason
    assert client.get_parameter(NODE, spec.name) == other
    segment_fresh_image()
    wrong = client.set_parameter(NODE, spec.name, True if other is not True else "true")
    assert not wrong.successful
    assert spec.name in wrong.reason
    assert client.get_parameter(NODE, spec.name) == other
    assert client.set_parameter(NODE, spec.name, before).successful
    segment_fresh_image()


def test_refused_values_are_counted(running_node: Process, client: RosClient) -> None:
    before = client.diagnostics(NODE, "node")
    client.set_parameter(NODE, "mask_encoding", "png")
    client.set_parameter(NODE, "score_threshold", 2.0)
    refused = int(before.get("errors parameter", 0))
    # More where a request was sent again.
    client.wait_for_diagnostics(
        NODE, lambda v: int(v.get("errors parameter", 0)) >= refused + 2, "node"
    )


def test_an_empty_list_and_whole_numbers_are_taken(
    running_node: Process, client: RosClient
) -> None:
    assert client.set_parameter(NODE, "classes", []).successful
    assert client.get_parameter(NODE, "classes") == []
    assert client.set_parameter(NODE, "nms_threshold", 1).successful
    assert client.get_parameter(NODE, "nms_threshold") == 1.0
    assert client.set_parameter(NODE, "nms_threshold", 0.5).successful


def test_descriptors_say_what_a_parameter_is(running_node: Process, client: RosClient) -> None:
    descriptor = client.describe_parameter(NODE, "frame_budget_ms")
    assert "Deadline from the reception" in descriptor.description
    assert descriptor.additional_constraints == "0..60000 ms"
    assert descriptor.floating_point_range[0].to_value == 60000.0
    assert client.describe_parameter(NODE, "autostart").read_only


def broken(**fields: Any) -> Image:
    message = image_message(70)
    for name, value in fields.items():
        setattr(message, name, value)
    return message


def test_a_storm_of_bad_images_is_counted_by_cause_and_the_next_good_one_is_processed(
    camera: HandCamera, running_node: Process
) -> None:
    client = camera.client
    storm: list[tuple[str, Image | bytes]] = [
        ("encoding", broken(encoding="holographic")),
        ("size", broken(width=0)),
        ("size", broken(height=0)),
        ("size", broken(step=1)),
        ("size", broken(step=0)),
        ("truncated", broken(height=HEIGHT_PX + 1)),
        ("truncated", broken(data=array.array("B"))),
        ("truncated", broken(width=2**31, step=2**32 - 1)),
        ("truncated", serialize_message(image_message())[:-100]),
        ("truncated", b"\x00\x01\x00\x00"),
        ("malformed", b"\x00\x03\x00\x00" + bytes(100)),
    ]
    before = client.diagnostics(NODE)
    expected = Counter(f"errors {cause}" for cause, _ in storm)

    def all_counted(values: dict[str, str]) -> bool:
        missing = {
            key
            for key, count in expected.items()
            if int(values.get(key, 0)) - int(before.get(key, 0)) < count
        }
        # One that was replaced by the next before the worker took it is sent again.
        for cause, message in storm:
            if f"errors {cause}" in missing:
                camera.publisher.publish(message)
                client.spin_for(0.05)
        return not missing

    values = client.wait_for_diagnostics(NODE, all_counted)
    assert int(values["dropped failed"]) - int(before["dropped failed"]) >= len(storm)
    camera.segment(image_message(71))
    lines = [line for line in running_node.output.splitlines() if "holographic" in line]
    assert len(lines) == 1
    assert "is not supported; publish one of bgr8" in lines[0]
    assert "Traceback" not in running_node.output


def test_zero_stamps_are_processed_and_reported(camera: HandCamera) -> None:
    message = image_message(0)
    message.header.stamp.nanosec = 0
    assert camera.segment(message).report.image_age_ms == 0.0
    values = camera.client.diagnostics(NODE)
    assert int(values["warnings zero stamp"]) > 0
