"""The images of a data set."""

from __future__ import annotations

import copy

import cv2
import numpy as np
import pytest
from image_samples import turned_file

from yolact_ros.datasets.coco_file import parse_coco
from yolact_ros.errors import DataError, ImageError
from yolact_ros.evaluation.dataset_images import DatasetImages


@pytest.fixture
def dataset(tmp_path):
    rows = []
    for index in range(3):
        cv2.imwrite(str(tmp_path / f"{index}.png"), np.full((4, 6, 3), 10 * index, np.uint8))
        rows.append({"id": 100 + index, "file_name": f"{index}.png", "height": 4, "width": 6})
    return {"images": rows, "annotations": [], "categories": []}


def images_of(dataset, folder, limit=None):
    return DatasetImages(parse_coco(copy.deepcopy(dataset), folder), folder, limit)


def test_images_come_with_their_ids_in_order_and_again(dataset, tmp_path):
    images = images_of(dataset, tmp_path)
    for _ in range(2):
        assert [(id_, int(pixels[0, 0, 0])) for id_, pixels in images] == [
            (100, 0), (101, 10), (102, 20),
        ]  # fmt: skip
    assert len(images) == 3


def test_a_limit_takes_the_first(dataset, tmp_path):
    assert images_of(dataset, tmp_path, limit=2).ids == (100, 101)


def test_missing_files_are_counted_and_named_before_anything_runs(dataset, tmp_path):
    (tmp_path / "1.png").unlink()
    with pytest.raises(DataError, match=r"1 of 3 images are not there: 1\.png"):
        images_of(dataset, tmp_path)
    with pytest.raises(DataError, match="no images"):
        images_of({**dataset, "images": []}, tmp_path)


def test_an_image_of_another_size_than_annotated_is_refused(dataset, tmp_path):
    dataset["images"][1]["width"] = 5
    with pytest.raises(DataError, match=r"1\.png: is 6x4, its annotations are for 5x4"):
        list(images_of(dataset, tmp_path))


@pytest.mark.parametrize(
    ("size_px", "corner_bgr", "told"),
    [((12, 8), (0, 250, 0), 0), ((8, 12), (250, 0, 0), 1)],
    ids=["annotated upright", "annotated as stored"],
)
def test_a_photograph_is_turned_unless_it_was_annotated_as_stored(
    tmp_path, caplog, size_px, corner_bgr, told
):
    rows = []
    for number in range(2):
        (tmp_path / f"{number}.png").write_bytes(turned_file("PNG", 6))
        row = {"id": number, "file_name": f"{number}.png", "height": size_px[0]}
        rows.append({**row, "width": size_px[1]})
    images = images_of({"images": rows, "annotations": [], "categories": []}, tmp_path)
    for _, image in images:
        assert image.shape[:2] == size_px
        assert tuple(image[0, 0]) == corner_bgr
    assert caplog.text.count("are read as they are stored") == told


def test_a_damaged_image_is_named(dataset, tmp_path):
    (tmp_path / "2.png").write_bytes(b"no image")
    with pytest.raises(ImageError, match=r"2\.png"):
        list(images_of(dataset, tmp_path))
