"""The service ~/segment: full quality, always an answer, and the cameras go on."""

from __future__ import annotations

import array
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not here")

import rclpy
from ros_camera import HEIGHT_PX, WIDTH_PX, HandCamera, image_message, picture
from ros_client import RosClient
from ros_fixtures import NODE, TINY_INPUT_SIZE_PX
from ros_processes import CameraProcess, Process, start_node
from sensor_msgs.msg import Image
from yolact_ros.msg import FrameReport, InstanceMask
from yolact_ros.srv import Segment

from yolact_ros.inference.predictor import Predictor
from yolact_ros.inference.settings import PredictionSettings
from yolact_ros.masks import mask_to_array
from yolact_ros.ros.faults import FaultLog
from yolact_ros.ros.segment import MAX_WAITING, SegmentService


def segment(client: RosClient, image: Image, node: str = NODE) -> Any:
    return client.ask(Segment, f"/{node}/segment", Segment.Request(image=image))


def with_parameters(
    client: RosClient, values: dict[str, object], act: Callable[[], Any], node: str = NODE
) -> Any:
    """What ``act`` returns under other values of live parameters, which are put back after it."""
    before = {name: client.get_parameter(node, name) for name in values}
    try:
        for name, value in values.items():
            result = client.set_parameter(node, name, value)
            assert result.successful, result.reason
        return act()
    finally:
        for name, value in before.items():
            assert client.set_parameter(node, name, value).successful


def test_the_answer_has_the_header_and_the_predictors_instances(
    running_node: Process, client: RosClient, tiny_model: Path
) -> None:
    settings = PredictionSettings(score_threshold=0.0, top_k=15)
    predictor = Predictor.load(tiny_model, runtime="eager", device="cpu", settings=settings)
    expected = predictor.predict(picture(5))
    sent = image_message(20, picture(5))
    begun_s = time.monotonic()
    answer = segment(client, sent)
    taken_ms = (time.monotonic() - begun_s) * 1e3
    assert (answer.success, answer.message) == (True, "")
    assert answer.result.header == sent.header
    assert (answer.result.image_height, answer.result.image_width) == (HEIGHT_PX, WIDTH_PX)
    assert len(answer.result.instances) == len(expected) > 0
    for instance, score, box in zip(
        answer.result.instances, expected.scores, expected.boxes_xyxy, strict=True
    ):
        assert instance.score == pytest.approx(score, abs=1e-5)
        assert (instance.x_min, instance.y_max) == pytest.approx((box[0], box[3]), abs=1e-2)
        assert instance.mask.encoding == InstanceMask.BITS
    report = answer.result.report
    assert report.input_size == TINY_INPUT_SIZE_PX
    assert (report.budget_ms, report.deadline_met, report.degradation) == (0.0, True, 0)
    stages_ms = report.preprocess_ms + report.inference_ms + report.postprocess_ms
    assert min(report.wait_ms, report.preprocess_ms, report.postprocess_ms) >= 0
    assert report.inference_ms > 0
    rounding_ms = 0.01  # of sums of float32
    assert report.wait_ms + stages_ms <= report.total_ms + rounding_ms
    assert report.total_ms <= taken_ms + rounding_ms


