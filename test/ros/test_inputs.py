"""What can arrive, or not arrive, on an image topic of the running node."""

from __future__ import annotations

import signal
from pathlib import Path

import cv2
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not here")

from ros_camera import image_message, picture
from ros_client import RosClient
from ros_processes import CameraProcess, start_node
from sensor_msgs.msg import CompressedImage, Image
from yolact_ros.msg import InstanceArray


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
        "frame_budget_ms": 0.0,
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

        for cause, data in (
            ("decode", b"\x89PNG\r\n\x1a\n" + bytes(50)),
            ("decode", b"this is no image"),
            ("truncated", jpeg[: len(jpeg) // 2]),
            ("decode", b""),
        ):
            before, message = count_of(cause), compressed("jpeg", data, 4)
            while count_of(cause) == before:
                publisher.publish(message)
                client.spin_for(0.2)
        answer_to(compressed("png", png, 5))
        assert process.stop() == 0
        assert "Traceback" not in process.output
    client.node.destroy_publisher(publisher)


def test_a_topic_without_publishers_and_one_of_another_type_are_named_with_the_cure(
    client: RosClient, tiny_model: Path, ros_env: dict[str, str], tmp_path: Path
) -> None:
    node = "lonely"
    parameters = {"model": str(tiny_model)}
    elsewhere = client.node.create_publisher(Image, "/elsewhere", 1)
    listener = client.node.create_subscription(Image, "/listened_to", print, 1)
    with start_node(node, tmp_path, ros_env, parameters, {"image": "/nothing"}) as process:
        process.wait_for_text("nobody publishes images on /nothing; launch with image:=/")
        (hint,) = {line for line in process.output.splitlines() if "launch with" in line}
        published = hint.partition("(published: ")[2].rstrip(")").split(", ")
        assert "/elsewhere" in published
        # Somebody listens to them, and nobody publishes there.
        assert not {"/nothing", "/listened_to"} & set(published)
        values = client.wait_for_diagnostics(node, lambda v: "warnings no publisher" in v)
        assert values["message"] == "nobody publishes on /nothing"
        wrong = client.node.create_publisher(CompressedImage, "/nothing", 1)
        process.wait_for_text(
            "/nothing: node test_client publishes sensor_msgs/msg/CompressedImage, expected "
            "sensor_msgs/msg/Image; remap image to an image topic, or set image_transport"
        )
        client.wait_for_diagnostics(node, lambda v: "warnings wrong type" in v)
    for publisher in (elsewhere, wrong):
        client.node.destroy_publisher(publisher)
    client.node.destroy_subscription(listener)


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
        client.spin_briefly(lambda: len(answers) > known, at_most_s=2.0)
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
    client.node.destroy_publisher(calm)
