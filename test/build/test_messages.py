"""The messages of an environment that has ROS: their fields, and a trip through the wire."""

from __future__ import annotations

import array
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2; ./dev test brings it")

from rclpy.serialization import deserialize_message, serialize_message
from yolact_ros.msg import (
    FrameReport,
    Instance,
    InstanceArray,
    InstanceMask,
    Object3D,
    Object3DArray,
)
from yolact_ros.srv import Segment

ROOT = Path(__file__).parents[2]

FIELDS = {
    InstanceArray: {
        "header": "std_msgs/Header",
        "image_height": "uint32",
        "image_width": "uint32",
        "instances": "sequence<yolact_ros/Instance>",
        "report": "yolact_ros/FrameReport",
    },
    Instance: {
        "class_id": "uint16",
        "class_name": "string",
        "score": "float",
        "x_min": "float",
        "y_min": "float",
        "x_max": "float",
        "y_max": "float",
        "mask": "yolact_ros/InstanceMask",
        "track_id": "uint32",
        "track_age": "uint32",
    },
    InstanceMask: {
        "encoding": "uint8",
        "x_offset": "uint32",
        "y_offset": "uint32",
        "width": "uint32",
        "height": "uint32",
        "counts": "sequence<uint32>",
        "data": "sequence<uint8>",
    },
    Object3D: {
        "class_id": "uint16",
        "class_name": "string",
        "score": "float",
        "track_id": "uint32",
        "located": "boolean",
        "reason": "string",
        "centroid": "geometry_msgs/Point",
        "box_pose": "geometry_msgs/Pose",
        "box_size": "geometry_msgs/Vector3",
        "distance": "float",
        "spread": "float",
        "num_points": "uint32",
        "velocity_known": "boolean",
        "velocity": "geometry_msgs/Vector3",
    },
    Object3DArray: {
        "header": "std_msgs/Header",
        "objects": "sequence<yolact_ros/Object3D>",
        "depth_stamp": "builtin_interfaces/Time",
        "box_upright": "boolean",
        "velocity_frame": "string",
    },
    FrameReport: {
        "budget_ms": "float",
        "image_age_ms": "float",
        "wait_ms": "float",
        "preprocess_ms": "float",
        "inference_ms": "float",
        "postprocess_ms": "float",
        "total_ms": "float",
        "frames_dropped": "uint32",
        "deadline_met": "boolean",
        "input_size": "uint16",
        "degradation": "uint8",
    },
}


@pytest.mark.parametrize("message", FIELDS, ids=lambda message: message.__name__)
def test_fields_are_those_of_the_interface_in_their_order(message: type) -> None:
    assert list(message.get_fields_and_field_types().items()) == list(FIELDS[message].items())


def test_constants_keep_their_values() -> None:
    assert (InstanceMask.NONE, InstanceMask.BITS, InstanceMask.RLE) == (0, 1, 2)
    assert [
        FrameReport.DEGRADE_NONE,
        FrameReport.DEGRADE_INPUT,
        FrameReport.DEGRADE_INSTANCES,
        FrameReport.DEGRADE_MASKS,
        FrameReport.DEGRADE_BOXES,
    ] == [0, 1, 2, 4, 8]


def test_the_service_takes_an_image_and_answers_with_instances() -> None:
    assert Segment.Request.get_fields_and_field_types() == {"image": "sensor_msgs/Image"}
    assert list(Segment.Response.get_fields_and_field_types().items()) == [
        ("success", "boolean"),
        ("message", "string"),
        ("result", "yolact_ros/InstanceArray"),
    ]


INTERFACES = sorted([*(ROOT / "msg").glob("*.msg"), *(ROOT / "srv").glob("*.srv")])


@pytest.mark.parametrize("path", INTERFACES, ids=lambda path: path.stem)
def test_every_field_and_constant_has_its_own_comment(path: Path) -> None:
    lines = path.read_text().splitlines()
    for number, line in enumerate(lines):
        if line and not line.startswith(("#", "---")):
            assert lines[number - 1].startswith("#"), f"{path.name}: no comment above {line!r}"
            if line.endswith("_ms"):
                assert "milliseconds" in " ".join(lines[number - 2 : number]), line


