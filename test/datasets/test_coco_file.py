"""The content of COCO files as tools and people leave it is read, or what is wrong is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from coco_content import (
    HEIGHT_PX,
    SIDE_PX,
    WIDTH_PX,
    compressed,
    polygon,
    truth_content,
    uncompressed,
)

from yolact_ros.datasets.coco_data import CocoCategory, CocoData
from yolact_ros.datasets.coco_file import parse_coco

Content = dict[str, Any]


def spoiled(change: Callable[[Content], object]) -> CocoData:
    content = truth_content()
    change(content)
    return parse_coco(content)


def first(change: Callable[[Content], object]) -> CocoData:
    """The data with its first annotation changed."""
    return spoiled(lambda content: change(content["annotations"][0]))


def left_out(data: CocoData) -> dict[str, int]:
    return {kind: row["count"] for kind, row in data.defects.to_dict()["left_out"].items()}


def mended(data: CocoData) -> dict[str, int]:
    return {kind: row["count"] for kind, row in data.defects.to_dict()["mended"].items()}


def test_a_good_file_is_read_as_it_is() -> None:
    data = parse_coco(truth_content())
    assert not data.defects
    assert data.categories == (CocoCategory(1, "bolt"), CocoCategory(2, "nut"))
    assert [(image.id, image.height_px, image.width_px) for image in data.images] == [
        (number, HEIGHT_PX, WIDTH_PX) for number in (1, 2, 3)
    ]
    second = data.annotations[1]
    assert (second.image_id, second.category_id, second.label) == (1, 2, "annotation 2")
    assert second.bbox_xywh == (36.0, 20.0, SIDE_PX, SIDE_PX)
    assert second.counts == compressed(36, 20)["counts"]
    assert second.area_px == SIDE_PX**2


@pytest.mark.parametrize(
    ("name", "segmentation"),
    [
        ("flat polygon", polygon(10, 10)),
        ("points as pairs", [[10, 10], [30, 10], [30, 30], [10, 30]]),
        ("nested points", [[[10, 10], [30, 10], [30, 30], [10, 30]]]),
        ("numbers as text", [[str(value) for value in polygon(10, 10)]]),
        ("two parts", [polygon(10, 10), [10, 10, 30, 10, 30, 30]]),
        ("plain RLE", uncompressed(10, 10)),
        ("compressed RLE", compressed(10, 10)),
        ("RLE without a size", {"counts": compressed(10, 10)["counts"]}),
        (
            "RLE with empty runs",
            {"size": [48, 64], "counts": [490, 5, 0, 15, *[28, 20] * 19, 48 * 64 - 1422]},
        ),
    ],
)
def test_every_form_of_a_mask_is_the_same_mask(name: str, segmentation: Any) -> None:
    data = first(lambda row: row.update(segmentation=segmentation))
    assert not data.defects, name
    assert data.annotations[0].counts == compressed(10, 10)["counts"]


@pytest.mark.parametrize(
    "segmentation",
    [
        [[10, 10, 30, 30]],
        [polygon(10, 10)[:-1]],
        [[10, 10, None, 10, 30, 30]],
        [[10, 10, float("nan"), 10, 30, 30]],
        [[10, 10, float("inf"), 10, 30, 30]],
        [[10, 10, 129, 10, 30, 30]],  # farther out than the image of 64 px is wide
        [[10, 10, 1e9, 10, 30, 30]],
        [[10, 10, 10**400, 10, 30, 30]],
        [[10, 10, 1], [20, 20, 1], [30, 10, 1]],
        [{"x": 1, "y": 2}],
        "a mask",
        7,
        True,
        {"size": [48, 64]},
        {"size": [64, 48], "counts": compressed(10, 10)["counts"]},
        {"size": "large", "counts": compressed(10, 10)["counts"]},
        {"size": [48, 64], "counts": [100, 20]},
        {"size": [48, 64], "counts": [-1, 48 * 64 + 1]},
        {"size": [48, 64], "counts": [0.5, 48 * 64 - 0.5]},
        {"size": [48, 64], "counts": [[48 * 64]]},
        {"size": [48, 64], "counts": "PPP"},  # the last run is not finished
        {"size": [48, 64], "counts": "oooooooooooo0"},
        {"size": [48, 64], "counts": "ü"},
        {"size": [48, 64], "counts": ""},
        {"size": [48, 64], "counts": None},
    ],
)
def test_a_mask_that_cannot_be_read_leaves_its_box(segmentation: Any) -> None:
    data = first(lambda row: row.update(segmentation=segmentation))
    assert len(data.annotations) == 4
    assert data.annotations[0].counts is None
    assert mended(data) == {"annotation with a mask that cannot be read, used as a box": 1}
    needed = truth_content()
    needed["annotations"][0]["segmentation"] = segmentation
    without = parse_coco(needed, needs_masks=True)
    assert len(without.annotations) == 3
    assert left_out(without) == {"annotation without a usable mask": 1}


def test_a_bad_polygon_beside_a_good_one_is_counted() -> None:
    data = first(lambda row: row.update(segmentation=[polygon(10, 10), [1, 2, 3, 4]]))
    assert data.annotations[0].counts == compressed(10, 10)["counts"]
    assert mended(data) == {"annotation with a polygon that cannot be read beside others": 1}


@pytest.mark.parametrize("absent", [[], [[]], None, {}, ""])
def test_boxes_alone_are_boxes(absent: Any) -> None:
    def change(content: Content) -> None:
        for row in content["annotations"]:
            row["segmentation"] = absent

    data = spoiled(change)
    assert [row.counts for row in data.annotations] == [None] * 4
    assert not data.defects
    one = first(lambda row: row.update(segmentation=absent))
    assert mended(one) == {"annotation without a mask, though others have one": 1}


@pytest.mark.parametrize("box", [None, [], ["10", "10", "20", 20.0]])
def test_a_box_that_is_not_given_or_is_text_is_still_that_of_the_object(box: Any) -> None:
    data = first(lambda row: row.update(bbox=box))
    assert data.annotations[0].bbox_xywh == (10.0, 10.0, 20.0, 20.0)
    assert not data.defects


@pytest.mark.parametrize(
    "box",
    [[1, 2, 3], [1, 2, None, 4], [1, 2, "x", 4], [1, 2, -3, 4], [1, 2, 1e300, 4], "1 2 3 4", 7],
)
def test_a_box_that_cannot_be_read_is_that_of_the_mask(box: Any) -> None:
    data = first(lambda row: row.update(bbox=box))
    assert data.annotations[0].bbox_xywh == (10.0, 10.0, 20.0, 20.0)
    kind = "annotation with a box that is not four numbers of pixels, used by its mask"
    assert mended(data) == {kind: 1}
    neither = first(lambda row: row.update(bbox=box, segmentation=None))
    assert left_out(neither) == {"annotation without a usable box or mask": 1}


@pytest.mark.parametrize(
    ("value", "crowd"),
    [
        (True, True),
        (1, True),
        ("1", True),
        (1.0, True),
        (False, False),
        (None, False),
        ("", False),
    ],
)
def test_iscrowd_is_read_in_every_form(value: Any, crowd: bool) -> None:
    data = first(lambda row: row.update(iscrowd=value))
    assert data.annotations[0].is_crowd is crowd
    assert not data.defects


def test_iscrowd_that_says_nothing_is_no_and_counted() -> None:
    data = first(lambda row: row.update(iscrowd="maybe"))
    assert not data.annotations[0].is_crowd
    assert mended(data) == {"annotation whose iscrowd is neither 0 nor 1, read as 0": 1}


def test_numbers_and_their_texts_are_the_same_ids() -> None:
    def change(content: Content) -> None:
        content["images"][0]["id"] = "1"
        content["annotations"][0].update(image_id=1.0, category_id="1", id="1")
        content["annotations"][1].update(image_id="1")

    data = spoiled(change)
    assert not data.defects
    assert [row.image_id for row in data.annotations] == [1, 1, 2, 3]


def test_annotations_without_ids_or_with_those_of_others_are_all_kept() -> None:
    def change(content: Content) -> None:
        for row, own_id in zip(content["annotations"], (None, 0, 0, "x"), strict=True):
            row["id"] = own_id
        del content["annotations"][3]["id"]

    data = spoiled(change)
    assert [row.id for row in data.annotations] == [1, 2, 3, 4]
    assert [row.label for row in data.annotations] == [
        "annotation 1 (no id)", "annotation 0", "annotation 0", "annotation 4 (no id)",
    ]  # fmt: skip
    assert mended(data) == {"annotation with the id of another, renumbered": 1}


def test_an_entry_listed_twice_counts_once() -> None:
    def change(content: Content) -> None:
        for rows in content.values():
            rows.append(dict(rows[0]))

    data = spoiled(change)
    assert [len(rows) for rows in (data.images, data.annotations, data.categories)] == [3, 4, 2]
    assert left_out(data) == {
        "category listed twice": 1, "image listed twice": 1, "annotation listed twice": 1,
    }  # fmt: skip


def test_two_images_of_one_id_are_left_out_with_their_annotations() -> None:
    data = spoiled(lambda content: content["images"][1].update(id=1))
    assert [image.id for image in data.images] == [3]
    assert left_out(data) == {
        "image with the id of another": 2,
        "annotation of an image id that several have": 2,
        "annotation of an image that is not listed or was left out": 1,
    }


def test_two_categories_of_one_id_are_left_out_with_their_annotations() -> None:
    data = spoiled(lambda content: content["categories"][1].update(id="1"))
    assert data.categories == ()
    assert left_out(data) == {
        "category with the id of another": 2,
        "annotation of a category id that several have": 2,
        "annotation of a category id that the file does not define": 2,
    }


def test_an_unused_category_of_the_same_name_goes() -> None:
    data = spoiled(lambda content: content["categories"].insert(0, {"id": 0, "name": "Bolt"}))
    assert data.categories == (CocoCategory(1, "bolt"), CocoCategory(2, "nut"))
    assert "category 0 'Bolt', as 1 'bolt'" in data.defects.report()


def test_a_category_without_a_name_has_its_id_for_one() -> None:
    data = spoiled(lambda content: content["categories"][1].pop("name"))
    assert data.categories[1] == CocoCategory(2, "2")
    assert mended(data) == {"category without a name, named by its id": 1}


def test_annotations_that_are_null_are_none() -> None:
    data = spoiled(lambda content: content.update(annotations=None))
    assert data.annotations == ()
    assert len(data.images) == 3
    assert data.defects


@pytest.mark.parametrize("row", [None, 7, "annotation", [], {}])
def test_what_is_no_entry_is_counted(row: Any) -> None:
    def change(content: Content) -> None:
        for rows in content.values():
            rows.append(row)

    data = spoiled(change)
    assert [len(rows) for rows in (data.images, data.annotations, data.categories)] == [3, 4, 2]
    assert sum(left_out(data).values()) == 3


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for name in ("1.png", "sub/2.png", "Photo 3.PNG"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        pixels = np.zeros((HEIGHT_PX, WIDTH_PX, 3), np.uint8)
        (tmp_path / name).write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
    return tmp_path


@pytest.mark.parametrize(
    ("file_name", "found"),
    [
        ("1.png", "1.png"),
        ("./1.png", "1.png"),
        ("sub\\2.png", "sub/2.png"),
        (".\\sub\\2.png", "sub/2.png"),
        ("SUB/2.PNG", "sub/2.png"),
        ("photo%203.png", "Photo 3.PNG"),
        ("/home/somebody/photos/sub/2.png", "sub/2.png"),
        ("C:\\photos\\1.png", "1.png"),
        ("{folder}/1.png", "1.png"),
        ("other/1.png", None),
        ("4.png", None),
        ("", None),
        ("x" * 5000, None),
        ("zero\0byte", None),
        ("\ud800.png", None),
        (None, None),
        (["1.png"], None),
    ],
)
def test_files_are_found_by_the_names_of_other_computers(
    photos: Path, file_name: Any, found: str | None
) -> None:
    content = truth_content()
    if isinstance(file_name, str):
        file_name = file_name.format(folder=photos.name)
    content["images"][0]["file_name"] = file_name
    path = parse_coco(content, photos).images[0].path
    assert path == (None if found is None else photos / found)


def test_a_name_that_two_files_can_mean_is_not_found(photos: Path) -> None:
    (photos / "PHOTO 3.png").write_bytes(b"")
    content = truth_content()
    content["images"][0]["file_name"] = "photo 3.png"
    assert parse_coco(content, photos).images[0].path is None


@pytest.mark.parametrize("width", [None, "absent", 0, -64, "wide", 1e12, float("nan"), [64]])
def test_a_size_that_is_missing_is_that_of_the_file_or_of_a_mask(photos: Path, width: Any) -> None:
    def content() -> Content:
        made = truth_content()
        for image in made["images"]:
            image["width"] = width
            if width == "absent":
                del image["width"]
        made["annotations"][2]["segmentation"] = uncompressed(30, 10)  # of image 2
        return made

    data = parse_coco(content(), photos)
    assert [(image.id, image.width_px) for image in data.images] == [(1, WIDTH_PX), (2, WIDTH_PX)]
    assert mended(data) == {
        "image without width and height, taken from its file": 1,
        "image without width and height, taken from its masks": 1,
    }
    assert left_out(data) == {
        "image of unknown size: neither it, nor its file, nor an RLE tells it": 1,
        "annotation of an image that is not listed or was left out": 1,
    }


def test_examples_stay_on_one_line_whatever_the_file_holds() -> None:
    data = spoiled(lambda content: content["images"].append({"id": "a\nb\x1b[31m\ud800" * 99}))
    assert left_out(data) == {
        "image of unknown size: neither it, nor its file, nor an RLE tells it": 1
    }
    (line,) = data.defects.report().splitlines()
    assert line.isprintable()
    assert len(line) < 400
