"""The C++ examples, built outside of the package as a user's program is: masks and objects."""

from __future__ import annotations

import os
import shutil
import subprocess
from array import array
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from yolact_ros.masks import mask_to_full, to_label_image
from yolact_ros.ops.packing import pack_bits, rle_encode

pytest.importorskip("yolact_ros.msg", reason="needs the package built by colcon (./dev test)")

from rclpy.serialization import serialize_message
from yolact_ros.msg import Instance, InstanceArray, InstanceMask, Object3D, Object3DArray

EXAMPLE = Path(__file__).parents[2] / "examples" / "cpp"
HEIGHT_PX, WIDTH_PX = 40, 60

Read = Callable[[bytes], "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example's read_instances, built through find_package(yolact_ros)."""
    build = tmp_path_factory.mktemp("cpp_example")
    cmake = shutil.which("cmake")
    assert cmake is not None
    for command in (
        [cmake, "-S", str(EXAMPLE), "-B", str(build)],
        [cmake, "--build", str(build), "--target", "read_instances", "read_objects"],
    ):
        done = subprocess.run(command, capture_output=True, text=True, env=os.environ.copy())
        assert done.returncode == 0, done.stdout + done.stderr
    return build / "read_instances"


@pytest.fixture
def read(program: Path, tmp_path: Path) -> Read:
    """Runs it on a serialised message; its images are in ``tmp_path``."""

    def run(message: bytes) -> subprocess.CompletedProcess[str]:
        (tmp_path / "message").write_bytes(message)
        arguments = [str(program), str(tmp_path / "message"), str(tmp_path)]
        return subprocess.run(arguments, capture_output=True, text=True)

    return run


def mask_message(mask: np.ndarray, x_offset: int, y_offset: int, encoding: int) -> InstanceMask:
    height, width = mask.shape
    message = InstanceMask(
        encoding=encoding, x_offset=x_offset, y_offset=y_offset, width=width, height=height
    )
    if encoding == InstanceMask.BITS:
        message.data = array("B", pack_bits(mask).tobytes())
    else:
        message.counts = array("I", rle_encode(mask).tolist())
    return message


def found(*instances: Instance) -> InstanceArray:
    message = InstanceArray(image_height=HEIGHT_PX, image_width=WIDTH_PX)
    message.instances = list(instances)
    return message


def two_things(encoding: int) -> InstanceArray:
    """Two overlapping random masks, the later one with the higher score."""
    generator = np.random.default_rng(3)
    return found(
        *(
            Instance(
                class_name=name,
                score=score,
                mask=mask_message(generator.random(shape) > 0.4, 10, y_px, encoding),
            )
            for name, score, shape, y_px in (
                ("cup", 0.5, (16, 25), 5),
                ("dog", 0.875, (7, 5), 12),
            )
        )
    )


@pytest.mark.parametrize("encoding", [InstanceMask.BITS, InstanceMask.RLE])
def test_cpp_decodes_what_python_sent(read: Read, tmp_path: Path, encoding: int) -> None:
    message = two_things(encoding)
    done = read(serialize_message(message))
    assert done.returncode == 0, done.stderr
    lines = []
    for index, instance in enumerate(message.instances):
        full = mask_to_full(instance.mask, HEIGHT_PX, WIDTH_PX)
        image = cv2.imread(str(tmp_path / f"mask_{index}.pgm"), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(image == 255, full)
        lines.append(f"{instance.class_name} {instance.score:g} {full.sum()} pixels")
    assert done.stdout.splitlines() == lines
    labels = cv2.imread(str(tmp_path / "labels.pgm"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(labels, to_label_image(message))
    assert set(np.unique(labels)) == {0, 1, 2}


def test_an_instance_without_mask_is_empty(read: Read, tmp_path: Path) -> None:
    done = read(serialize_message(found(Instance(class_name="cup", score=0.5))))
    assert done.stdout == "cup 0.5 0 pixels\n"
    assert not cv2.imread(str(tmp_path / "labels.pgm"), cv2.IMREAD_UNCHANGED).any()


def wrong_masks() -> list[tuple[InstanceMask, str]]:
    square = np.ones((4, 3), np.bool_)
    short, uneven, odd, outside = (
        mask_message(square, 0, 0, InstanceMask.BITS),
        mask_message(square, 0, 0, InstanceMask.RLE),
        mask_message(square, 0, 0, InstanceMask.BITS),
        mask_message(square, WIDTH_PX - 1, 0, InstanceMask.BITS),
    )
    short.data = array("B", [255])
    uneven.counts = array("I", [9])
    odd.encoding = 7
    return [
        (short, "1 bytes of bits, expected 2"),
        (uneven, "add up to 12"),
        (odd, "unknown encoding 7"),
        (outside, "its rectangle leaves the image"),
    ]


@pytest.mark.parametrize(("mask", "reason"), wrong_masks())
def test_cpp_refuses_a_mask_that_cannot_be(read: Read, mask: InstanceMask, reason: str) -> None:
    done = read(serialize_message(found(Instance(class_name="cup", score=0.5, mask=mask))))
    assert done.returncode == 1
    assert reason in done.stderr


def test_cpp_refuses_bytes_that_are_no_message(read: Read) -> None:
    for noise in (b"", b"\0\1\0\0" + b"\xff" * 40):
        done = read(noise)
        assert done.returncode == 1
        assert "holds no yolact_ros/msg/InstanceArray" in done.stderr


def test_cpp_reads_where_objects_are(program: Path, tmp_path: Path) -> None:
    person = Object3D(class_name="person", track_id=7, located=True, distance=1.75)
    person.box_size.x, person.box_size.y, person.box_size.z = 0.5, 0.25, 1.5
    person.velocity_known, person.velocity.x = True, -0.5
    cup = Object3D(class_name="cup", reason="too few depth pixels (3 of 210)")
    message = Object3DArray(objects=[person, cup], velocity_frame="odom")
    (tmp_path / "message").write_bytes(serialize_message(message))
    command = [str(program.with_name("read_objects")), str(tmp_path / "message")]

    done = subprocess.run(command, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "person #7: 1.75 m away, 0.5 x 0.25 x 1.5 m, goes -0.5 0 0 m/s in odom",
        "cup #0: too few depth pixels (3 of 210)",
    ]
