"""One active node over DDS: what its messages say, its live parameters, and bad input."""

from __future__ import annotations

import array
import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not here")

from rclpy.publisher import Publisher
from rclpy.serialization import serialize_message
from ros_client import RosClient
from ros_fixtures import NODE, TINY_CLASSES, TINY_INPUT_SIZE_PX
from ros_processes import Process
from sensor_msgs.msg import Image
from std_srvs.srv import SetBool
from yolact_ros.msg import FrameReport, InstanceArray, InstanceMask

from yolact_ros.inference.postprocess import PostprocessConfig
from yolact_ros.inference.predictor import Predictor
from yolact_ros.masks import mask_to_array

HEIGHT_PX, WIDTH_PX = 90, 120


def picture(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (HEIGHT_PX, WIDTH_PX, 3), np.uint8)


def image_message(stamp_sec: int = 7, pixels: np.ndarray | None = None) -> Image:
    pixels = picture() if pixels is None else pixels
    message = Image(height=HEIGHT_PX, width=WIDTH_PX, step=3 * WIDTH_PX, encoding="bgr8")
    message.header.stamp.sec = stamp_sec
    message.header.stamp.nanosec = 123456789
    message.header.frame_id = "camera_optical_frame"
    message.data = array.array("B", pixels.tobytes())
    return message


class Camera:
    """Publishes from the test's process and waits for answers."""

    def __init__(self, client: RosClient) -> None:
        self.client = client
        self.publisher: Publisher = client.node.create_publisher(Image, "/image", 1)
        self.messages, self.subscription = client.collect(InstanceArray, f"/{NODE}/instances")
        client.spin_until(
            lambda: self.publisher.get_subscription_count() and self._results_connected(),
            "the node's topics",
        )
        # The node may subscribe anew when it sees this publisher; ask until it answers.
        self.segment(image_message(1))

    def segment(self, message: Image) -> InstanceArray:
        """The answer to one image; published again until it comes, as a camera would."""
        self.messages.clear()
        stamp = message.header.stamp

        def answer() -> InstanceArray | None:
            self.publisher.publish(message)
            self.client.spin_for(0.1)
            return next((m for m in self.messages if m.header.stamp == stamp), None)

        return self.client.spin_until(answer, "the answer to an image")

    def _results_connected(self) -> bool:
        return self.client.node.count_publishers(f"/{NODE}/instances") > 0


@pytest.fixture(scope="module")
def camera(running_node: Process, client: RosClient) -> Camera:
    return Camera(client)


def test_a_message_has_the_header_and_the_predictors_instances(
    camera: Camera, tiny_model: Path
) -> None:
    settings = PostprocessConfig(score_threshold=0.0, top_k=15)
    predictor = Predictor.from_checkpoint(tiny_model, device="cpu", settings=settings)
    expected = predictor.predict(picture())
    sent = image_message(20)
    message = camera.segment(sent)
    assert message.header == sent.header
    assert (message.image_height, message.image_width) == (HEIGHT_PX, WIDTH_PX)
    assert len(message.instances) == len(expected) > 0
    for index, instance in enumerate(message.instances):
        assert instance.class_id == expected.class_ids[index]
        assert instance.class_name == TINY_CLASSES[instance.class_id]
        assert instance.score == pytest.approx(expected.scores[index], abs=1e-5)
        box = (instance.x_min, instance.y_min, instance.x_max, instance.y_max)
        assert box == pytest.approx(expected.boxes_xyxy[index].tolist(), abs=1e-2)
        crop = expected.masks[index]
        mask = instance.mask
        assert mask.encoding == InstanceMask.BITS
        rectangle = (mask.x_offset, mask.y_offset, mask.width, mask.height)
        assert rectangle == (crop.x_offset, crop.y_offset, crop.width, crop.height)
        differing = np.unpackbits(np.frombuffer(mask.data, np.uint8) ^ crop.bits).sum()
        assert differing <= 0.001 * mask.width * mask.height


def test_scores_fall_and_boxes_and_masks_lie_inside_the_image(camera: Camera) -> None:
    message = camera.segment(image_message(21))
    scores = [instance.score for instance in message.instances]
    assert scores == sorted(scores, reverse=True)
    for instance in message.instances:
        assert 0 <= instance.x_min <= instance.x_max <= WIDTH_PX
        assert 0 <= instance.y_min <= instance.y_max <= HEIGHT_PX
        mask = instance.mask
        assert mask.x_offset + mask.width <= WIDTH_PX
        assert mask.y_offset + mask.height <= HEIGHT_PX
        assert len(mask.data) == math.ceil(mask.width * mask.height / 8)


