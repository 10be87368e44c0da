"""A known motion of the camera is found, and objects are left out of it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from track_worlds import Scene, Thing, draw, going

from yolact_ros.tracking.camera_motion import CameraMotion

NO_BOXES = np.zeros((0, 4))
SCENE = draw(Scene([]), 0.0)
CORNERS = np.array([[0.0, 0], [640, 0], [640, 480], [0, 480]])


def moved(motion: np.ndarray) -> np.ndarray:
    return np.asarray(
        cv2.warpAffine(SCENE, motion, (640, 480), borderMode=cv2.BORDER_REFLECT), np.uint8
    )


def farthest_px(found: np.ndarray, true: np.ndarray) -> float:
    difference = (CORNERS @ found[:, :2].T + found[:, 2]) - (CORNERS @ true[:, :2].T + true[:, 2])
    return float(np.linalg.norm(difference, axis=1).max())


@pytest.mark.parametrize(
    "true",
    [
        pytest.param(np.array([[1.0, 0, 12], [0, 1, -7]]), id="pan"),
        pytest.param(cv2.getRotationMatrix2D((320, 240), 4, 1.0), id="roll"),
        pytest.param(cv2.getRotationMatrix2D((320, 240), 0, 1.08), id="forwards"),
        pytest.param(np.array([[1.0, 0, 60], [0, 1, 20]]), id="fast pan"),
    ],
)
def test_the_motion_is_found_to_a_few_pixels(true: np.ndarray) -> None:
    camera = CameraMotion()

    first = camera.update(SCENE, NO_BOXES)
    found = camera.update(moved(true), NO_BOXES)

    assert first.tolist() == np.eye(2, 3).tolist()
    assert farthest_px(found, true) < 4.0  # a pixel of the small image


def test_a_large_object_that_moves_is_not_the_camera() -> None:
    scene = Scene([Thing(going((200, 240), (300, 0)), (340, 460))])
    camera = CameraMotion()

    camera.update(draw(scene, 0.0), np.array([[30.0, 10, 370, 470]]))
    found = camera.update(draw(scene, 0.1), np.array([[60.0, 10, 400, 470]]))

    assert farthest_px(found, np.eye(2, 3)) < 2.0


def test_an_image_without_texture_is_taken_as_standing_still() -> None:
    camera = CameraMotion()
    plain = np.full((480, 640, 3), 128, np.uint8)

    camera.update(plain, NO_BOXES)

    assert camera.update(plain, NO_BOXES).tolist() == np.eye(2, 3).tolist()
