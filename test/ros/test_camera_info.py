"""From camera_info to the rays of an image's pixels."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not here")

from sensor_msgs.msg import CameraInfo, RegionOfInterest

from yolact_ros.ros.camera_info import camera_info_topic, to_pinhole

K = [600.0, 0.0, 330.0, 0.0, 610.0, 250.0, 0.0, 0.0, 1.0]
P = [500.0, 0.0, 320.0, 0.0, 0.0, 510.0, 240.0, 0.0, 0.0, 0.0, 1.0, 0.0]


def info(**fields: object) -> CameraInfo:
    message = CameraInfo(width=640, height=480, distortion_model="plumb_bob", k=K, p=P)
    for name, value in fields.items():
        setattr(message, name, value)
    return message


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("/camera/image_raw", "/camera/camera_info"),
        ("/robot/left/image", "/robot/left/camera_info"),
        ("/image", "/camera_info"),
    ],
)
def test_the_topic_is_the_sibling_of_the_image(image: str, expected: str) -> None:
    assert camera_info_topic(image) == expected


def test_a_raw_image_has_the_camera_matrix_and_its_distortion() -> None:
    pinhole = to_pinhole(info(d=[0.1, -0.2, 0.0, 0.0, 0.0]), 640, rectified=False)
    assert pinhole is not None
    assert (pinhole.focal_px, pinhole.center_px) == ((600, 610), (330, 250))
    assert pinhole.distortion == (0.1, -0.2, 0.0, 0.0, 0.0)
    assert not pinhole.fisheye


def test_a_rectified_image_has_the_projection_matrix_and_no_distortion() -> None:
    pinhole = to_pinhole(info(d=[0.1, -0.2, 0.0, 0.0, 0.0]), 640, rectified=True)
    assert pinhole is not None
    assert (pinhole.focal_px, pinhole.center_px) == ((500, 510), (320, 240))
    assert pinhole.distortion == ()


def test_a_fisheye_lens_is_one() -> None:
    fisheye = info(d=[0.1, 0.2, 0.3, 0.4], distortion_model="equidistant")
    pinhole = to_pinhole(fisheye, 640, rectified=False)
    assert pinhole is not None
    assert pinhole.fisheye
    assert pinhole.distortion == (0.1, 0.2, 0.3, 0.4)


def test_a_binned_part_of_the_sensor_looks_along_the_rays_of_the_whole() -> None:
    """Pixel (x, y) of a part binned by 2 covers (left + 2 x, left + 2 x + 1) of the sensor."""
    part = RegionOfInterest(x_offset=100, y_offset=80, width=400, height=300)
    whole = to_pinhole(info(), 640, rectified=False)
    binned = to_pinhole(info(roi=part, binning_x=2, binning_y=2), 200, rectified=False)
    assert whole is not None
    assert binned is not None
    np.testing.assert_allclose(
        binned.rays(np.array([[10.0, 20.0]])), whole.rays(np.array([[120.5, 120.5]]))
    )


@pytest.mark.parametrize("fields", [{"k": [0.0] * 9}, {"width": 0}])
def test_an_uncalibrated_camera_has_no_projection(fields: dict[str, object]) -> None:
    assert to_pinhole(info(**fields), 640, rectified=False) is None