def full_message() -> InstanceArray:
    message = InstanceArray()
    message.header.frame_id = "camera_optical_frame"
    message.header.stamp.sec, message.header.stamp.nanosec = 1_763_000_000, 999_999_999
    message.image_height, message.image_width = 1080, 1920
    bits = Instance(class_id=65535, class_name="dining table", score=0.875)
    bits.x_min, bits.y_min, bits.x_max, bits.y_max = -0.5, 1.25, 1920.0, 1080.0
    bits.mask.encoding = InstanceMask.BITS
    bits.mask.width, bits.mask.height = 9, 2
    bits.mask.data = array.array("B", [0xFF, 0x81, 0x40])
    runs = Instance(class_id=0, class_name="Fahrräder", score=1.0)
    runs.mask.encoding = InstanceMask.RLE
    runs.mask.x_offset, runs.mask.y_offset = 4_294_967_295, 7
    runs.mask.counts = array.array("I", [0, 3, 4_294_967_295])
    message.instances = [bits, runs]
    message.report = FrameReport(budget_ms=33.25, image_age_ms=-2.5, frames_dropped=3)
    message.report.deadline_met, message.report.input_size = True, 550
    message.report.degradation = FrameReport.DEGRADE_INPUT | FrameReport.DEGRADE_BOXES
    return message


def test_a_message_survives_the_wire_unchanged() -> None:
    message = full_message()
    arrived = deserialize_message(serialize_message(message), InstanceArray)
    assert arrived == message
    assert arrived.instances[0].mask.data.tobytes() == b"\xff\x81\x40"
    assert list(arrived.instances[1].mask.counts) == [0, 3, 4_294_967_295]
    assert arrived.instances[1].class_name == "Fahrräder"
    assert arrived.report.degradation == 9


def test_an_empty_frame_is_a_message_too() -> None:
    arrived = deserialize_message(serialize_message(InstanceArray()), InstanceArray)
    assert arrived.instances == []
    assert arrived.report.degradation == FrameReport.DEGRADE_NONE


def installed_site() -> Path:
    """Folder of the colcon install that holds yolact_ros."""
    for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep):
        if entry and Path(entry) != ROOT and (Path(entry) / "yolact_ros" / "msg").is_dir():
            return Path(entry)
    pytest.skip("the package is not built beside this checkout; ./dev test does")


def import_report(python_path: list[Path]) -> list[str]:
    """Where a fresh interpreter finds the package and its messages with that PYTHONPATH."""
    program = (
        "import yolact_ros, yolact_ros.config, yolact_ros.msg, yolact_ros.srv\n"
        "import rclpy.serialization as wire\n"
        "wire.serialize_message(yolact_ros.msg.InstanceArray())\n"
        "wire.serialize_message(yolact_ros.srv.Segment.Request())\n"
        "for module in (yolact_ros, yolact_ros.config, yolact_ros.msg): print(module.__file__)\n"
        "print(yolact_ros.__version__)"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, python_path))}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=env,
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_installed_package_needs_no_checkout() -> None:
    site = installed_site()
    package, config, messages, version = import_report([site])
    assert Path(package) == site / "yolact_ros" / "__init__.py"
    assert Path(config) == site / "yolact_ros" / "config.py"
    assert Path(messages) == site / "yolact_ros" / "msg" / "__init__.py"
    assert re.fullmatch(r"\d+\.\d+\.\d+", version)


def test_checkout_first_uses_its_modules_with_the_built_messages() -> None:
    site = installed_site()
    package, config, messages, _ = import_report([ROOT, site])
    assert Path(package) == ROOT / "yolact_ros" / "__init__.py"
    assert Path(config) == ROOT / "yolact_ros" / "config.py"
    assert Path(messages) == site / "yolact_ros" / "msg" / "__init__.py"


def test_programs_are_where_ros2_run_looks() -> None:
    prefix = next(
        Path(entry)
        for entry in os.environ["AMENT_PREFIX_PATH"].split(os.pathsep)
        if (Path(entry) / "share" / "yolact_ros" / "package.xml").is_file()
    )
    for program in ("lib/yolact_ros/yolact_node", "lib/yolact_ros/yolact", "bin/yolact"):
        assert os.access(prefix / program, os.X_OK), program
    assert (prefix / "share" / "yolact_ros" / "config" / "fastdds.xml").is_file()
