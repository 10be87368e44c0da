"""From camera_info to the rays of an image's pixels."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not here")

from sensor_msgs.msg import CameraInfo, RegionOfInterest

from yolact_ros.errors import DepthError
from yolact_ros.ros.camera_info import camera_info_topic, to_camera_model

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
        ("/camera/depth/image_raw/compressedDepth", "/camera/depth/camera_info"),
    ],
)
def test_the_topic_is_the_sibling_of_the_image(image: str, expected: str) -> None:
    assert camera_info_topic(image) == expected


def test_a_raw_image_has_the_camera_matrix_and_its_distortion() -> None:
    model = to_camera_model(info(d=[0.1, -0.2, 0.0, 0.0, 0.0]), rectified=False)
    assert (model.fx, model.fy, model.cx, model.cy) == (600, 610, 330, 250)
    assert (model.width_px, model.height_px) == (640, 480)
    assert model.distortion == (0.1, -0.2, 0.0, 0.0, 0.0)


def test_a_rectified_image_has_the_projection_matrix_and_no_distortion() -> None:
    model = to_camera_model(info(d=[0.1, -0.2, 0.0, 0.0, 0.0]), rectified=True)
    assert (model.fx, model.fy, model.cx, model.cy) == (500, 510, 320, 240)
    assert model.distortion == ()


def test_a_fisheye_lens_is_one() -> None:
    fisheye = info(d=[0.1, 0.2, 0.3, 0.4], distortion_model="equidistant")
    model = to_camera_model(fisheye, rectified=False)
    assert model.fisheye
    assert model.distortion == (0.1, 0.2, 0.3, 0.4)


def test_a_binned_part_of_the_sensor_looks_along_the_rays_of_the_whole() -> None:
    """Pixel (x, y) of a part binned by 2 covers (left + 2 x, left + 2 x + 1) of the sensor."""
    part = RegionOfInterest(x_offset=100, y_offset=80, width=400, height=300)
    whole = to_camera_model(info(), rectified=False)
    binned = to_camera_model(info(roi=part, binning_x=2, binning_y=2), rectified=False)
    assert (binned.width_px, binned.height_px) == (200, 150)
    np.testing.assert_allclose(
        binned.rays(np.array([[10.0, 20.0]])), whole.rays(np.array([[120.5, 120.5]]))
    )


@pytest.mark.parametrize("fields", [{"k": [0.0] * 9}, {"width": 0}])
def test_an_uncalibrated_camera_has_no_projection(fields: dict[str, object]) -> None:
    with pytest.raises(DepthError):
        to_camera_model(info(**fields), rectified=False)
