"""The views of one camera over DDS: which are made, and what the markers say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not here")

from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode
from ros_camera import HandCamera, image_message
from ros_client import RosClient
from ros_fixtures import NODE
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from visualization_msgs.msg import Marker, MarkerArray

from yolact_ros.inference.cdr import MessageHeader
from yolact_ros.palette import instance_colors_bgr, track_colors_bgr
from yolact_ros.prediction import Prediction
from yolact_ros.ros.camera_info import CameraInfoListener
from yolact_ros.ros.views import ViewFrame, ViewPublishers, markers, publishers
from yolact_ros.ros.views import view as view_module
from yolact_ros.structures import MaskCrop

VIEWED = "viewed"
IMAGE_TOPIC = "/eye/image_raw"
WIDTH_PX, HEIGHT_PX = 640, 480
NAMES = ("person", "dog")
TOPICS = {
    "overlay": Image,
    "overlay/compressed": CompressedImage,
    "label_image": Image,
    "markers": MarkerArray,
}
ADD, DELETE = Marker.ADD, Marker.DELETE
UNTRACKED = ("masks", "outlines", "boxes", "labels")


def ring(width: int, height: int, border: int) -> np.ndarray:
    mask = np.ones((height, width), np.bool_)
    mask[border:-border, border:-border] = False
    return mask


def frame(*rows: tuple[int, int, int, int, int], masks: bool = True, sec: int = 5) -> ViewFrame:
    """Instances (class, x_min, y_min, width, height) with the borders of their boxes as masks."""
    crops = tuple(MaskCrop(x, y, w, h, np.packbits(ring(w, h, 10))) for _, x, y, w, h in rows)
    boxes = [(x, y, x + w, y + h) for _, x, y, w, h in rows]
    prediction = Prediction(
        image_height_px=HEIGHT_PX,
        image_width_px=WIDTH_PX,
        class_ids=np.array([row[0] for row in rows], np.int64),
        scores=np.linspace(0.9, 0.5, len(rows), dtype=np.float32),
        boxes_xyxy=np.array(boxes, np.float32).reshape(-1, 4),
        mask_crops=crops if masks else (),
        class_names=NAMES,
    )
    image_bgr = np.zeros((HEIGHT_PX, WIDTH_PX, 3), np.uint8)
    return ViewFrame(MessageHeader(sec, 6, "eye_optical"), image_bgr, prediction)


PERSON = (0, 100, 100, 200, 150)
DOG = (1, 400, 200, 100, 80)


class Viewed:
    """The views of one camera on a node of this process, with a client that looks at them."""

    def __init__(self, client: RosClient) -> None:
        self.client = client
        self.node = LifecycleNode(VIEWED, context=client.context)
        self._executor = SingleThreadedExecutor(context=client.context)
        self._executor.add_node(self.node)
        group = self.node.default_callback_group
        camera_info = CameraInfoListener(self.node, IMAGE_TOPIC, group)
        self.views = ViewPublishers(self.node, "~", camera_info, group)
        self.node.trigger_configure()
        self.node.trigger_activate()
        self._subscriptions: dict[str, Any] = {}

    def look_at(self, topic: str) -> list[Any]:
        messages, subscription = self.client.collect(TOPICS[topic], f"/{VIEWED}/{topic}")
        self._subscriptions[topic] = subscription
        self.client.spin_until(lambda: topic in self.wanted, f"{topic} to be wanted")
        return messages

    def look_away(self, topic: str) -> None:
        self.client.node.destroy_subscription(self._subscriptions.pop(topic))
        self.client.spin_until(lambda: topic not in self.wanted, f"{topic} not to be wanted")

    @property
    def wanted(self) -> set[str]:
        return {view.topic for view in self.views.wanted()}

    def markers_of(self, shown: ViewFrame, messages: list[Any]) -> list[Marker]:
        """What one more frame puts on ~/markers."""
        messages.clear()
        self.views.publish(shown)
        self.client.spin_until(lambda: messages, "markers")
        return list(messages[0].markers)

    def spin_once(self) -> None:
        self._executor.spin_once(timeout_sec=0.02)

    def close(self) -> None:
        for topic in list(self._subscriptions):
            self.look_away(topic)
        self.views.destroy()
        self._executor.shutdown()
        self.node.destroy_node()


@pytest.fixture
def viewed(client: RosClient) -> Iterator[Viewed]:
    running = Viewed(client)
    yield running
    running.close()


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Counts what is computed for the views."""
    done: Counter[str] = Counter()

    def count(module: Any, function: str) -> None:
        original = getattr(module, function)

        def counting(*arguments: Any, **options: Any) -> Any:
            done[function] += 1
            return original(*arguments, **options)

        monkeypatch.setattr(module, function, counting)

    count(view_module, "draw_overlay")
    count(publishers, "label_image")
    count(publishers.cv2, "imencode")
    count(markers, "mask_rings")
    return done


