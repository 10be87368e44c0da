"""One active node over DDS: what its messages say and its live parameters."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not here")

from rclpy.duration import Duration
from ros_camera import HEIGHT_PX, WIDTH_PX, HandCamera, image_message, picture
from ros_fixtures import NODE, TINY_CLASSES, TINY_INPUT_SIZE_PX
from sensor_msgs.msg import Image
from std_srvs.srv import SetBool
from yolact_ros.msg import FrameReport, InstanceArray, InstanceMask

from yolact_ros.inference.predictor import Predictor
from yolact_ros.inference.settings import PredictionSettings
from yolact_ros.masks import mask_to_array

ROUNDING_MS = 0.01  # of sums of float32 up to minutes


def test_a_message_has_the_header_and_the_predictors_instances(
    camera: HandCamera, tiny_model: Path
) -> None:
    settings = PredictionSettings(score_threshold=0.0, top_k=15)
    predictor = Predictor.load(tiny_model, runtime="eager", device="cpu", settings=settings)
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
        crop = expected.mask_crops[index]
        mask = instance.mask
        assert mask.encoding == InstanceMask.BITS
        rectangle = (mask.x_offset, mask.y_offset, mask.width, mask.height)
        assert rectangle == (crop.x_offset, crop.y_offset, crop.width, crop.height)
        differing = np.unpackbits(np.frombuffer(mask.data, np.uint8) ^ crop.bits).sum()
        assert differing <= 0.001 * mask.width * mask.height


def test_scores_fall_and_boxes_and_masks_lie_inside_the_image(camera: HandCamera) -> None:
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


def test_the_report_has_the_real_times(camera: HandCamera) -> None:
    sent = image_message()
    begun = camera.client.node.get_clock().now()
    # Ten seconds old, so that the times of the way and of a busy machine are small beside it.
    sent.header.stamp = (begun - Duration(seconds=10)).to_msg()
    report = camera.segment(sent).report
    taken_ms = (camera.client.node.get_clock().now() - begun).nanoseconds / 1e6
    stages_ms = report.preprocess_ms + report.inference_ms + report.postprocess_ms
    assert min(report.wait_ms, report.preprocess_ms, report.postprocess_ms) >= 0
    assert report.inference_ms > 0
    assert report.wait_ms + stages_ms <= report.total_ms + ROUNDING_MS
    assert 9_000 < report.image_age_ms <= 10_000 + taken_ms
    assert report.image_age_ms - 10_000 + report.total_ms <= taken_ms + ROUNDING_MS
    assert report.input_size == TINY_INPUT_SIZE_PX
    assert report.degradation == FrameReport.DEGRADE_NONE
    assert (report.budget_ms, report.deadline_met) == (0.0, True)


def test_live_parameters_act_at_the_next_frame(camera: HandCamera) -> None:
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


def test_masks_come_as_bits_as_runs_or_not_at_all(camera: HandCamera) -> None:
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


def test_under_a_tight_budget_quality_is_given_up_and_said_so(camera: HandCamera) -> None:
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

    message = client.spin_until(cheapest, "the cheapest level")
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


def test_results_that_are_late_can_be_dropped(camera: HandCamera) -> None:
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


def test_stale_images_can_be_dropped(camera: HandCamera) -> None:
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


def test_the_node_can_be_switched_off_and_on(camera: HandCamera) -> None:
    client = camera.client
    service = f"/{NODE}/set_enabled"
    assert client.ask(SetBool, service, SetBool.Request(data=False)).success
    client.spin_until(lambda: camera.publisher.get_subscription_count() == 0, "no subscription")
    values = client.wait_for_diagnostics(NODE, lambda v: v["enabled"] == "False", "node")
    assert values["message"] == "switched off by ~/set_enabled"
    assert client.ask(SetBool, service, SetBool.Request(data=True)).success
    camera.segment(image_message(80))


def test_overlay_and_label_image_come_while_somebody_looks(camera: HandCamera) -> None:
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


def test_diagnostics_name_the_model_and_the_latencies(
    camera: HandCamera, tiny_model: Path
) -> None:
    camera.segment(image_message(100))
    node = camera.client.diagnostics(NODE, "node")
    assert (node["model"], node["network"]) == (str(tiny_model), "yolact_light")
    assert (node["state"], node["device"]) == ("active", "cpu")
    assert int(node["process memory (MiB)"]) > 50
    values = camera.client.diagnostics(NODE)
    p50, p95, p99 = (float(values[f"latency p{p} (ms)"]) for p in (50, 95, 99))
    assert 0 < p50 <= p95 <= p99
