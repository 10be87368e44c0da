"""Make docs/images/views.jpg: the views of one frame of a clip, as the node published them.

    ./dev run python benchmarks/views_picture.py --seconds 2.2

The demo's clip goes through a camera topic and the node over DDS. The label image is coloured,
and the markers are drawn as rviz's 3D view shows them from beside the camera.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import rclpy
from numpy.typing import NDArray
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from visualization_msgs.msg import Marker, MarkerArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from yolact_ros.cli.demo_plan import default_clip
from yolact_ros.cli.demo_processes import Child, free_domain_id, stop_all
from yolact_ros.palette import class_color_bgr

OUTPUT = Path(__file__).resolve().parents[1] / "docs" / "images" / "views.jpg"
PANEL_PX = (640, 272)
CAPTION_PX = 26
GAP_PX = 8
# Of the clip, whatever the rate it is played at.
CLIP_RATE_HZ = 30.0
FONT = cv2.FONT_HERSHEY_SIMPLEX
TIMEOUT_S = 120.0
# config/yolact.rviz's background.
RVIZ_BACKGROUND = (48, 48, 48)
# The view: from above and to the right behind the camera, which is at the origin.
EYE_M, TARGET_M = (0.95, -0.75, -0.75), (0.0, 0.03, 0.68)
FOCAL = 1.4
AXES_BGR = ((60, 60, 230), (80, 200, 80), (230, 110, 60))


def main() -> None:
    """Play, receive, draw, save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=2.2, help="time of the frame in the clip")
    parser.add_argument("--rate", type=float, default=8.0, help="images a second")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    args = parser.parse_args()
    os.environ.setdefault("ROS_DOMAIN_ID", str(free_domain_id()))
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    views = receive(args)
    picture = arrange(
        {
            "camera": pixels(views["/image"]),
            "~/overlay": pixels(views["/yolact/overlay"]),
            "~/label_image, coloured": color_labels(pixels(views["/yolact/label_image"])),
            "~/markers in 3D": draw_markers(views["/yolact/markers"], views["/image"]),
        }
    )
    cv2.imwrite(str(args.output), picture, (cv2.IMWRITE_JPEG_QUALITY, 90))
    print(f"{args.output}: {picture.shape[1]} x {picture.shape[0]}")


def receive(args: argparse.Namespace) -> dict[str, Any]:
    """The messages of all topics with the stamp of the wanted frame."""
    rclpy.init()
    node = rclpy.create_node("picture")
    messages: dict[str, dict[float, Any]] = {}
    types = {"/image": Image, "/yolact/overlay": Image, "/yolact/label_image": Image}
    for topic, kind in (*types.items(), ("/yolact/markers", MarkerArray)):
        kept = messages[topic] = {}

        def keep(message: Any, kept: dict[float, Any] = kept) -> None:
            parts = message.markers if isinstance(message, MarkerArray) else [message]
            if parts:
                stamp = parts[0].header.stamp
                kept[stamp.sec + stamp.nanosec / 1e9] = message

        qos = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
        node.create_subscription(kind, topic, keep, qos)
    python = (sys.executable, "-u", "-m", "yolact_ros.ros")
    camera = (*python, "demo_camera", "--topic", "/image", "--wait-s", "90")
    camera += ("--source", str(default_clip()), "--rate", str(args.rate))
    camera += ("--wait-for", "/yolact/markers")
    segmenter = (*python, "node", "--ros-args", "-p", "frame_budget_ms:=0.0")
    segmenter += ("-p", "score_threshold:=0.25")
    with tempfile.TemporaryDirectory() as folder:
        children = [
            Child("node", segmenter, Path(folder) / "node.log", os.environ),
            Child("camera", camera, Path(folder) / "camera.log", os.environ),
        ]
        after_s = args.seconds * CLIP_RATE_HZ / args.rate
        deadline_s = time.monotonic() + TIMEOUT_S + after_s
        try:
            while time.monotonic() < deadline_s and children[1].exit_code() is None:
                rclpy.spin_once(node, timeout_sec=0.1)
                complete = set.intersection(*(set(kept) for kept in messages.values()))
                first_s = min(messages["/image"], default=0.0)
                chosen = sorted(stamp for stamp in complete if stamp - first_s >= after_s)
                if chosen:
                    return {topic: kept[chosen[0]] for topic, kept in messages.items()}
        finally:
            stop_all(children)
            rclpy.try_shutdown()
        lines = [line for child in children for line in child.last_lines()]
    sys.exit("\n".join(["no frame was complete:", *lines]))


