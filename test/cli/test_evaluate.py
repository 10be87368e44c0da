"""``yolact evaluate``: results files and models, through the command line."""

from __future__ import annotations

import json

import numpy as np
import pytest

from yolact_ros.cli.main import main

mask_utils = pytest.importorskip("pycocotools.mask")


def rle(x: int, y: int, width: int, height: int) -> dict:
    mask = np.zeros((60, 80), np.uint8, order="F")
    mask[y : y + height, x : x + width] = 1
    encoded = mask_utils.encode(mask)
    return {"size": [60, 80], "counts": encoded["counts"].decode()}


def detection(box, category_id: int = 1, score: float = 0.9, image_id: int = 7) -> dict:
    return {
        "image_id": image_id, "category_id": category_id, "score": score,
        "bbox": list(box), "segmentation": rle(*box),
    }  # fmt: skip


@pytest.fixture
def annotations(tmp_path):
    objects = [((10, 10, 30, 20), 1), ((50, 30, 20, 20), 2)]
    truth = {
        "images": [{"id": 7, "file_name": "7.png", "height": 60, "width": 80}],
        "categories": [{"id": 1, "name": "person"}, {"id": 2, "name": "dog"}],
        "annotations": [
            {
                "id": index + 1, "image_id": 7, "category_id": category, "bbox": list(box),
                "segmentation": rle(*box), "area": box[2] * box[3], "iscrowd": 0,
            }
            for index, (box, category) in enumerate(objects)
        ],
    }  # fmt: skip
    path = tmp_path / "annotations.json"
    path.write_text(json.dumps(truth))
    return path


@pytest.fixture
def results(tmp_path):
    # The person is found exactly, the dog at an IoU of 0.75.
    path = tmp_path / "theirs.json"
    rows = [detection((10, 10, 30, 20)), detection((50, 30, 20, 15), category_id=2)]
    path.write_text(json.dumps(rows))
    return path


def evaluate(annotations, *arguments) -> int:
    return main(["evaluate", "--annotations", str(annotations), *map(str, arguments)])


def test_results_of_others_are_scored_for_masks_and_boxes(annotations, results, capsys):
    assert evaluate(annotations, "--results", results) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if line]
    assert rows[0] == ["results", "AP", "AP50", "AP75", "S", "M", "L"]
    # The person counts at all ten IoUs, the dog (IoU 0.75) up to 0.75.
    assert rows[1] == ["theirs.json", "mask", "80.0", "100.0", "100.0", "80.0", "-", "-"]
    assert rows[2][:3] == ["box", "80.0", "100.0"]


def test_pascal_shows_ap_at_a_half_and_seven_tenths(annotations, results, capsys):
    assert evaluate(annotations, "--results", results, "--pascal") == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if line]
    assert rows[0] == ["results", "AP50", "AP70"]
    assert rows[1] == ["theirs.json", "mask", "100.0", "100.0"]


def test_categories_can_be_chosen_and_unknown_ones_are_named(annotations, results, capsys):
    assert evaluate(annotations, "--results", results, "--categories", "person") == 0
    assert "mask  100.0" in capsys.readouterr().out
    assert evaluate(annotations, "--results", results, "--categories", "cat") == 2
    assert "no category 'cat'; it has person, dog" in capsys.readouterr().err


def test_a_category_that_is_never_found_lowers_the_score(annotations, tmp_path, capsys):
    path = tmp_path / "person_only.json"
    path.write_text(json.dumps([detection((10, 10, 30, 20))]))
    assert evaluate(annotations, "--results", path) == 0
    assert "mask  50.0" in capsys.readouterr().out


def test_everything_measured_goes_into_the_json_file(annotations, results, tmp_path, capsys):
    path = tmp_path / "new" / "report.json"
    assert evaluate(annotations, "--results", results, "--json", path, "--per-class") == 0
    (row,) = json.loads(path.read_text())
    assert row["results"] == "theirs.json"
    assert row["masks"]["ap"] == pytest.approx(0.8)
    assert [c["name"] for c in row["boxes"]["per_class"]] == ["person", "dog"]
    assert "person        1    100.0" in capsys.readouterr().out


def test_boxes_alone_are_scored_as_boxes(annotations, tmp_path, capsys):
    path = tmp_path / "boxes.json"
    row = detection((10, 10, 30, 20))
    del row["segmentation"]
    path.write_text(json.dumps([row]))
    assert evaluate(annotations, "--results", path) == 0
    output = capsys.readouterr().out
    assert "box" in output
    assert "mask" not in output


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('[{"image_id": 7, "category_id": 1, "score": 1}]', "neither bbox nor segmentation"),
        ('[{"image_id": 8, "category_id": 1, "score": 1, "bbox": [0, 0, 1, 1]}]', "image 8"),
        ("{}", "expected a list"),
    ],
)
def test_results_that_cannot_be_scored_are_one_clear_error(
    annotations, tmp_path, capsys, content, words
):
    path = tmp_path / "theirs.json"
    path.write_text(content)
    assert evaluate(annotations, "--results", path) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


def test_a_model_needs_the_folder_of_the_images(annotations, capsys):
    assert evaluate(annotations) == 2
    assert "--images" in capsys.readouterr().err
