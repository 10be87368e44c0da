from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from coco_shapes import write_coco

from yolact_ros.errors import DataError
from yolact_ros.training.annotations import DataSource, is_held_out, read_source

NAMES = ("box", "disc")


def test_objects_get_the_class_ids_of_the_network(shapes: DataSource) -> None:
    records, defects = read_source(shapes, NAMES)
    assert len(records) == 6
    assert not defects
    assert [item.class_id for item in records[0].objects] == [1, 0]
    assert records[0].labelled == (True, True)


def test_boxes_become_corners(shapes: DataSource) -> None:
    content = json.loads(shapes.annotations.read_text())
    x, y, width, height = content["annotations"][0]["bbox"]
    records, _ = read_source(shapes, NAMES)
    assert records[0].objects[0].box_xyxy == pytest.approx((x, y, x + width, y + height))


def test_other_categories_are_background(shapes: DataSource) -> None:
    records, defects = read_source(shapes, ("disc",))
    assert [item.class_id for item in records[0].objects] == [0]
    assert not defects


def test_labels_only_leaves_the_other_classes_unlabelled(shapes: DataSource) -> None:
    records, _ = read_source(replace(shapes, labels_only=("disc",)), NAMES)
    assert records[0].labelled == (False, True)
    assert [item.class_id for item in records[0].objects] == [1]


def break_image(content: dict[str, Any], **values: Any) -> None:
    content["images"][0].update(values)


def break_annotation(content: dict[str, Any], **values: Any) -> None:
    content["annotations"][0].update(values)


@pytest.mark.parametrize(
    ("change", "kind", "num_images", "num_objects"),
    [
        (lambda c: break_image(c, file_name="none.png"), "missing image file", 5, 10),
        (lambda c: break_image(c, id=1), "image with the id of another", 4, 8),
        (lambda c: break_image(c, width=0), "image without width and height, taken", 6, 12),
        (lambda c: c["images"][0].pop("height"), "image without width and height", 6, 12),
        (
            lambda c: break_annotation(c, id=2),
            "annotation with the id of another",
            6,
            12,
        ),
        (lambda c: break_annotation(c, image_id=99), "annotation of an image", 6, 11),
        (lambda c: break_annotation(c, category_id=99), "category id that the file", 6, 11),
        (lambda c: break_annotation(c, bbox=[200, 1, 5, 5]), "box without area", 6, 11),
        (lambda c: break_annotation(c, bbox=[5, 5, 0, 5]), "box without area", 6, 11),
        (lambda c: break_annotation(c, bbox=[-9, 5, 20, 20]), "box outside the image", 6, 12),
        (lambda c: break_annotation(c, bbox=[1, 2, None, 3]), "box that is not four", 6, 12),
        (lambda c: break_annotation(c, segmentation=[]), "a usable mask", 6, 11),
        (
            lambda c: break_annotation(c, segmentation=[[1, 2, 3, 4]]),
            "a usable mask",
            6,
            11,
        ),
    ],
)
def test_every_defect_is_counted_and_left_out_or_mended(
    tmp_path: Path, change: Any, kind: str, num_images: int, num_objects: int
) -> None:
    records, defects = read_source(write_coco(tmp_path / "bad", change=change), NAMES)
    assert len(records) == num_images
    assert sum(len(record.objects) for record in records) == num_objects
    assert any(kind in name for name in defects.counts)
    assert "shapes" in defects.report()


def test_a_class_without_category_is_reported(shapes: DataSource) -> None:
    _, defects = read_source(shapes, ("disc", "cone"))
    assert "'cone'" in defects.report()


def test_a_box_out_by_rounding_is_clipped_without_a_word(tmp_path: Path) -> None:
    source = write_coco(
        tmp_path / "edge", change=lambda c: break_annotation(c, bbox=[-1, 5, 20, 20])
    )
    records, defects = read_source(source, NAMES)
    assert not defects
    assert records[0].objects[0].box_xyxy == (0.0, 5.0, 19.0, 25.0)


def test_no_common_class_names_both_lists(shapes: DataSource) -> None:
    with pytest.raises(DataError, match=r"cone.*box.*disc"):
        read_source(shapes, ("cone",))


@pytest.mark.parametrize(
    ("text", "message"),
    [("no json", "not JSON"), ("{}", "has no list 'images'"), ("[]", "has no list")],
)
def test_a_wrong_annotation_file_is_named(shapes: DataSource, text: str, message: str) -> None:
    shapes.annotations.write_text(text)
    with pytest.raises(DataError, match=message):
        read_source(shapes, NAMES)


def test_a_missing_annotation_file_is_named(shapes: DataSource) -> None:
    shapes.annotations.unlink()
    with pytest.raises(DataError, match=r"labels\.json"):
        read_source(shapes, NAMES)


def test_the_held_out_share_depends_on_the_image_id_alone(tmp_path: Path) -> None:
    source = write_coco(tmp_path / "many", num_images=60)
    records, _ = read_source(source, NAMES)
    chosen = {record.image_id for record in records if is_held_out(record, 0.3)}
    assert 8 <= len(chosen) <= 28
    assert chosen == {r.image_id for r in reversed(records) if is_held_out(r, 0.3)}
    assert not any(is_held_out(record, 0.0) for record in records)
    assert all(is_held_out(record, 1.0) for record in records)
