"""Results files of other tools are scored, and what cannot be is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from coco_content import polygon, result_rows, truth_content, uncompressed

from yolact_ros.datasets.coco_file import parse_coco
from yolact_ros.datasets.coco_results import parse_results, read_results
from yolact_ros.datasets.defects import Defects
from yolact_ros.errors import DataError


def read(*changes: dict[str, Any]) -> tuple[list[dict[str, Any]], Defects]:
    rows = result_rows()
    for row, change in zip(rows, changes, strict=False):
        row.update(change)
    return parse_results(rows, parse_coco(truth_content()))


def test_good_results_are_read_as_they_are() -> None:
    results, defects = read()
    assert results == result_rows()
    assert not defects


@pytest.mark.parametrize(
    "segmentation", [[polygon(10, 10)], polygon(10, 10), uncompressed(10, 10)]
)
def test_polygons_and_plain_run_lengths_become_compressed_ones(segmentation: Any) -> None:
    assert read({"segmentation": segmentation}) == (result_rows(), Defects())


def test_numbers_as_text_are_numbers() -> None:
    change = {"image_id": "1", "category_id": 1.0, "score": "0.9", "bbox": ["10", "10", 20, 20]}
    assert read(change) == (result_rows(), Defects())


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"image_id": 7}, "result of an image that the annotations do not have"),
        ({"image_id": None}, "result of an image that the annotations do not have"),
        ({"category_id": 9}, "result of a category that the annotations do not have"),
        ({"score": None}, "result whose score is no number"),
        ({"score": float("nan")}, "result whose score is no number"),
        ({"score": "high"}, "result whose score is no number"),
        ({"bbox": None, "segmentation": None}, "result with neither bbox nor segmentation"),
        ({"bbox": [1, 2, -3, 4], "segmentation": "x"}, "result with neither bbox nor"),
    ],
)
def test_a_result_that_cannot_be_scored_is_counted(change: dict[str, Any], kind: str) -> None:
    results, defects = read(change)
    assert results == result_rows()[1:]
    (found,) = defects.counts
    assert found.startswith(kind)
    assert "result 0" in defects.report()


def test_a_mask_of_another_size_leaves_the_box() -> None:
    results, defects = read({"segmentation": {"size": [64, 48], "counts": [48 * 64]}})
    assert "segmentation" not in results[0]
    assert results[0]["bbox"] == [10, 10, 20, 20]
    assert set(defects.counts) == {
        "result with a mask that cannot be read, used as a box",
        "result without segmentation, though others have one",
    }
    assert defects.mended == set(defects.counts)


def test_when_nothing_can_be_scored_the_error_says_why(tmp_path: Path) -> None:
    path = tmp_path / "theirs.json"
    path.write_text(json.dumps([{**row, "image_id": 9} for row in result_rows()]))
    with pytest.raises(DataError, match=r"theirs\.json: none of its 4 results .*image 9") as error:
        read_results(path, parse_coco(truth_content()))
    assert "\n" not in str(error.value)


def test_no_results_are_results() -> None:
    assert parse_results([], parse_coco(truth_content())) == ([], Defects())


@pytest.mark.parametrize("content", ["nonsense", "{}", "null"])
def test_a_file_that_holds_no_results_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "results.json"
    path.write_text(content)
    with pytest.raises(DataError, match=r"results\.json: not"):
        read_results(path, parse_coco(truth_content()))
