"""The ids of the node's messages, over DDS."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not here")

from ros_camera import HandCamera, image_message
from ros_fixtures import NODE
from ros_processes import Process


@pytest.fixture
def tracked(camera: HandCamera) -> Iterator[HandCamera]:
    assert camera.client.set_parameter(NODE, "track_buffer_ms", 5000.0).successful
    assert camera.client.set_parameter(NODE, "tracker", "bytetrack").successful
    yield camera
    assert camera.client.set_parameter(NODE, "tracker", "none").successful
    assert camera.client.set_parameter(NODE, "track_buffer_ms", 1000.0).successful


def ids(camera: HandCamera, stamp_sec: int) -> list[int]:
    found = [instance.track_id for instance in camera.segment(image_message(stamp_sec)).instances]
    assert found
    return found


def test_objects_have_no_id_until_a_tracker_is_asked_for(camera: HandCamera) -> None:
    instances = camera.segment(image_message(200)).instances

    assert instances
    assert {(instance.track_id, instance.track_age) for instance in instances} == {(0, 0)}


def test_objects_keep_their_ids_and_a_bag_that_starts_again_brings_new_ones(
    tracked: HandCamera,
) -> None:
    first = ids(tracked, 301)
    second = tracked.segment(image_message(302)).instances
    after_the_loop = ids(tracked, 300)
    later = ids(tracked, 304)

    assert all(first)
    assert len(set(first)) == len(first)
    assert [instance.track_id for instance in second] == first
    assert all(instance.track_age >= 2 for instance in second)
    assert min(after_the_loop) > max(first)
    assert later == after_the_loop


def test_objects_that_are_gone_for_longer_than_the_buffer_are_others(tracked: HandCamera) -> None:
    before = ids(tracked, 401)
    within = ids(tracked, 404)
    after = ids(tracked, 410)

    assert within == before
    assert min(after) > max(before)


def test_images_too_far_apart_for_the_buffer_are_warned_of(
    tracked: HandCamera, running_node: Process
) -> None:
    for stamp_sec in (420, 430, 440):
        ids(tracked, stamp_sec)

    tracked.client.spin_until(
        lambda: "images come farther apart than track_buffer_ms (5000 ms)" in running_node.output,
        "a warning",
    )
    assert "warnings track buffer" in tracked.client.diagnostics(NODE, "image")


def test_a_request_is_not_tracked_and_disturbs_no_object(tracked: HandCamera) -> None:
    from yolact_ros.srv import Segment

    before = ids(tracked, 501)
    request = Segment.Request(image=image_message(9))
    answer = tracked.client.ask(Segment, f"/{NODE}/segment", request)
    after = ids(tracked, 502)

    assert {instance.track_id for instance in answer.result.instances} == {0}
    assert after == before


def test_an_unknown_tracker_is_refused_with_the_choices(camera: HandCamera) -> None:
    result = camera.client.set_parameter(NODE, "tracker", "sort")

    assert not result.successful
    assert "one of none, bytetrack, ocsort, botsort" in result.reason
