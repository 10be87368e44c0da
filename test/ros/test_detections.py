"""~/detections and ~/label_info: with vision_msgs installed, and without it."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not here")

from ros_camera import image_message
from ros_client import RosClient
from ros_fixtures import NODE, TINY_CLASSES
from ros_processes import Process, start_node
from sensor_msgs.msg import Image
from vision_msgs_package import build_vision_msgs, with_package
from yolact_ros.msg import InstanceArray

LISTENER = Path(__file__).parent / "detections_listener.py"


def printed(process: Process, kind: str) -> list[Any]:
    lines = [json.loads(line) for line in process.output.splitlines() if line.startswith("{")]
    return [line[kind] for line in lines if kind in line]


# Where the other programs take the cores, colcon has needed 270 s.
@pytest.mark.timeout(900)
def test_detections_say_what_the_instances_say_and_label_info_names_the_classes(
    client: RosClient,
    tiny_model: Path,
    ros_env: dict[str, str],
    tmp_path: Path,
    pytestconfig: pytest.Config,
) -> None:
    cache = pytestconfig.cache
    assert cache is not None
    prefix = build_vision_msgs(Path(cache.mkdir("vision_msgs")))
    environment = with_package(ros_env, prefix)
    parameters = {"model": str(tiny_model), "device": "cpu", "score_threshold": 0.25}
    remapped = {"image": "/detected_image"}
    with start_node("detector", tmp_path, environment, parameters, remapped) as node:
        node.wait_for_text("active on /detected_image")
        assert "vision_msgs is not installed" not in node.output
        command = [sys.executable, str(LISTENER), "/detector"]
        # After activation: the labels must reach those who come late.
        with Process(command, environment, tmp_path / "listener.log") as listener:
            (labels,) = client.spin_until(lambda: printed(listener, "labels"), "the label info")
            assert labels["names"] == {str(i): name for i, name in enumerate(TINY_CLASSES)}
            assert labels["threshold"] == pytest.approx(0.25)

            publisher = client.node.create_publisher(Image, "/detected_image", 1)
            messages, _ = client.collect(InstanceArray, "/detector/instances")

            def both() -> bool:
                publisher.publish(image_message(31))
                client.spin_for(0.1)
                return bool(messages and printed(listener, "detections"))

            client.spin_until(both, "instances and detections")
            detections = printed(listener, "detections")[0]
            instances = messages[0].instances
            assert detections["stamp_sec"] == 31
            assert len(detections["detections"]) == len(instances) > 0
            for detection, instance in zip(detections["detections"], instances, strict=True):
                assert detection["frame_id"] == "camera_optical_frame"
                assert detection["class_id"] == str(instance.class_id)
                assert detection["score"] == pytest.approx(instance.score)
                width, height = detection["size"]
                left, top = (
                    center - size / 2
                    for center, size in zip(detection["center"], detection["size"], strict=True)
                )
                assert (left, top, left + width, top + height) == pytest.approx(
                    (instance.x_min, instance.y_min, instance.x_max, instance.y_max), abs=1e-3
                )

            assert client.set_parameter("detector", "score_threshold", 0.5).successful
            client.spin_until(lambda: len(printed(listener, "labels")) == 2, "the new threshold")
            assert printed(listener, "labels")[1]["threshold"] == pytest.approx(0.5)
            assert listener.stop() == 0, listener.output
        assert node.stop() == 0, node.output
        assert "Traceback" not in node.output


def test_only_with_vision_msgs_are_there_such_topics_and_else_the_node_says_so_once(
    client: RosClient, running_node: Process
) -> None:
    installed = importlib.util.find_spec("vision_msgs") is not None
    said = running_node.output.count("vision_msgs is not installed")
    assert said == (0 if installed else 1)

    def topics() -> set[str]:
        return {name for name, _ in client.node.get_topic_names_and_types()}

    # Publishers are announced in the order in which they were made, and markers come before.
    expected = f"/{NODE}/detections" if installed else f"/{NODE}/markers"
    client.spin_until(lambda: expected in topics(), expected)
    assert (f"/{NODE}/detections" in topics()) == installed


BOXES_3D = """
import json
import numpy as np
from yolact_ros.depth import NoPlace, ObjectPlace
from yolact_ros.inference.cdr import MessageHeader
from yolact_ros.prediction import Prediction
from yolact_ros.ros.views import OBJECT_VIEWS, LocatedFrame, ViewFrame

found = Prediction(
    4, 4, np.array([2, 0]), np.array([0.75, 0.5], np.float32), np.zeros((2, 4), np.float32),
    class_names=("person", "cup", "dog"), track_ids=np.array([7, 0]), track_ages=np.array([3, 0]),
)
header = MessageHeader(31, 0, "camera_optical_frame")
view = ViewFrame(header, np.zeros((4, 4, 3), np.uint8), found)
turned = np.array([[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]])
center, size = np.array([1.0, 2.0, 3.0]), np.array([0.5, 0.25, 1.5])
place = ObjectPlace(np.zeros(3), center, size, turned, 3.5, 9, 0.1)
frame = LocatedFrame(view, [place, NoPlace("too few depth pixels (0 of 9)")], [None, None])
(boxes,) = [v for v in OBJECT_VIEWS if v.topic == "detections_3d"]
message = boxes.make_render(None)(frame)
(detection,) = message.detections
center, size = detection.bbox.center, detection.bbox.size
q = center.orientation
print(json.dumps({
    "stamp": message.header.stamp.sec, "frame": detection.header.frame_id, "id": detection.id,
    "class": detection.results[0].hypothesis.class_id,
    "position": [center.position.x, center.position.y, center.position.z],
    "size": [size.x, size.y, size.z],
    "quaternion": [round(v * np.sign(q.w), 6) for v in (q.x, q.y, q.z, q.w)],
}))
"""


@pytest.mark.timeout(900)
def test_detections_in_3d_are_the_boxes_of_the_located_objects(
    ros_env: dict[str, str], pytestconfig: pytest.Config
) -> None:
    cache = pytestconfig.cache
    assert cache is not None
    prefix = build_vision_msgs(Path(cache.mkdir("vision_msgs")))
    environment = with_package(ros_env, prefix)
    done = subprocess.run(
        [sys.executable, "-c", BOXES_3D], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "stamp": 31,
        "frame": "camera_optical_frame",
        "id": "7",
        "class": "2",
        "position": [1.0, 2.0, 3.0],
        "size": [0.5, 0.25, 1.5],
        "quaternion": [0.5, -0.5, 0.5, 0.5],
    }
