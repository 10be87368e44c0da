"""Pascal SBD into COCO, from files as MATLAB writes them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from yolact_ros.classes import PASCAL_CLASSES
from yolact_ros.cli.main import main
from yolact_ros.errors import DataError
from yolact_ros.evaluation.sbd import convert_sbd

scipy_io = pytest.importorskip("scipy.io")
mask_utils = pytest.importorskip("pycocotools.mask")

SEGMENTATION = np.zeros((30, 40), np.uint8)
SEGMENTATION[5:20, 3:12] = 1
SEGMENTATION[10:30, 25:40] = 2


def write(root, name: str, segmentation=SEGMENTATION, categories=(15, 12)) -> None:
    content = {"Segmentation": segmentation, "Categories": np.array(categories, np.uint8)[:, None]}
    scipy_io.savemat(root / "inst" / f"{name}.mat", {"GTinst": content})


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "benchmark_RELEASE" / "dataset"
    for folder in ("img", "inst"):
        (root / folder).mkdir(parents=True)
    write(root, "2008_000002")
    write(root, "2008_000003", (SEGMENTATION == 1).astype(np.uint8), categories=[1])
    (root / "train.txt").write_text("2008_000002\n2008_000003\n")
    return root


def test_every_instance_becomes_an_annotation_with_its_mask_and_class(root, tmp_path):
    dataset = convert_sbd(tmp_path, "train")
    assert [row["file_name"] for row in dataset["images"]] == [
        "2008_000002.jpg", "2008_000003.jpg",
    ]  # fmt: skip
    names = {row["id"]: row["name"] for row in dataset["categories"]}
    assert list(names.values()) == list(PASCAL_CLASSES)
    rows = dataset["annotations"]
    assert [(row["image_id"], names[row["category_id"]]) for row in rows] == [
        (1, "person"), (1, "dog"), (2, "aeroplane"),
    ]  # fmt: skip
    assert rows[1]["bbox"] == [25, 10, 15, 20]
    assert rows[1]["area"] == 300
    assert np.array_equal(mask_utils.decode(rows[1]["segmentation"]), SEGMENTATION == 2)


def test_the_command_writes_the_file_and_says_where_the_images_are(root, tmp_path, capsys):
    output = tmp_path / "new" / "sbd.json"
    assert main(["convert", "sbd", str(tmp_path), "--output", str(output)]) == 0
    assert len(json.loads(output.read_text())["annotations"]) == 3
    assert f"3 instances; the images are in {root / 'img'}" in capsys.readouterr().out


def test_what_is_not_sbd_is_named(root, tmp_path):
    with pytest.raises(DataError, match="expected the folders img and inst"):
        convert_sbd(tmp_path / "benchmark_RELEASE" / "dataset" / "img", "train")
    with pytest.raises(DataError, match=r"val\.txt: cannot be read"):
        convert_sbd(tmp_path, "val")
    (root / "inst" / "2008_000003.mat").write_bytes(b"not a matrix" * 20)
    with pytest.raises(DataError, match=r"2008_000003\.mat: not an instance file"):
        convert_sbd(tmp_path, "train")
    (root / "inst" / "2008_000003.mat").unlink()
    with pytest.raises(DataError, match=r"2008_000003\.mat: cannot be read"):
        convert_sbd(tmp_path, "train")


@pytest.mark.parametrize("categories", [[15], [15, 21]])
def test_instances_without_a_class_of_pascal_are_refused(root, tmp_path, categories):
    write(root, "2008_000002", categories=categories)
    with pytest.raises(DataError, match=r"2008_000002\.mat: expected an image of instance"):
        convert_sbd(tmp_path, "train")
