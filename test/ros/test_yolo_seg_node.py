"""A YOLO segmentation model in the node: all input sizes under a budget, over DDS."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not here")
pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")

from ros_camera import image_message
from ros_client import RosClient
from ros_processes import start_node
from sensor_msgs.msg import Image
from yolact_ros.msg import InstanceArray
from yolo_onnx import coloured_image, write_yolo_onnx

from yolact_ros.masks import mask_to_full

NODE = "on_yolo"
SIZES_PX = (128, 96, 64)


@pytest.mark.parametrize("runtime", ["auto", "openvino"])
def test_a_node_publishes_the_instances_of_an_onnx_file(
    client: RosClient, ros_env: dict[str, str], tmp_path: Path, runtime: str
) -> None:
    if runtime == "openvino":
        pytest.importorskip("openvino")
    image = image_message()
    image.height, image.width, image.encoding, image.step = 48, 64, "bgr8", 192
    image.data = coloured_image(48, 64, seed=0).tobytes()
    parameters = {
        "model": str(write_yolo_onnx(tmp_path / "colours.onnx", None)),
        "device": "cpu",
        "runtime": runtime,
        "precision": "fp32",
        "input_size": list(SIZES_PX),
        # Enough for all sizes and masks on a busy machine.
        "frame_budget_ms": 60_000.0,
        "top_k": 100,
    }
    environment = ros_env | {"YOLACT_ROS_CACHE": str(tmp_path / "cache")}
    with start_node(NODE, tmp_path, environment, parameters, {"image": f"/{NODE}"}) as process:
        process.wait_for_text("active on")
        publisher = client.node.create_publisher(Image, f"/{NODE}", 1)
        answers, _ = client.collect(InstanceArray, f"/{NODE}/instances")

        def answered() -> bool:
            publisher.publish(image)
            client.spin_for(0.05)
            return len(answers) >= 5

        client.spin_until(answered, "5 answers")
        for answer in answers:
            assert answer.report.input_size in SIZES_PX
            assert {one.class_name for one in answer.instances} <= {"red", "blue"}
            masks = [mask_to_full(one.mask, 48, 64) for one in answer.instances]
            assert any(mask.any() for mask in masks)
        assert process.stop() == 0
        assert "Traceback" not in process.output
