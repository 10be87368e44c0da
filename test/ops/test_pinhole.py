"""Rays of pixels, against projecting them back."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from yolact_ros.ops.pinhole import Pinhole

PIXELS = np.stack(np.meshgrid(np.linspace(0, 639, 9), np.linspace(0, 479, 7)), -1).reshape(-1, 2)
DISTORTIONS = {
    "plumb_bob": (-0.28, 0.07, 0.001, -0.0005, 0.0),
    "rational": (0.3, 0.1, 0.0005, -0.0002, 0.02, 0.35, 0.12, 0.03),
}


def project(rays: np.ndarray, pinhole: Pinhole) -> np.ndarray:
    """The slow twin: OpenCV's projection of points on the plane, pixel by pixel."""
    matrix = np.array(
        [
            [pinhole.focal_px[0], 0, pinhole.center_px[0]],
            [0, pinhole.focal_px[1], pinhole.center_px[1]],
            [0, 0, 1],
        ]
    )
    coefficients = np.array(pinhole.distortion or (0.0,) * 4)
    if pinhole.fisheye:
        return cv2.fisheye.distortPoints(rays[:, None], matrix, coefficients).reshape(-1, 2)
    points = np.concatenate([rays, np.ones((len(rays), 1))], 1)
    return cv2.projectPoints(points, np.zeros(3), np.zeros(3), matrix, coefficients)[0].reshape(
        -1, 2
    )


def test_without_calibration_the_image_is_one_metre_wide_at_one_metre() -> None:
    rays = Pinhole.assumed(640, 480).rays(np.array([[-0.5, -0.5], [639.5, 479.5], [319.5, 239.5]]))
    np.testing.assert_allclose(rays, [[-0.5, -0.375], [0.5, 0.375], [0, 0]])


@pytest.mark.parametrize("distortion", [(), *DISTORTIONS.values()], ids=["none", *DISTORTIONS])
def test_rays_go_back_through_their_pixels(distortion: tuple[float, ...]) -> None:
    pinhole = Pinhole((560.0, 580.0), (322.0, 236.5), distortion)
    np.testing.assert_allclose(project(pinhole.rays(PIXELS), pinhole), PIXELS, atol=0.5)


def test_rays_of_a_fisheye_lens_go_back_through_their_pixels() -> None:
    pinhole = Pinhole((300.0, 300.0), (320.0, 240.0), (0.02, -0.004, 0.001, 0.0), fisheye=True)
    np.testing.assert_allclose(project(pinhole.rays(PIXELS), pinhole), PIXELS, atol=0.5)


def test_no_points_have_no_rays() -> None:
    pinhole = Pinhole((560.0, 580.0), (322.0, 236.5), DISTORTIONS["plumb_bob"])
    assert pinhole.rays(np.zeros((0, 2))).shape == (0, 2)
