"""Predictions as files, read back."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from yolact_ros.errors import ImageError
from yolact_ros.evaluation.prediction_files import PredictionFiles
from yolact_ros.evaluation.prototype_figure import draw_prototypes
from yolact_ros.inference.sources import Frame, ImageSource, VideoSource
from yolact_ros.prediction import Prediction
from yolact_ros.structures import MaskCrop

mask_utils = pytest.importorskip("pycocotools.mask")


def frame(name: str, index: int = 0, file_name: str = "") -> Frame:
    return Frame(np.full((20, 30, 3), 50, np.uint8), name, index, index / 10, file_name)


def one_instance(class_id: int = 1) -> Prediction:
    crop = MaskCrop(4, 6, 10, 5, np.packbits(np.ones(50, np.uint8)))
    return Prediction(
        20,
        30,
        np.array([class_id]),
        np.array([0.75], np.float32),
        np.array([[4, 6, 14, 11]], np.float32),
        (crop,),
    )


def brighten(frame: Frame, prediction: Prediction) -> np.ndarray:
    return frame.image_bgr + np.uint8(100 * len(prediction))


def images(name: str = "photos") -> ImageSource:
    return ImageSource([], name)


def video(tmp_path) -> VideoSource:
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (30, 20))
    writer.write(np.zeros((20, 30, 3), np.uint8))
    writer.release()
    return VideoSource(path)


def test_an_image_leaves_overlay_mask_and_coco_results(tmp_path):
    files = PredictionFiles(tmp_path / "out", ("dog", "wine glass"), draw=brighten, masks=True)
    files.open(images())
    assert files.add(frame("photo", file_name="photo.jpeg"), one_instance()) == "photo"
    files.close()
    overlay = cv2.imread(str(tmp_path / "out/photo_overlay.jpg"))
    assert overlay.mean() == pytest.approx(150, abs=2)
    mask = cv2.imread(str(tmp_path / "out/masks/photo_00_wine_glass.png"), cv2.IMREAD_UNCHANGED)
    expected = np.zeros((20, 30), np.uint8)
    expected[6:11, 4:14] = 255
    assert np.array_equal(mask, expected)
    (result,) = json.loads((tmp_path / "out/results.json").read_text())
    assert np.array_equal(mask_utils.decode(result["segmentation"]) * 255, expected)
    assert (result["image_id"], result["category_id"], result["score"]) == (1, 46, 0.75)
    assert json.loads((tmp_path / "out/images.json").read_text()) == {
        "images": [{"id": 1, "file_name": "photo.jpeg", "height": 20, "width": 30}],
        "categories": [{"id": 18, "name": "dog"}, {"id": 46, "name": "wine glass"}],
    }
    assert {path.name for path in files.written} == {
        "photo_overlay.jpg", "photo_00_wine_glass.png", "results.json", "images.json",
    }  # fmt: skip


def test_an_image_named_by_a_number_keeps_it_as_its_id(tmp_path):
    files = PredictionFiles(tmp_path, ("a", "b"), draw=None, masks=False)
    files.open(images())
    for name in ("000000000139", "photo", "139"):
        files.add(frame(name), one_instance())
    files.close()
    rows = json.loads((tmp_path / "results.json").read_text())
    assert [row["image_id"] for row in rows] == [139, 140, 141]


def test_images_of_the_same_name_from_two_folders_do_not_overwrite_each_other(tmp_path):
    files = PredictionFiles(tmp_path, ("a", "b"), draw=brighten, masks=False)
    for folder in ("one", "two"):
        files.open(images(folder))
        files.add(frame("photo"), one_instance())
    files.close()
    assert (tmp_path / "photo_overlay.jpg").is_file()
    assert (tmp_path / "photo_2_overlay.jpg").is_file()


def test_a_video_leaves_one_overlay_video_and_results_of_every_frame(tmp_path):
    files = PredictionFiles(tmp_path / "out", ("a", "b"), draw=brighten, masks=True)
    with video(tmp_path) as source:
        files.open(source)
        for index in range(3):
            files.add(frame(f"{index:06d}", index), one_instance())
    files.close()
    capture = cv2.VideoCapture(str(tmp_path / "out/clip_overlay.mp4"))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 3
    assert capture.get(cv2.CAP_PROP_FPS) == 10
    assert (tmp_path / "out/masks/clip_000002_00_b.png").is_file()
    described = json.loads((tmp_path / "out/images.json").read_text())["images"]
    assert [(row["id"], row["file_name"]) for row in described] == [
        (1, "clip_000000"), (2, "clip_000001"), (3, "clip_000002"),
    ]  # fmt: skip


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(ImageError, match="out: cannot be made"):
        PredictionFiles(tmp_path / "out", ("a",), draw=None, masks=True)


def test_prototypes_are_drawn_beside_the_image_each_to_its_own_peak():
    image = np.full((60, 80, 3), 200, np.uint8)
    prototypes = np.zeros((12, 12, 3), np.float32)
    prototypes[:6, :, 0] = 0.01
    prototypes[6:, :, 1] = 50.0
    grid = draw_prototypes(image, prototypes)
    height, width = 144, 192
    tiles = [
        grid[row * (height + 2) :, column * (width + 2) :][:height, :width].astype(int)
        for row in range(2)
        for column in range(3)
    ]
    assert (tiles[0] == 200).all()
    bright, dark = [37, 231, 253], [84, 1, 68]  # the ends of viridis, BGR
    assert tiles[1][40, 96].tolist() == pytest.approx(bright, abs=3)
    assert tiles[1][130, 96].tolist() == pytest.approx(dark, abs=3)
    assert tiles[2][130, 96].tolist() == pytest.approx(bright, abs=3)
    assert tiles[3][70, 96].tolist() == dark  # never active: nothing is divided by zero
    assert (tiles[4] == 255).all()