@pytest.mark.parametrize(
    ("topics", "expected"),
    [
        ((), {}),
        (("markers",), {"mask_rings": 2}),
        (("label_image",), {"label_image": 1}),
        (("overlay",), {"draw_overlay": 1}),
        (("overlay/compressed",), {"draw_overlay": 1, "imencode": 1}),
        (
            tuple(TOPICS),
            {"draw_overlay": 1, "imencode": 1, "label_image": 1, "mask_rings": 2},
        ),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, tuple) else "",
)
def test_a_view_is_computed_only_for_its_own_subscribers(
    viewed: Viewed, work: Counter[str], topics: tuple[str, ...], expected: dict[str, int]
) -> None:
    messages = {topic: viewed.look_at(topic) for topic in topics}
    assert viewed.wanted == set(topics)
    waits: list[None] = []
    viewed.views.publish(frame(PERSON, DOG), lambda: waits.append(None))
    viewed.client.spin_until(lambda: all(messages.values()), "a message on every topic")
    assert work == expected
    assert len(waits) == len(topics)
    for topic in topics:
        viewed.look_away(topic)
    work.clear()
    viewed.views.publish(frame(PERSON, DOG))
    assert not work


def test_an_instance_is_a_mask_an_outline_a_box_and_a_label(viewed: Viewed) -> None:
    messages = viewed.look_at("markers")
    found = viewed.markers_of(frame(PERSON, DOG), messages)
    colors = instance_colors_bgr([0, 1])
    assert [(m.ns, m.id, m.action) for m in found] == [
        (namespace, index, ADD) for index in (0, 1) for namespace in UNTRACKED
    ]
    for marker in found:
        assert marker.header.frame_id == "eye_optical"
        assert (marker.header.stamp.sec, marker.header.stamp.nanosec) == (5, 6)
        assert marker.lifetime.sec == 1
        assert marker.pose.orientation.w == 1.0
        color = [round(255 * part) for part in (marker.color.b, marker.color.g, marker.color.r)]
        assert tuple(color) == colors[marker.id]
        assert (marker.color.a < 1) == (marker.ns == "masks")
    by_name = {marker.ns: marker for marker in found[:4]}
    kinds = {name: marker.type for name, marker in by_name.items()}
    assert kinds == {
        "masks": Marker.TRIANGLE_LIST,
        "outlines": Marker.LINE_LIST,
        "boxes": Marker.LINE_STRIP,
        "labels": Marker.TEXT_VIEW_FACING,
    }
    assert by_name["labels"].text == "person 0.90"
    assert len(by_name["masks"].points) % 3 == 0
    assert len(by_name["outlines"].points) % 2 == 0


def pixels(points: list[Any]) -> np.ndarray:
    """Where the points of an uncalibrated camera are in the image; the slow, obvious way."""
    return np.array(
        [
            (WIDTH_PX * (p.x / p.z + 0.5) - 0.5, WIDTH_PX * p.y / p.z + HEIGHT_PX / 2 - 0.5)
            for p in points
        ]
    )


def test_markers_lie_a_metre_ahead_where_rays_of_the_pixels_meet_the_plane(
    viewed: Viewed,
) -> None:
    messages = viewed.look_at("markers")
    found = {(m.ns, m.id): m for m in viewed.markers_of(frame(PERSON, DOG), messages)}
    for marker in found.values():
        for point in [*marker.points, *([marker.pose.position] if not marker.points else [])]:
            assert point.z == pytest.approx(1.0, abs=0.005)
    box = pixels(found["boxes", 0].points)
    np.testing.assert_allclose(box.min(axis=0), (99.5, 99.5))
    np.testing.assert_allclose(box.max(axis=0), (299.5, 249.5))
    assert found["boxes", 0].points[0] == found["boxes", 0].points[-1]
    # The mask is the border of the box: its outline has an outer ring and the ring of the hole.
    corners = {tuple(corner) for corner in pixels(found["outlines", 0].points).round(3).tolist()}
    assert {(100, 100), (299, 100), (299, 249), (100, 249)} <= corners
    assert {corner for corner in corners if 105 < corner[0] < 295 and 105 < corner[1] < 245}
    painted = np.zeros((HEIGHT_PX, WIDTH_PX), np.uint8)
    for triangle in pixels(found["masks", 0].points).reshape(-1, 3, 2):
        cv2.fillConvexPoly(painted, triangle.round().astype(np.int32), 1)
    mask = np.zeros_like(painted)
    mask[100:250, 100:300] = ring(200, 150, 10)
    assert (painted != mask).sum() < 0.1 * mask.sum()
    (label,) = pixels([found["labels", 0].pose.position])
    assert label[0] == pytest.approx(199.5)
    assert 60 < label[1] < 99
    # The better instance lies in front, and its label before its mask.
    depth = {key: (m.points[0] if m.points else m.pose.position).z for key, m in found.items()}
    assert depth["labels", 0] < depth["outlines", 0] < depth["masks", 0] < depth["labels", 1]