def test_live_parameters_choose_what_is_reported_and_masks_are_always_there(
    running_node: Process, client: RosClient
) -> None:
    def ask() -> list[Any]:
        return list(segment(client, image_message(30)).result.instances)

    everything = ask()
    assert len(with_parameters(client, {"top_k": 2}, ask)) == 2
    middle = everything[len(everything) // 2].score
    fewer = with_parameters(client, {"score_threshold": middle}, ask)
    assert 0 < len(fewer) < len(everything)
    runs = with_parameters(client, {"mask_encoding": "rle"}, ask)
    bits = with_parameters(client, {"mask_encoding": "none"}, ask)
    for in_runs, in_bits in zip(runs, bits, strict=True):
        assert (in_runs.mask.encoding, in_bits.mask.encoding) == (
            InstanceMask.RLE,
            InstanceMask.BITS,
        )
        np.testing.assert_array_equal(mask_to_array(in_runs.mask), mask_to_array(in_bits.mask))


@pytest.mark.parametrize(
    ("cause", "reason", "fields"),
    [
        ("encoding", "'xyz' is not supported; publish one of bgr8", {"encoding": "xyz"}),
        ("size", "0x90", {"width": 0}),
        ("truncated", "image data end after 0 of", {"data": array.array("B")}),
    ],
)
def test_a_bad_image_is_answered_with_what_is_wrong_and_counted(
    running_node: Process, client: RosClient, cause: str, reason: str, fields: dict[str, Any]
) -> None:
    message = image_message(40)
    for name, value in fields.items():
        setattr(message, name, value)
    segment(client, image_message(39))  # answered: node and client know each other
    before = client.diagnostics(NODE, "node")
    # Asked once, since requests are counted.
    answer = client.call(Segment, f"/{NODE}/segment", Segment.Request(image=message))
    assert not answer.success
    assert reason in answer.message
    assert len(answer.result.instances) == 0
    key = f"errors segment {cause}"
    counted = int(before.get(key, 0)) + 1
    after = client.wait_for_diagnostics(NODE, lambda v: int(v.get(key, 0)) == counted, "node")
    assert int(after["segment requests"]) == int(before["segment requests"]) + 1


def test_it_works_in_the_inactive_state_and_says_the_cure_in_the_unconfigured_one(
    client: RosClient, tiny_model: Path, ros_env: dict[str, str], tmp_path: Path
) -> None:
    node = "still"
    parameters = {"model": str(tiny_model), "autostart": False, "score_threshold": 0.0}
    with start_node(node, tmp_path, ros_env, parameters, {"image": "/still"}) as process:
        client.wait_for_state(node, "unconfigured")
        answer = segment(client, image_message(50), node)
        assert not answer.success
        assert answer.message == (
            "the node is unconfigured, so no network is loaded; configure it: "
            "ros2 lifecycle set /still configure"
        )
        assert client.change_state(node, "configure")
        inactive = segment(client, image_message(51), node)
        assert inactive.success
        assert len(inactive.result.instances) > 0
        assert client.change_state(node, "activate")
        active = segment(client, image_message(51), node)
        assert active.result.instances == inactive.result.instances
        assert client.change_state(node, "deactivate")
        assert segment(client, image_message(51), node).success
        assert client.change_state(node, "cleanup")
        assert not segment(client, image_message(52), node).success
        assert process.stop() == 0
        assert "Traceback" not in process.output


def test_under_a_budget_that_camera_frames_cannot_keep_it_has_full_quality(
    camera: HandCamera,
) -> None:
    client = camera.client
    hurried = {"frame_budget_ms": 0.5, "input_size": [128, 64]}

    def degraded() -> bool:
        return camera.segment(image_message(60)).report.degradation != FrameReport.DEGRADE_NONE

    def ask() -> Any:
        client.wait_for_diagnostics(
            NODE, lambda v: v["input sizes ready (px)"] == "128, 64", "node"
        )
        client.spin_until(degraded, "a degraded frame")
        return segment(client, image_message(60)).result

    result = with_parameters(client, hurried, ask)
    assert (result.report.input_size, result.report.degradation) == (128, 0)
    assert all(instance.mask.encoding == InstanceMask.BITS for instance in result.instances)
    client.wait_for_diagnostics(NODE, lambda v: v["input sizes ready (px)"] == "64", "node")


def test_requests_one_after_the_other_leave_the_camera_its_turns(
    client: RosClient, tiny_model: Path, ros_env: dict[str, str], tmp_path: Path
) -> None:
    node = "stormy"
    parameters = {"model": str(tiny_model), "score_threshold": 0.0}
    arguments = ("--topic", "/stormy", "--reliability", "reliable", "--size", 160, 120)
    with (
        start_node(node, tmp_path, ros_env, parameters, {"image": "/stormy"}) as process,
        CameraProcess(tmp_path, ros_env, *arguments, "--count", 100000) as camera,
    ):
        camera.wait_for_text("ready")
        assert segment(client, image_message(), node).success
        service = client.ready(Segment, f"/{node}/segment")
        before = client.wait_for_diagnostics(node, lambda v: int(v["published"]) > 0)
        answered: list[int] = []
        waiting: list[Any] = []

        def go_on() -> bool:
            """Keep five requests waiting until the camera has had ten turns."""
            while waiting and waiting[0].done():
                answer = waiting.pop(0).result()
                assert answer.success, answer.message
                answered.append(answer.result.header.stamp.sec)
            while len(waiting) < 5:
                image = image_message(len(answered) + len(waiting))
                waiting.append(service.call_async(Segment.Request(image=image)))
            now = client.diagnostics(node)
            return len(answered) > 10 and int(now["published"]) > int(before["published"]) + 10

        client.spin_until(go_on, "requests and frames")
        assert answered == list(range(len(answered)))
        assert int(client.diagnostics(node)["dropped failed"]) == 0
        assert process.stop() == 0
        assert "Traceback" not in process.output


def test_one_request_is_offered_at_a_time_and_too_many_are_refused_at_once(
    client: RosClient,
) -> None:
    """Nobody serves what is offered here."""
    node = rclpy.create_node("waiting_room", context=client.context)
    client.executor.add_node(node)
    offered: list[Any] = []
    faults = FaultLog(lambda line: None)
    service = SegmentService(node, lambda: "", faults)
    service.open(lambda key, item, deadline_ns: offered.append(item))
    caller = client.node.create_client(Segment, "/waiting_room/segment")
    client.spin_until(caller.service_is_ready, "the service")
    futures = []
    for index in range(MAX_WAITING + 1):
        futures.append(caller.call_async(Segment.Request(image=image_message(index))))
        client.spin_for(0.05)
    client.spin_until(futures[-1].done, "the refusal")
    assert futures[-1].result().message == (
        "8 requests wait already; call again when one is answered"
    )
    assert [item.image.header.stamp.sec for item in offered] == [0]
    assert not any(future.done() for future in futures[:-1])
    service.close("over")
    client.spin_until(lambda: all(future.done() for future in futures), "every answer")
    assert {future.result().message for future in futures[:-1]} == {"over"}
    assert faults.counts() == {"segment busy": 1, "segment closed": MAX_WAITING}
    client.executor.remove_node(node)
    node.destroy_node()