def test_the_report_has_the_real_times(camera: Camera) -> None:
    now = camera.client.node.get_clock().now().to_msg()
    sent = image_message()
    sent.header.stamp = now
    report = camera.segment(sent).report
    stages_ms = report.preprocess_ms + report.inference_ms + report.postprocess_ms
    assert report.inference_ms > 0.1
    assert 0 <= report.wait_ms <= report.total_ms
    assert report.wait_ms + stages_ms == pytest.approx(report.total_ms, abs=2.0)
    assert report.image_age_ms >= 0
    assert report.input_size == TINY_INPUT_SIZE_PX
    assert report.degradation == FrameReport.DEGRADE_NONE
    assert (report.budget_ms, report.deadline_met) == (0.0, True)


def test_live_parameters_act_at_the_next_frame(camera: Camera) -> None:
    client = camera.client
    everything = camera.segment(image_message(30))

    def set_and_segment(name: str, value: object, stamp_sec: int) -> InstanceArray:
        before = client.get_parameter(NODE, name)
        result = client.set_parameter(NODE, name, value)
        assert result.successful, result.reason
        try:
            return camera.segment(image_message(stamp_sec))
        finally:
            assert client.set_parameter(NODE, name, before).successful

    assert len(set_and_segment("top_k", 2, 31).instances) == 2
    middle = everything.instances[len(everything.instances) // 2].score
    fewer = set_and_segment("score_threshold", middle, 32).instances
    assert 0 < len(fewer) < len(everything.instances)
    assert all(instance.score >= middle for instance in fewer)
    name = everything.instances[0].class_name
    kept = set_and_segment("classes", [name], 33).instances
    assert {instance.class_name for instance in kept} == {name}
    late = set_and_segment("frame_budget_ms", 0.001, 34).report
    assert (late.deadline_met, late.budget_ms) == (False, pytest.approx(0.001))
    apart = set_and_segment("nms_threshold", 0.0, 35).instances
    assert [i.score for i in apart] != [i.score for i in everything.instances]
    assert camera.segment(image_message(36)).instances == everything.instances


def test_masks_come_as_bits_as_runs_or_not_at_all(camera: Camera) -> None:
    client = camera.client
    bits = camera.segment(image_message(40)).instances
    assert client.set_parameter(NODE, "mask_encoding", "rle").successful
    runs = camera.segment(image_message(41)).instances
    assert client.set_parameter(NODE, "mask_encoding", "none").successful
    boxes = camera.segment(image_message(42)).instances
    assert client.set_parameter(NODE, "mask_encoding", "bits").successful
    assert len(bits) == len(runs) == len(boxes) > 0
    for with_bits, with_runs, without in zip(bits, runs, boxes, strict=True):
        assert with_runs.mask.encoding == InstanceMask.RLE
        assert sum(with_runs.mask.counts) == with_runs.mask.width * with_runs.mask.height
        np.testing.assert_array_equal(mask_to_array(with_bits.mask), mask_to_array(with_runs.mask))
        assert without.mask == InstanceMask()
        assert without.score == with_bits.score


def test_under_a_tight_budget_quality_is_given_up_and_said_so(camera: Camera) -> None:
    client = camera.client
    assert client.set_parameter(NODE, "input_size", [128, 64]).successful
    client.wait_for_diagnostics(NODE, lambda v: v["input sizes ready (px)"] == "128, 64", "node")
    whole = camera.segment(image_message(52)).report
    assert (whole.input_size, whole.degradation) == (128, FrameReport.DEGRADE_NONE)
    before = client.diagnostics(NODE)

    assert client.set_parameter(NODE, "frame_budget_ms", 0.5).successful
    cheap = FrameReport.DEGRADE_INPUT | FrameReport.DEGRADE_BOXES

    def cheapest() -> InstanceArray | None:
        message = camera.segment(image_message(53))
        return message if message.report.degradation & cheap == cheap else None

    message = client.spin_until(cheapest, "the cheapest rung")
    assert message.report.input_size == 64
    assert not message.report.deadline_met
    assert all(instance.mask == InstanceMask() for instance in message.instances)
    assert int(client.diagnostics(NODE)["degraded"]) > int(before["degraded"])

    assert client.set_parameter(NODE, "frame_budget_ms", 0.0).successful
    again = camera.segment(image_message(54)).report
    assert (again.input_size, again.degradation) == (128, FrameReport.DEGRADE_NONE)
    assert client.set_parameter(NODE, "input_size", [0]).successful
    client.wait_for_diagnostics(NODE, lambda v: v["input sizes ready (px)"] == "64", "node")
    assert camera.segment(image_message(55)).report.input_size == TINY_INPUT_SIZE_PX


def test_results_that_are_late_can_be_dropped(camera: Camera) -> None:
    client = camera.client
    before = client.diagnostics(NODE)
    assert client.set_parameter(NODE, "overrun_policy", "drop").successful
    assert client.set_parameter(NODE, "frame_budget_ms", 0.001).successful
    camera.publisher.publish(image_message(50))
    values = client.wait_for_diagnostics(
        NODE, lambda v: int(v["dropped late"]) > int(before["dropped late"])
    )
    assert int(values["deadline misses"]) > int(before["deadline misses"])
    assert not [m for m in camera.messages if m.header.stamp.sec == 50]
    assert client.set_parameter(NODE, "overrun_policy", "publish").successful
    assert client.set_parameter(NODE, "frame_budget_ms", 0.0).successful
    camera.segment(image_message(51))


def test_stale_images_can_be_dropped(camera: Camera) -> None:
    client = camera.client
    before = client.diagnostics(NODE)
    assert client.set_parameter(NODE, "max_image_age_ms", 60000).successful
    camera.publisher.publish(image_message(60))  # a minute after 1970 began
    client.wait_for_diagnostics(
        NODE, lambda v: int(v["dropped stale"]) > int(before["dropped stale"])
    )
    assert not [m for m in camera.messages if m.header.stamp.sec == 60]
    fresh = image_message()
    fresh.header.stamp = client.node.get_clock().now().to_msg()
    camera.segment(fresh)
    assert client.set_parameter(NODE, "max_image_age_ms", 0.0).successful


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
        ("input_size", [64, 128], "every other one cheaper"),
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


def test_refused_values_are_counted(running_node: Process, client: RosClient) -> None:
    before = client.diagnostics(NODE, "node")
    client.set_parameter(NODE, "mask_encoding", "png")
    client.set_parameter(NODE, "score_threshold", 2.0)
    refused = int(before.get("errors parameter", 0))
    client.wait_for_diagnostics(
        NODE, lambda v: int(v.get("errors parameter", 0)) == refused + 2, "node"
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
    camera: Camera, running_node: Process
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


def test_zero_stamps_are_processed_and_reported(camera: Camera) -> None:
    message = image_message(0)
    message.header.stamp.nanosec = 0
    assert camera.segment(message).report.image_age_ms == 0.0
    values = camera.client.diagnostics(NODE)
    assert int(values["warnings zero stamp"]) > 0


def test_the_node_can_be_switched_off_and_on(camera: Camera) -> None:
    client = camera.client
    service = f"/{NODE}/set_enabled"
    assert client.call(SetBool, service, SetBool.Request(data=False)).success
    client.spin_until(lambda: camera.publisher.get_subscription_count() == 0, "no subscription")
    values = client.wait_for_diagnostics(NODE, lambda v: v["enabled"] == "False", "node")
    assert values["message"] == "switched off by ~/set_enabled"
    assert client.call(SetBool, service, SetBool.Request(data=True)).success
    camera.segment(image_message(80))


def test_overlay_and_label_image_come_while_somebody_looks(camera: Camera) -> None:
    client = camera.client
    overlays, overlay = client.collect(Image, f"/{NODE}/overlay")
    labels, label = client.collect(Image, f"/{NODE}/label_image")

    def both() -> bool:
        camera.publisher.publish(image_message(90))
        client.spin_for(0.1)
        return bool(overlays and labels)

    client.spin_until(both, "overlay and label image")
    assert overlays[-1].header == image_message(90).header
    assert (overlays[-1].encoding, overlays[-1].step) == ("bgr8", 3 * WIDTH_PX)
    shown = np.frombuffer(overlays[-1].data, np.uint8).reshape(HEIGHT_PX, WIDTH_PX, 3)
    assert (shown != picture()).any()
    assert labels[-1].encoding == "mono8"
    instances = next(m for m in camera.messages if m.header.stamp.sec == 90).instances
    label_pixels = np.frombuffer(labels[-1].data, np.uint8)
    assert label_pixels.size == HEIGHT_PX * WIDTH_PX
    assert 1 <= label_pixels.max() <= len(instances)
    for subscription in (overlay, label):
        client.node.destroy_subscription(subscription)


def test_diagnostics_name_the_model_and_the_latencies(camera: Camera, tiny_model: Path) -> None:
    camera.segment(image_message(100))
    node = camera.client.diagnostics(NODE, "node")
    assert (node["model"], node["network"]) == (str(tiny_model), "yolact_light")
    assert (node["state"], node["device"]) == ("active", "cpu")
    assert int(node["process memory (MiB)"]) > 50
    values = camera.client.diagnostics(NODE)
    p50, p95, p99 = (float(values[f"latency p{p} (ms)"]) for p in (50, 95, 99))
    assert 0 < p50 <= p95 <= p99
