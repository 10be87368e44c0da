"""Whether a depth topic fits its colour topic: what ``yolact doctor`` says about objects in 3D."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from rclpy.executors import Executor
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from yolact_ros.cli.doctor_checks import Finding, good, notice, wrong
from yolact_ros.depth import check_same_view
from yolact_ros.errors import DepthError, FrameFault
from yolact_ros.inference.bit_depth import BitDepth
from yolact_ros.ros.camera_info import COMPRESSED_DEPTH, camera_info_topic, to_camera_model
from yolact_ros.ros.depth_images import NS_PER_MS, TOLERANCE_NS, DepthImage
from yolact_ros.ros.observer import spin_until
from yolact_ros.ros.qos import image_qos
from yolact_ros.ros.subscription import AnyImage, read_received, to_bgr
from yolact_ros.ros.transforms import Transforms

__all__ = ["DepthTopics", "check_depth"]

LEAST_READINGS = 0.2


@dataclass(frozen=True)
class DepthTopics:
    """What belongs together for objects in 3D.

    Attributes:
        camera_info: of the depth; empty is that beside it.
        target_frame: that tf must lead to; empty is none.
    """

    image: str
    depth: str
    camera_info: str = ""
    target_frame: str = ""


def check_depth(
    node: Node, executor: Executor, topics: DepthTopics, listen_s: float
) -> Iterator[Finding]:
    """Encoding, readings, registration, stamps, calibration and tf."""
    info_topic = topics.camera_info or camera_info_topic(topics.depth)
    colours: list[bytes] = []
    depths: list[bytes] = []
    infos: list[CameraInfo] = []
    compressed = (topics.image.endswith("/compressed"), topics.depth.endswith(COMPRESSED_DEPTH))
    qos = image_qos(reliable=False)
    subscriptions = [
        node.create_subscription(
            CompressedImage if is_compressed else Image, topic, heard.append, qos, raw=True
        )
        for topic, is_compressed, heard in zip(
            (topics.image, topics.depth), compressed, (colours, depths), strict=True
        )
    ]
    subscriptions.append(node.create_subscription(CameraInfo, info_topic, infos.append, qos))
    transforms = Transforms(node)
    transforms.set_open(bool(topics.target_frame))
    try:
        spin_until(executor, lambda: False, listen_s)
        try:
            seen, measured = (
                [read_received(data, compressed=is_compressed) for data in heard]
                for is_compressed, heard in zip(compressed, (colours, depths), strict=True)
            )
            yield from _judge(topics, seen, [DepthImage(message) for message in measured])
        except (DepthError, FrameFault) as error:
            yield wrong(topics.depth, str(error), "name a topic of depth images")
            seen = []
        yield _judge_calibration(info_topic, infos)
        if topics.target_frame and seen:
            yield _judge_tf(transforms, topics.target_frame, seen[-1].header.frame_id)
    finally:
        transforms.set_open(False)
        for subscription in subscriptions:
            node.destroy_subscription(subscription)


def _judge(
    topics: DepthTopics, colours: list[AnyImage], depths: list[DepthImage]
) -> Iterator[Finding]:
    subject = topics.depth
    if not depths:
        yield wrong(
            subject,
            "no depth image came",
            "is the topic right, and depth switched on in the driver (RealSense: "
            "align_depth.enable:=true)?",
        )
        return
    depth_m = depths[0].in_metres()
    height_px, width_px = depth_m.shape
    share = float(np.isfinite(depth_m).mean())
    found = f"{width_px} x {height_px}, readings in {share:.0%} of the pixels"
    if share >= LEAST_READINGS:
        yield good(subject, found)
    else:
        yield notice(subject, found, "is the sensor covered, or are things too near or far?")
    if not colours:
        yield wrong(topics.image, "no colour image came", "is the camera running?")
        return
    colour = colours[0]
    frames = (depths[0].message.header.frame_id, colour.header.frame_id)
    if frames[0] != frames[1]:
        yield notice(
            f"{subject} registration",
            f"its frame is {frames[0]!r}, that of the colour images {frames[1]!r}",
            "use depth registered to the colour image, such as aligned_depth_to_color or "
            "depth_registered, unless the driver names registered depth so",
        )
    shape = to_bgr(colour, BitDepth()).shape
    try:
        check_same_view((width_px, height_px), (shape[1], shape[0]))
    except DepthError as error:
        yield wrong(f"{subject} size", str(error), "the topic that the driver aligns")
    yield _judge_stamps(
        subject,
        [image.header.stamp_ns for image in colours],
        [image.stamp_ns for image in depths],
    )


def _judge_stamps(subject: str, colours_ns: list[int], depths_ns: list[int]) -> Finding:
    """Those of the images that had time to be paired."""
    gaps = [min(abs(depth - colour) for depth in depths_ns) for colour in colours_ns]
    gap_ns = float(np.median(gaps))
    if gap_ns <= TOLERANCE_NS:
        return good(f"{subject} stamps", f"{gap_ns / NS_PER_MS:.0f} ms from colour's")
    return wrong(
        f"{subject} stamps",
        f"{gap_ns / NS_PER_MS:.0f} ms from the nearest colour image's, expected at most "
        f"{TOLERANCE_NS / NS_PER_MS:.0f} ms",
        "let one driver stamp both; two computers: synchronise their clocks",
    )


def _judge_calibration(topic: str, infos: list[CameraInfo]) -> Finding:
    if not infos:
        return wrong(
            topic,
            "no camera_info came",
            "let the driver publish it, or set depth_camera_info to the topic that has it",
        )
    try:
        model = to_camera_model(infos[0], rectified=False)
    except DepthError as error:
        return wrong(topic, str(error), "calibrate the camera")
    return good(topic, f"{model.width_px} x {model.height_px}, focal length {model.fx:.0f} px")


def _judge_tf(transforms: Transforms, target: str, source: str) -> Finding:
    # The newest: the stamps of a bag may be older than what tf keeps.
    transform, problem = transforms.find(target, source, 0, time.monotonic())
    if transform is not None:
        return good("tf", f"leads from {source} to {target}")
    return notice(
        "tf",
        f"does not lead from {source!r} to the target_frame {target!r}: {problem}",
        "without it velocities are unknown and boxes not upright; publish it, or set target_frame",
    )