def pixels(message: Image) -> NDArray[np.uint8]:
    """The pixels of a bgr8 or mono8 image."""
    image = np.frombuffer(message.data, np.uint8).reshape(message.height, message.step)
    return image if message.encoding == "mono8" else image.reshape(message.height, -1, 3)


def color_labels(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A colour for every label, black for the background."""
    table = np.zeros((256, 3), np.uint8)
    table[1:] = [class_color_bgr(index) for index in range(255)]
    return table[labels]


def draw_markers(message: MarkerArray, image: Image) -> NDArray[np.uint8]:
    """The markers in perspective, the farthest first, with the axes of the camera's frame."""
    width_px, height_px = PANEL_PX
    canvas = np.full((height_px, width_px, 3), RVIZ_BACKGROUND, np.uint8)
    eye, target = np.array(EYE_M), np.array(TARGET_M)
    forward = (target - eye) / np.linalg.norm(target - eye)
    right = np.cross((0, 1, 0), forward)
    right /= np.linalg.norm(right)
    view = np.stack([right, np.cross(forward, right), forward])

    def project(points: Any) -> NDArray[np.float64]:
        x, y, z = view @ (np.asarray(points, np.float64) - eye).T
        return np.stack([x / z, y / z], 1) * FOCAL * width_px + (width_px / 2, height_px / 2)

    def line(start: Any, end: Any, color: Any, thickness: int) -> None:
        a, b = project([start, end]).round().astype(int).tolist()
        cv2.line(canvas, a, b, color, thickness, cv2.LINE_AA)

    for axis, color in zip(np.eye(3) * 0.15, AXES_BGR, strict=True):
        line((0, 0, 0), axis, color, 3)
    half = (0.5, 0.5 * image.height / image.width)
    corners = [(x * half[0], y * half[1], 1.0) for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
    for index, corner in enumerate(corners):
        line((0, 0, 0), corner, (90, 90, 90), 1)
        line(corners[index - 1], corner, (90, 90, 90), 1)
    for marker in sorted(message.markers, key=lambda marker: -depth(marker)):
        parts = (marker.color.b, marker.color.g, marker.color.r)
        color = tuple(round(255 * part) for part in parts)
        points = [(point.x, point.y, point.z) for point in marker.points]
        if marker.type == Marker.TRIANGLE_LIST:
            filled = canvas.copy()
            for corners_px in project(points).reshape(-1, 3, 2):
                cv2.fillConvexPoly(filled, corners_px.round().astype(np.int32), color)
            cv2.addWeighted(filled, marker.color.a, canvas, 1 - marker.color.a, 0.0, dst=canvas)
        elif marker.type == Marker.LINE_LIST:
            for start, end in zip(points[::2], points[1::2], strict=True):
                line(start, end, color, 2)
        elif marker.type == Marker.LINE_STRIP:
            for start, end in pairwise(points):
                line(start, end, color, 1)
        else:
            place = marker.pose.position
            center = np.array([place.x, place.y, place.z])
            letter_px = marker.scale.z * FOCAL * width_px / (view[2] @ (center - eye))
            scale = cv2.getFontScaleFromHeight(FONT, round(letter_px))
            ((x, y),) = project([center])
            (width, height), _ = cv2.getTextSize(marker.text, FONT, scale, 1)
            origin = (round(x - width / 2), round(y + height / 2))
            cv2.putText(canvas, marker.text, origin, FONT, scale, color, 1, cv2.LINE_AA)
    return canvas


def depth(marker: Marker) -> float:
    """Distance of a marker from the camera."""
    return float((marker.points[0] if marker.points else marker.pose.position).z)


def arrange(panels: dict[str, NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Two panels a row, each below its name."""
    cells = []
    for name, panel in panels.items():
        cell = np.full((PANEL_PX[1] + CAPTION_PX, PANEL_PX[0], 3), 255, np.uint8)
        cv2.putText(cell, name, (2, 18), FONT, 0.55, (40, 40, 40), 1, cv2.LINE_AA)
        interpolation = cv2.INTER_NEAREST if "label" in name else cv2.INTER_AREA
        cell[CAPTION_PX:] = cv2.resize(panel, PANEL_PX, interpolation=interpolation)
        cells.append(cell)
    gap = np.full((cells[0].shape[0], GAP_PX, 3), 255, np.uint8)
    rows = [np.hstack([*cells[row : row + 1], gap, cells[row + 1]]) for row in (0, 2)]
    return np.vstack([rows[0], np.full((GAP_PX, rows[0].shape[1], 3), 255, np.uint8), rows[1]])


if __name__ == "__main__":
    main()