def test_a_tracked_object_has_its_id_a_trail_and_a_colour_of_its_own(viewed: Viewed) -> None:
    messages = viewed.look_at("markers")
    shown = frame(PERSON, DOG)
    shown.prediction = replace(
        shown.prediction, track_ids=np.array([7, 0]), track_ages=np.array([3, 0])
    )
    shown.trails = {7: np.array([[100, 240], [150, 240], [200, 175]], np.float32)}
    shown.color_by = "track"

    found = {(m.ns, m.id): m for m in viewed.markers_of(shown, messages)}

    assert found["labels", 0].text == "person #7 0.90"
    assert found["labels", 1].text == "dog 0.50"
    assert ("trails", 1) not in found
    expected = [[99.5, 239.5], [149.5, 239.5], [199.5, 174.5]]
    np.testing.assert_allclose(pixels(found["trails", 0].points), expected, atol=0.01)
    blue, green, red = track_colors_bgr([7])[0]
    color = found["boxes", 0].color
    assert [color.r, color.g, color.b] == [
        pytest.approx(value / 255, abs=1e-6) for value in (red, green, blue)
    ]


def test_what_is_gone_is_deleted_and_the_rest_keeps_its_id(viewed: Viewed) -> None:
    messages = viewed.look_at("markers")

    def actions(shown: ViewFrame) -> dict[tuple[str, int], int]:
        return {(m.ns, m.id): m.action for m in viewed.markers_of(shown, messages)}

    every = {(namespace, index) for namespace in UNTRACKED for index in (0, 1)}
    assert actions(frame(PERSON, DOG)) == dict.fromkeys(every, ADD)
    fewer = actions(frame(PERSON))
    assert {key for key, action in fewer.items() if action == DELETE} == {
        key for key in every if key[1] == 1
    }
    without_masks = actions(frame(PERSON, masks=False))
    assert without_masks == {
        ("masks", 0): DELETE,
        ("outlines", 0): DELETE,
        ("boxes", 0): ADD,
        ("labels", 0): ADD,
    }
    assert actions(frame()) == {("boxes", 0): DELETE, ("labels", 0): DELETE}
    assert actions(frame()) == {}


def calibration(**fields: Any) -> CameraInfo:
    info = CameraInfo(width=2 * WIDTH_PX, height=2 * HEIGHT_PX, distortion_model="plumb_bob")
    info.k = [1000.0, 0.0, 700.0, 0.0, 1100.0, 500.0, 0.0, 0.0, 1.0]
    info.p = [800.0, 0.0, 640.0, 0.0, 0.0, 900.0, 480.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    for name, value in fields.items():
        setattr(info, name, value)
    return info


def test_with_camera_info_the_rays_are_those_of_the_camera(viewed: Viewed) -> None:
    """The image has half the size that the camera was calibrated with."""
    messages = viewed.look_at("markers")
    publisher = viewed.node.create_publisher(CameraInfo, "/eye/camera_info", 1)
    left_edge_px = 2 * PERSON[1]

    def calibrated() -> bool:
        viewed.views.tick()
        publisher.publish(calibration())
        viewed.spin_once()
        found = {m.ns: m for m in viewed.markers_of(frame(PERSON), messages)}
        point = found["boxes"].points[0]
        expected = ((left_edge_px - 0.5 - 700) / 1000, (2 * PERSON[2] - 0.5 - 500) / 1100)
        return (point.x / point.z, point.y / point.z) == pytest.approx(expected)

    viewed.client.spin_until(calibrated, "markers on the camera's rays")
    # Nobody looks: nobody listens.
    viewed.look_away("markers")
    viewed.views.tick()
    viewed.client.spin_until(lambda: publisher.get_subscription_count() == 0, "no listener")


def test_label_images_of_more_than_255_instances_have_16_bits(viewed: Viewed) -> None:
    messages = viewed.look_at("label_image")
    rows = [(0, 2 * (index % 300), 30 * (index // 300), 30, 30) for index in range(300)]
    viewed.views.publish(frame(*rows))
    viewed.client.spin_until(lambda: messages, "a label image")
    (image,) = messages
    assert (image.encoding, image.step, image.is_bigendian) == ("mono16", 2 * WIDTH_PX, 0)
    labels = np.frombuffer(image.data, "<u2").reshape(HEIGHT_PX, WIDTH_PX)
    assert labels.max() == 300
    assert labels[0, 0] == 1


def test_a_node_that_sends_no_masks_still_shows_them(camera: HandCamera) -> None:
    client = camera.client
    assert client.set_parameter(NODE, "mask_encoding", "none").successful
    labels, label_subscription = client.collect(Image, f"/{NODE}/label_image")
    arrays, marker_subscription = client.collect(MarkerArray, f"/{NODE}/markers")

    def shown() -> bool:
        camera.publisher.publish(image_message(70))
        client.spin_for(0.1)
        return bool(labels and arrays and max(labels[-1].data) > 0)

    try:
        client.spin_until(shown, "label image and markers with masks")
        instances = camera.segment(image_message(71)).instances
        assert instances
        assert all(instance.mask.encoding == 0 for instance in instances)
        assert {marker.ns for marker in arrays[-1].markers} == set(UNTRACKED)
        assert arrays[-1].markers[0].header.frame_id == "camera_optical_frame"
    finally:
        for subscription in (label_subscription, marker_subscription):
            client.node.destroy_subscription(subscription)
        assert client.set_parameter(NODE, "mask_encoding", "bits").successful
