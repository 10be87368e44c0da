"""Where objects are, over DDS: colour and depth made by hand, and what the node answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not here")

from depth_camera import FOCAL_PX, calibration, compressed_depth, depth_message, stamp_of
from ros_camera import HEIGHT_PX, WIDTH_PX, image_message
from ros_client import RosClient
from ros_processes import Process, start_node
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2
from visualization_msgs.msg import Marker, MarkerArray
from yolact_ros.msg import InstanceArray, Object3DArray

LOCATOR = "locator"
BEGIN_NS = 7_000_000_000
FRAME_NS = 100_000_000
PLANE_M = 2.0


class DepthCamera:
    """Publishes colour, depth and calibration of one moment, and collects the answers."""

    def __init__(self, client: RosClient, process: Process) -> None:
        self.client = client
        self.process = process
        self.now_ns = BEGIN_NS
        node = client.node
        self.image = node.create_publisher(Image, "/rgb/image_raw", 5)
        self.depth = node.create_publisher(Image, "/depth/image_raw", 5)
        self.info = node.create_publisher(CameraInfo, "/depth/camera_info", 5)
        self.objects, self.subscription = client.collect(Object3DArray, f"/{LOCATOR}/objects")
        self.instances, _ = client.collect(InstanceArray, f"/{LOCATOR}/instances")
        client.spin_until(
            lambda: (
                self.image.get_subscription_count()
                and self.depth.get_subscription_count()
                and self.info.get_subscription_count()
            ),
            "the node to listen to colour, depth and calibration",
        )
        self.shoot(PLANE_M)  # the first may come before all are connected

    def shoot(
        self,
        depth: Image | np.ndarray | float | None,
        info: CameraInfo | None = None,
        *,
        offset_ms: float = 0.0,
        accept: Callable[[Object3DArray], object] = lambda _: True,
    ) -> Object3DArray:
        """The places of one more image; again, as a camera does, until there is an answer.

        Args:
            depth: the depth image, or the depths in metres; None publishes none.
            info: the calibration; by default that of the cameras.
            offset_ms: of the depth image's stamp.
            accept: which answer to wait for.
        """
        message = depth if depth is None or isinstance(depth, Image) else depth_message(depth)
        self.objects.clear()

        def answer() -> Object3DArray | None:
            self.now_ns += FRAME_NS
            self.info.publish(info or calibration())
            if message is not None:
                offset_ns = int(offset_ms * 1e6)
                self.depth.publish(stamp_of(message, self.now_ns + offset_ns))
            self.image.publish(stamp_of(image_message(), self.now_ns))
            self.client.spin_for(0.15)
            return next((found for found in self.objects if accept(found)), None)

        return self.client.spin_until(answer, "the places of an image's objects")

    def warnings(self) -> dict[str, int]:
        """The counters of warnings, by cause."""
        values = self.client.diagnostics(LOCATOR, "image")
        return {
            key.removeprefix("warnings "): int(value)
            for key, value in values.items()
            if key.startswith("warnings ")
        }


@pytest.fixture(scope="module")
def locator(
    tiny_model: Any, ros_env: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Process]:
    """An active node with depth."""
    parameters = {
        "model": str(tiny_model),
        "device": "cpu",
        "score_threshold": 0.0,
        "mask_encoding": "none",
        "depth_image": "/depth/image_raw",
        "tracker": "bytetrack",
        "track_buffer_ms": 5000.0,
    }
    folder = tmp_path_factory.mktemp("locator")
    remapped = {"image": "/rgb/image_raw"}
    with start_node(LOCATOR, folder, ros_env, parameters, remapped) as node:
        node.wait_for_text("active on /rgb/image_raw")
        yield node
        assert node.stop() == 0, node.output
        assert "Traceback" not in node.output


@pytest.fixture
def camera(client: RosClient, locator: Process) -> DepthCamera:
    return DepthCamera(client, locator)


def located(message: Object3DArray) -> list[Any]:
    return [thing for thing in message.objects if thing.located]


def test_objects_on_a_plane_at_two_metres_are_two_metres_ahead(camera: DepthCamera) -> None:
    found = camera.shoot(PLANE_M, accept=located)

    stamp = found.header.stamp
    (instances,) = [m for m in camera.instances if m.header.stamp == stamp]
    assert found.header == instances.header
    assert found.depth_stamp == stamp
    assert [(t.class_name, t.score, t.track_id) for t in found.objects] == [
        (i.class_name, i.score, i.track_id) for i in instances.instances
    ]
    assert len(located(found)) >= 2
    for thing, instance in zip(found.objects, instances.instances, strict=True):
        if not thing.located:
            assert "depth pixel" in thing.reason
            assert thing.num_points == 0
            continue
        assert thing.reason == ""
        assert thing.centroid.z == pytest.approx(2.0, abs=0.002)
        # Their rays are longer than the axis: at most to the corner of the image.
        corner_m = 2.0 * np.hypot(1.0, np.hypot(WIDTH_PX / 2, HEIGHT_PX / 2) / FOCAL_PX)
        assert 2.0 <= thing.distance <= corner_m
        assert thing.box_size.z == pytest.approx(0.0, abs=0.01)
        for axis, low, high, side_px in (
            ("x", instance.x_min, instance.x_max, WIDTH_PX),
            ("y", instance.y_min, instance.y_max, HEIGHT_PX),
        ):
            center = getattr(thing.centroid, axis)
            low_m, high_m = ((edge - side_px / 2) * 2.0 / FOCAL_PX for edge in (low, high))
            assert low_m - 0.2 <= center <= high_m + 0.2  # a cell of the prototypes
        assert thing.box_pose.orientation.w == 1.0
        assert not thing.velocity_known
        assert thing.num_points > 0


@pytest.mark.parametrize("factor", [0.5, 2])
def test_depth_of_half_or_twice_the_size_shows_the_same(
    camera: DepthCamera, factor: float
) -> None:
    size = (int(HEIGHT_PX * factor), int(WIDTH_PX * factor))
    found = camera.shoot(np.full(size, 3.0), accept=located)
    assert {round(thing.centroid.z, 2) for thing in located(found)} == {3.0}


def test_depth_in_metres_is_read_as_well(camera: DepthCamera) -> None:
    plane = np.full((HEIGHT_PX, WIDTH_PX), 1.5, np.float32)
    plane[::7] = np.nan
    found = camera.shoot(depth_message(plane, "32FC1"), accept=located)
    assert {round(thing.centroid.z, 2) for thing in located(found)} == {1.5}


def test_points_and_markers_have_the_objects(camera: DepthCamera) -> None:
    clouds, _ = camera.client.collect(PointCloud2, f"/{LOCATOR}/points")
    arrays, _ = camera.client.collect(MarkerArray, f"/{LOCATOR}/object_markers")
    found = camera.shoot(
        PLANE_M,
        accept=lambda m: (
            located(m)
            and any(c.header == m.header and c.width for c in clouds)
            and any(a.markers and a.markers[0].header == m.header for a in arrays)
        ),
    )
    (cloud,) = [c for c in clouds if c.header == found.header]
    assert [field.name for field in cloud.fields] == ["x", "y", "z", "instance"]
    points = np.frombuffer(cloud.data, np.dtype([("xyz", "<f4", 3), ("instance", "<u4")]))
    np.testing.assert_allclose(points["xyz"][:, 2], 2.0, atol=0.002)
    counts = np.bincount(points["instance"], minlength=len(found.objects))
    assert counts.tolist() == [thing.num_points for thing in found.objects]
    (array,) = [a for a in arrays if a.markers and a.markers[0].header == found.header]
    shown = {(m.ns, m.id): m for m in array.markers if m.action == Marker.ADD}
    places = [index for index, thing in enumerate(found.objects) if thing.located]
    assert set(shown) == {(ns, index) for ns in ("boxes_3d", "labels_3d") for index in places}
    thing = found.objects[places[0]]
    corners = np.array([(p.x, p.y, p.z) for p in shown["boxes_3d", places[0]].points])
    assert len(corners) == 24
    size = thing.box_size
    np.testing.assert_allclose(np.ptp(corners, axis=0), (size.x, size.y, size.z), atol=1e-5)
    assert shown["labels_3d", places[0]].text.endswith(f"{thing.distance:.2f} m")


def test_nobody_asks_and_nothing_is_subscribed(camera: DepthCamera) -> None:
    camera.client.node.destroy_subscription(camera.subscription)
    camera.client.spin_until(
        lambda: (
            not camera.depth.get_subscription_count() and not camera.info.get_subscription_count()
        ),
        "the node to listen to no depth",
    )


def wrong_colour() -> Image:
    message = depth_message(PLANE_M)
    message.encoding = "bgr8"
    return message


def short() -> Image:
    message = depth_message(PLANE_M)
    message.data = message.data[:100]
    return message


BAD_DEPTHS: dict[str, tuple[Callable[[], Any], dict[str, Any], str, str]] = {
    # What is sent, options, the counter, and a part of the reason or the log.
    "another field of view": (lambda: np.full((40, 100), 2.0), {}, "depth image", "100 x 40"),
    "zeros": (lambda: 0.0, {}, "depth image", "no pixel of the depth image has a reading"),
    "nan": (
        lambda: depth_message(np.full((HEIGHT_PX, WIDTH_PX), np.nan), "32FC1"),
        {},
        "depth image",
        "no pixel of the depth image has a reading",
    ),
    "a colour image": (wrong_colour, {}, "depth image", "expected 16UC1 (millimetres) or 32FC1"),
    "cut off": (short, {}, "depth image", "data end after 100 of"),
    "stamps apart": (lambda: PLANE_M, {"offset_ms": 50.0}, "no depth", "50 ms away"),
    "no depth": (lambda: None, {}, "no depth", "the newest depth image is"),
    "not calibrated": (
        lambda: PLANE_M,
        {"info": calibration(k=[0.0] * 9)},
        "depth calibration",
        "calibrate the camera",
    ),
}


@pytest.mark.parametrize("case", BAD_DEPTHS)
def test_with_bad_depth_the_instances_go_on_and_one_warning_names_the_cure(
    camera: DepthCamera, case: str
) -> None:
    make, options, cause, text = BAD_DEPTHS[case]
    before = camera.warnings().get(cause, 0)
    found = camera.shoot(make(), accept=lambda m: not located(m) and m.objects, **options)
    assert any(m.header.stamp == found.header.stamp for m in camera.instances)
    assert all(thing.reason for thing in found.objects)
    camera.shoot(make(), accept=lambda m: not located(m), **options)

    def counted() -> bool:
        camera.shoot(make(), accept=lambda m: not located(m), **options)
        return camera.warnings().get(cause, 0) > before

    camera.client.spin_until(counted, f"warnings {cause}")
    # One line of each cause in 15 s, so another case may have had it.
    reasons = " ".join(thing.reason for thing in found.objects)
    assert text in camera.process.output + reasons
    # The next good image is as good as before.
    assert located(camera.shoot(PLANE_M, accept=located))


def test_depth_of_another_frame_is_warned_of(camera: DepthCamera) -> None:
    depth = depth_message(PLANE_M)
    depth.header.frame_id = "depth_optical_frame"
    assert located(camera.shoot(depth, accept=located))
    assert "is it registered?" in camera.process.output
    assert camera.warnings()["depth frame"] >= 1


def test_without_tf_there_are_no_velocities_and_the_reason_is_named(camera: DepthCamera) -> None:
    client = camera.client
    assert client.set_parameter(LOCATOR, "target_frame", "odom").successful
    try:

        def warned() -> bool:
            found = camera.shoot(PLANE_M, accept=located)
            assert found.velocity_frame == ""
            assert not found.box_upright
            assert not any(thing.velocity_known for thing in found.objects)
            return "no tf" in camera.warnings()

        client.spin_until(warned, "warnings no tf")
        assert "to the target_frame 'odom', so velocities are unknown" in camera.process.output
    finally:
        assert client.set_parameter(LOCATOR, "target_frame", "").successful


def test_compressed_depth_is_read_below_the_names_of_several_cameras(
    client: RosClient, tiny_model: Any, ros_env: dict[str, str], tmp_path: Any
) -> None:
    plane = np.full((HEIGHT_PX, WIDTH_PX), 2.5, np.float32)
    parameters = {
        "model": str(tiny_model),
        "device": "cpu",
        "score_threshold": 0.0,
        "cameras": ["left", "right"],
        "depth_image": "depth/compressedDepth",
    }
    with start_node("pair", tmp_path, ros_env, parameters, {}) as node:
        node.wait_for_text("active on /left/image, /right/image")
        for name, encoding in (("left", "16UC1"), ("right", "32FC1")):
            objects, _ = client.collect(Object3DArray, f"/pair/{name}/objects")
            image = client.node.create_publisher(Image, f"/{name}/image", 5)
            depth = client.node.create_publisher(
                CompressedImage, f"/{name}/depth/compressedDepth", 5
            )
            info = client.node.create_publisher(CameraInfo, f"/{name}/camera_info", 5)

            def places(
                encoding: str = encoding,
                image: Any = image,
                depth: Any = depth,
                info: Any = info,
                objects: Any = objects,
            ) -> list[Any]:
                depth.publish(compressed_depth(plane, encoding))
                info.publish(calibration())
                image.publish(image_message())
                client.spin_for(0.1)
                return [thing for message in objects for thing in located(message)]

            found = client.spin_until(places, f"objects of {name}")
            assert {round(thing.centroid.z, 1) for thing in found} == {2.5}


def test_an_absolute_depth_topic_for_several_cameras_is_refused_with_the_cure(
    tiny_model: Any, ros_env: dict[str, str], tmp_path: Any
) -> None:
    parameters = {
        "model": str(tiny_model),
        "device": "cpu",
        "cameras": ["left", "right"],
        "depth_image": "/depth",
    }
    with (
        start_node("refused", tmp_path, ros_env, parameters, {}) as node,
        pytest.raises(AssertionError, match="name it relative, such as 'depth'"),
    ):
        node.wait_for_text("active on")
