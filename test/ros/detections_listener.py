"""A subscriber with vision_msgs: prints each message of ~/detections and ~/label_info as JSON."""

from __future__ import annotations

import contextlib
import json
import sys

import rclpy
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from vision_msgs.msg import Detection2DArray, LabelInfo


def print_detections(message: Detection2DArray) -> None:
    def in_words(detection: object) -> dict[str, object]:
        (result,) = detection.results  # type: ignore[attr-defined]
        box = detection.bbox  # type: ignore[attr-defined]
        return {
            "frame_id": detection.header.frame_id,  # type: ignore[attr-defined]
            "class_id": result.hypothesis.class_id,
            "score": result.hypothesis.score,
            "center": [box.center.position.x, box.center.position.y],
            "size": [box.size_x, box.size_y],
        }

    content = {
        "stamp_sec": message.header.stamp.sec,
        "detections": list(map(in_words, message.detections)),
    }
    print(json.dumps({"detections": content}), flush=True)


def print_labels(message: LabelInfo) -> None:
    names = {label.class_id: label.class_name for label in message.class_map}
    content = {"names": names, "threshold": message.threshold}
    print(json.dumps({"labels": content}), flush=True)


def main() -> int:
    prefix = sys.argv[1]
    rclpy.init()
    node = rclpy.create_node("detections_listener")
    node.create_subscription(Detection2DArray, f"{prefix}/detections", print_detections, 10)
    latched = QoSProfile(
        depth=1,
        reliability=ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL,
    )
    node.create_subscription(LabelInfo, f"{prefix}/label_info", print_labels, latched)
    with contextlib.suppress(KeyboardInterrupt, rclpy.executors.ExternalShutdownException):
        rclpy.spin(node)
    return 0


if __name__ == "__main__":
    sys.exit(main())
