"""Rays of pixels, against projecting them back pixel by pixel."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from yolact_ros.depth import CameraModel
from yolact_ros.errors import DepthError

PIXELS = np.stack(np.meshgrid(np.linspace(0, 639, 9), np.linspace(0, 479, 7)), -1).reshape(-1, 2)
K = (600.0, 0.0, 330.0, 0.0, 610.0, 250.0, 0.0, 0.0, 1.0)
P = (500.0, 0.0, 320.0, 0.0, 0.0, 510.0, 240.0, 0.0, 0.0, 0.0, 1.0, 0.0)
LENSES = {
    "straight": ("plumb_bob", (0.0,) * 5),
    "plumb_bob": ("plumb_bob", (-0.28, 0.07, 0.001, -0.0005, 0.0)),
    "rational": ("rational_polynomial", (0.3, 0.1, 0.0005, -0.0002, 0.02, 0.35, 0.12, 0.03)),
    "equidistant": ("equidistant", (0.02, -0.004, 0.001, 0.0)),
    "equidistant without coefficients": ("equidistant", (0.0,) * 4),
}


def calibrated(**fields: object) -> CameraModel:
    return CameraModel.from_calibration(**{"width_px": 640, "height_px": 480, "k": K} | fields)


def project(ray: np.ndarray, camera: CameraModel) -> np.ndarray:
    """The slow twin: OpenCV's projection of one point on the plane."""
    matrix = np.array([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]])
    if camera.fisheye:
        bent = cv2.fisheye.distortPoints(ray[None, None], matrix, np.array(camera.distortion))
        return bent.reshape(2)
    point, still = np.array([[*ray, 1.0]]), np.zeros(3)
    coefficients = np.array(camera.distortion or (0.0,) * 4)
    return cv2.projectPoints(point, still, still, matrix, coefficients)[0].reshape(2)


@pytest.mark.parametrize(("model", "d"), LENSES.values(), ids=LENSES)
def test_rays_go_back_through_their_pixels(model: str, d: tuple[float, ...]) -> None:
    camera = calibrated(distortion_model=model, d=d)
    for pixel, ray in zip(PIXELS, camera.rays(PIXELS), strict=True):
        np.testing.assert_allclose(project(ray, camera), pixel, atol=0.01)


def test_the_table_has_the_ray_of_each_pixel() -> None:
    model, d = LENSES["plumb_bob"]
    camera = calibrated(distortion_model=model, d=d)
    for x, y in ((0, 0), (639, 0), (17, 301), (639, 479)):
        (ray,) = camera.rays(np.array([[x, y]]))
        np.testing.assert_allclose(camera.ray_table[:, y, x], ray, atol=1e-6)


def test_pixels_that_a_wide_lens_cannot_show_have_no_ray() -> None:
    camera = calibrated(k=(300.0, 0, 320, 0, 300, 240, 0, 0, 1), distortion_model="plumb_bob",
                        d=(-0.35, 0, 0, 0, 0))  # fmt: skip
    rays = camera.rays(np.array([[320.0, 240.0], [0.0, 0.0]]))
    np.testing.assert_allclose(rays[0], 0, atol=1e-9)
    assert np.isnan(rays[1]).all()


def test_an_equidistant_lens_is_not_straight_even_with_zeros() -> None:
    camera = calibrated(distortion_model="equidistant", d=(0.0,) * 4)
    (ray,) = camera.rays(np.array([[630.0, 250.0]]))
    np.testing.assert_allclose(ray, [np.tan(0.5), 0], atol=1e-6)


def test_without_calibration_the_image_is_one_metre_wide_at_one_metre() -> None:
    corners = np.array([[-0.5, -0.5], [639.5, 479.5], [319.5, 239.5]])
    rays = CameraModel.assumed(640, 480).rays(corners)
    np.testing.assert_allclose(rays, [[-0.5, -0.375], [0.5, 0.375], [0, 0]])


def test_no_points_have_no_rays() -> None:
    model, d = LENSES["plumb_bob"]
    assert calibrated(distortion_model=model, d=d).rays(np.zeros((0, 2))).shape == (0, 2)


def test_a_rectified_image_has_the_projection_matrix_and_no_distortion() -> None:
    camera = calibrated(p=P, d=(0.1, 0, 0, 0, 0), distortion_model="plumb_bob", rectified=True)
    assert camera == CameraModel(640, 480, 500.0, 510.0, 320.0, 240.0)


def test_a_binned_part_of_the_sensor_looks_along_the_rays_of_the_whole() -> None:
    """Pixel (x, y) of a part binned by 2 covers (left + 2 x, left + 2 x + 1) of the sensor."""
    binned = calibrated(binning=(2, 2), roi_xywh=(100, 80, 400, 300))
    assert (binned.width_px, binned.height_px) == (200, 150)
    np.testing.assert_allclose(
        binned.rays(np.array([[10.0, 20.0]])), calibrated().rays(np.array([[120.5, 120.5]]))
    )


def test_an_image_of_half_the_size_sees_the_same() -> None:
    whole, half = calibrated(), calibrated().resized(320, 240)
    corner = np.array([[-0.5, -0.5]])
    np.testing.assert_allclose(half.rays(corner), whole.rays(corner))
    np.testing.assert_allclose(
        half.rays(np.array([[319.5, 239.5]])), whole.rays(np.array([[639.5, 479.5]]))
    )


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"k": (0.0,) * 9}, "calibrate the camera"),
        ({"k": (600.0, 0.0)}, "expected 9 finite numbers"),
        ({"k": (float("nan"), *K[1:])}, "expected 9 finite numbers"),
        ({"rectified": True}, "expected 12 finite numbers"),
        ({"width_px": 0}, "its size in pixels"),
        ({"distortion_model": "ftheta", "d": (0.1, 0.2)}, "rectify the images"),
        ({"distortion_model": "plumb_bob", "d": (0.1, 0.2)}, "expected 4, 5, 8, 12 or 14"),
        ({"distortion_model": "equidistant", "d": (0.1,)}, "expected 4"),
        ({"distortion_model": "plumb_bob", "d": (float("inf"),) * 5}, "finite"),
    ],
)
def test_a_calibration_that_cannot_be_used_says_why(fields: dict[str, object], told: str) -> None:
    with pytest.raises(DepthError, match=told):
        calibrated(**fields)
