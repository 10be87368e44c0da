from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from coco_shapes import write_coco
from image_samples import turned_file

from yolact_ros.errors import DataError
from yolact_ros.training.annotations import DataSource
from yolact_ros.training.check import read_and_check
from yolact_ros.training.sample import load_sample

NAMES = ("disc", "box")


def test_good_data_are_all_used(shapes: DataSource) -> None:
    data = read_and_check([shapes], [], NAMES, strict=True)
    assert len(data.training) == 6
    assert data.validation == ()
    assert "6 images; disc 6, box 6" in data.describe(NAMES)


def test_an_unreadable_image_is_left_out_and_named(shapes: DataSource) -> None:
    (shapes.images / "002.png").write_bytes(b"no image")
    data = read_and_check([shapes], [], NAMES)
    assert len(data.training) == 5
    report = data.defects.report()
    assert re.search(r"unreadable image file; e.g. shapes \S*002.png: not an image", report)


def test_an_image_of_another_size_is_left_out(tmp_path: Path) -> None:
    source = write_coco(tmp_path / "a", change=lambda c: c["images"][1].update(width=95))
    data = read_and_check([source], [], NAMES)
    assert len(data.training) == 5
    assert "001.png: is 96x72, its annotations are for 95x72" in data.defects.report()


@pytest.mark.parametrize(("width", "height", "told"), [(8, 12, 0), (12, 8, 1)])
def test_a_photograph_that_was_annotated_as_stored_is_used_and_told(
    tmp_path: Path, width: int, height: int, told: int
) -> None:
    source = write_coco(
        tmp_path / "a",
        num_images=1,
        change=lambda c: (
            c["images"][0].update(width=width, height=height),
            c["annotations"][0].update(
                bbox=[1, 1, 4, 4], segmentation=[[1, 1, 5, 1, 5, 5, 1, 5]], area=16
            ),
            c["annotations"].pop(),
        ),
    )
    (source.images / "000.png").write_bytes(turned_file("PNG", 6))
    data = read_and_check([source], [], NAMES)
    kind = "annotated as stored, not as EXIF turns it; read so"
    assert data.defects.counts == ({kind: 1} if told else {})
    sample = load_sample(data.training[0])
    assert sample.image_bgr.shape == (height, width, 3)
    # Stored, blue is at the top left; upright, what was green at the bottom left is.
    assert tuple(sample.image_bgr[0, 0]) == ((250, 0, 0) if told else (0, 250, 0))


@pytest.mark.parametrize(
    ("segmentation", "kind"),
    [
        ([[100, 80, 110, 80, 110, 90]], "empty mask"),
        ({"size": [72, 96], "counts": [72 * 96]}, "empty mask"),
        ({"size": [10, 10], "counts": [50, 50]}, "annotation without a usable mask"),
        ("what", "annotation without a usable mask"),
    ],
)
def test_masks_that_are_empty_or_broken_are_left_out(
    tmp_path: Path, segmentation: object, kind: str
) -> None:
    source = write_coco(
        tmp_path / "a", change=lambda c: c["annotations"][0].update(segmentation=segmentation)
    )
    data = read_and_check([source], [], NAMES)
    assert data.defects.counts == {kind: 1}
    assert len(data.training[0].objects) == 1


def test_strict_stops_with_the_report(shapes: DataSource) -> None:
    (shapes.images / "002.png").unlink()
    with pytest.raises(DataError, match=r"missing image file; e\.g\. shapes 002\.png"):
        read_and_check([shapes], [], NAMES, strict=True)


def test_held_out_images_are_validated_and_not_trained(tmp_path: Path) -> None:
    source = replace(write_coco(tmp_path / "a", num_images=30), holdout=0.3)
    data = read_and_check([source], [], NAMES)
    assert 0 < len(data.validation) < 30
    trained = {record.path for record in data.training}
    assert trained.isdisjoint(record.path for record in data.validation)
    assert len(trained) + len(data.validation) == 30


def test_an_image_for_training_and_validation_is_an_error(shapes: DataSource) -> None:
    with pytest.raises(DataError, match="6 images are both in the training and the validation"):
        read_and_check([shapes], [shapes], NAMES)
