"""What can arrive, or not arrive, on an image topic of the running node."""

from __future__ import annotations

import array
import signal
from pathlib import Path

import cv2
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not here")

from ros_camera import HandCamera, image_message, picture
from ros_client import RosClient
from ros_processes import CameraProcess, Process, start_node
from sensor_msgs.msg import CompressedImage, Image
from yolact_ros.msg import InstanceArray


def grey_message(stamp_sec: int, factor: int = 1) -> Image:
    """The test's picture in grey; as mono16 with its values times ``factor``."""
    grey = cv2.cvtColor(picture(), cv2.COLOR_BGR2GRAY)
    message = image_message(stamp_sec)
    if factor == 1:
        message.encoding, message.step = "mono8", message.width
        message.data = array.array("B", grey.tobytes())
    else:
        wide = grey.astype("<u2") * factor
        message.encoding, message.step = "mono16", 2 * message.width
        message.data = array.array("B", wide.tobytes())
    return message


def test_an_infrared_camera_of_ten_bits_is_seen_as_one_of_eight_and_told_once(
    camera: HandCamera, running_node: Process
) -> None:
    expected = camera.segment(grey_message(30))
    assert len(expected.instances) > 0
    for stamp_sec in (31, 32):
        found = camera.segment(grey_message(stamp_sec, factor=4))
        assert found.instances == expected.instances
    lines = [line for line in running_node.output.splitlines() if "16-bit pixels" in line]
    assert len(lines) == 1
    assert "/image: 16-bit pixels use 10 bits so far; these are scaled to 8" in lines[0]


def compressed(name: str, data: bytes, stamp_sec: int) -> CompressedImage:
    message = CompressedImage(format=name, data=data)
    message.header.stamp.sec = stamp_sec
    return message


def test_jpeg_and_png_are_decoded_and_what_is_neither_is_counted_by_cause(
    client: RosClient, tiny_model: Path, ros_env: dict[str, str], tmp_path: Path
) -> None:
    node = "unpacking"
    parameters = {
        "model": str(tiny_model),
        "score_threshold": 0.0,
        "image_transport": "compressed",
    }
    png = cv2.imencode(".png", picture())[1].tobytes()
    grey = cv2.imencode(".png", picture()[..., 0])[1].tobytes()
    jpeg = cv2.imencode(".jpg", picture())[1].tobytes()
    publisher = client.node.create_publisher(CompressedImage, "/packed/compressed", 1)
    answers, _ = client.collect(InstanceArray, f"/{node}/instances")

    with start_node(node, tmp_path, ros_env, parameters, {"image": "/packed"}) as process:
        process.wait_for_text("active on /packed/compressed")

        def answer_to(message: CompressedImage) -> InstanceArray:
            def answered() -> InstanceArray | None:
                publisher.publish(message)
                client.spin_for(0.1)
                return next((a for a in answers if a.header.stamp == message.header.stamp), None)

            return client.spin_until(answered, f"the answer to {message.format}")

        from_png = answer_to(compressed("png", png, 1))
        height_px, width_px = picture().shape[:2]
        assert (from_png.image_height, from_png.image_width) == (height_px, width_px)
        assert len(from_png.instances) > 0
        assert len(answer_to(compressed("bgr8; jpeg compressed bgr8", jpeg, 2)).instances) > 0
        assert answer_to(compressed("mono8; png compressed", grey, 3)).image_width == width_px

        def count_of(cause: str) -> int:
            return int(client.diagnostics(node).get(f"errors {cause}", 0))

        for cause, name, data in (
            ("decode", "h264", b"\0\0\0\1\x67" + bytes(200)),
            ("decode", "png", b"\x89PNG\r\n\x1a\n" + bytes(50)),
            ("decode", "jpeg", b"this is no image"),
            ("truncated", "jpeg", jpeg[: len(jpeg) // 2]),
            ("decode", "", b""),
        ):
            before, message = count_of(cause), compressed(name, data, 4)
            while count_of(cause) == before:
                publisher.publish(message)
                client.spin_for(0.2)
        answer_to(compressed("png", png, 5))
        assert "format 'h264' is no JPEG or PNG file" in process.output
        assert "let the camera publish JPEG, or have image_transport decode it" in process.output
        assert process.stop() == 0
        assert "Traceback" not in process.output


def test_a_topic_without_publishers_and_one_of_another_type_are_named_with_the_cure(
    client: RosClient, tiny_model: Path, ros_env: dict[str, str], tmp_path: Path
) -> None:
    node = "lonely"
    parameters = {"model": str(tiny_model)}
    client.node.create_publisher(Image, "/elsewhere", 1)
    client.node.create_subscription(Image, "/listened_to", print, 1)
    with start_node(node, tmp_path, ros_env, parameters, {"image": "/nothing"}) as process:
        process.wait_for_text("nobody publishes images on /nothing; launch with image:=/")
        (hint,) = {line for line in process.output.splitlines() if "launch with" in line}
        published = hint.partition("(published: ")[2].rstrip(")").split(", ")
        assert "/elsewhere" in published
        # Somebody listens to them, and nobody publishes there.
        assert not {"/nothing", "/listened_to"} & set(published)
        values = client.wait_for_diagnostics(node, lambda v: "warnings no publisher" in v)
        assert values["message"] == "nobody publishes on /nothing"
        client.node.create_publisher(CompressedImage, "/nothing", 1)
        process.wait_for_text(
            "/nothing: node test_client publishes sensor_msgs/msg/CompressedImage, expected "
            "sensor_msgs/msg/Image; remap image to an image topic, or set image_transport"
        )
        client.wait_for_diagnostics(node, lambda v: "warnings wrong type" in v)


def test_neither_a_flood_of_one_camera_nor_its_sudden_death_starves_the_other(
    client: RosClient, tiny_model: Path, ros_env: dict[str, str], tmp_path: Path
) -> None:
    node = "both"
    parameters = {"model": str(tiny_model), "cameras": ["calm", "wild"], "input_size": [256]}
    flood = ("--topic", "/wild/image", "--reliability", "best_effort", "--size", 320, 240)
    answers, _ = client.collect(InstanceArray, f"/{node}/calm/instances")
    calm = client.node.create_publisher(Image, "/calm/image", 1)
    stamps = iter(range(1, 1_000_000))

    def ten_answers() -> bool:
        """The calm camera publishes when it is answered, or after a while."""
        known = len(answers)
        calm.publish(image_message(next(stamps)))
        client.spin_briefly(lambda: len(answers) > known, at_most_s=10.0)
        return len(answers) >= 10

    with start_node(node, tmp_path, ros_env, parameters) as process:
        process.wait_for_text("active on /calm/image, /wild/image")
        with CameraProcess(tmp_path, ros_env, *flood, "--count", 1_000_000, "--hz", 1000) as wild:
            wild.wait_for_text("ready")
            client.wait_for_diagnostics(node, lambda v: int(v["dropped replaced"]) > 0, "wild")
            answers.clear()
            client.spin_until(ten_answers, "answers beside the flood")
            values = client.diagnostics(node, "calm")
            assert int(values["dropped replaced"]) <= int(values["received"]) // 2
            wild.send_signal(signal.SIGKILL)
            wild.wait()
        answers.clear()
        client.spin_until(ten_answers, "answers after the death of the other")
        client.wait_for_diagnostics(node, lambda v: v["level"] != b"\x00", "wild")
        assert process.stop() == 0
        assert "Traceback" not in process.output
