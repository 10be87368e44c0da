"""``yolact evaluate``: results files and models, through the command line."""

from __future__ import annotations

import json

import cv2
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


def test_what_is_left_out_is_printed_and_in_the_json_file(annotations, tmp_path, capsys):
    truth = json.loads(annotations.read_text())
    truth["annotations"].append({**truth["annotations"][0], "id": 3, "image_id": 99})
    annotations.write_text(json.dumps(truth))
    path, report = tmp_path / "theirs.json", tmp_path / "report.json"
    rows = [
        detection((10, 10, 30, 20)),
        detection((50, 30, 20, 20), 2),
        detection((0, 0, 9, 9), 5),
    ]
    path.write_text(json.dumps(rows))
    assert evaluate(annotations, "--results", path, "--json", report) == 0
    said = capsys.readouterr()
    assert "mask  100.0" in said.out
    assert said.err.splitlines() == [
        f"{annotations}: left out or mended:",
        (
            "     1  annotation of an image that is not listed or was left out; "
            "e.g. annotation 3: image 99"
        ),
        f"{path}: left out or mended:",
        "     1  result of a category that the annotations do not have; e.g. result 2: category 5",
    ]
    (row,) = json.loads(report.read_text())
    assert [entry["count"] for entry in row["defects"]["left_out"].values()] == [1, 1]


@pytest.mark.parametrize("option", ["--json", "--save-results"])
def test_a_folder_that_cannot_be_made_is_told_before_any_work(
    annotations, results, tmp_path, capsys, option
):
    (tmp_path / "file").touch()
    assert evaluate(annotations, "--results", results, option, tmp_path / "file" / "x" / "y") == 2
    said = capsys.readouterr()
    assert "cannot be made" in said.err
    assert said.out == ""


def test_boxes_alone_are_scored_as_boxes(annotations, tmp_path, capsys):
    path = tmp_path / "boxes.json"
    rows = [detection((10, 10, 30, 20)), detection((50, 30, 20, 15), 2)]
    del rows[0]["segmentation"]
    path.write_text(json.dumps(rows))
    assert evaluate(annotations, "--results", path) == 0
    said = capsys.readouterr()
    assert "mask  30.0" in said.out  # the dog alone has a mask
    assert "1  result without segmentation, though others have one" in said.err
    del rows[1]["segmentation"]
    path.write_text(json.dumps(rows))
    assert evaluate(annotations, "--results", path) == 0
    said = capsys.readouterr()
    assert "box  80.0" in said.out
    assert "mask" not in said.out
    assert said.err == ""


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            '[{"image_id": 7, "category_id": 1, "score": 1}]',
            "neither bbox nor segmentation",
        ),
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


@pytest.fixture(scope="module")
def own_findings(tiny_model, tmp_path_factory):
    """A data set whose truth is what the tiny model finds: its boxes must get full marks."""
    folder = tmp_path_factory.mktemp("data")
    random = np.random.default_rng(5)
    for name in ("11.png", "12.png"):
        pixels = random.integers(0, 255, (9, 12, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / name), cv2.resize(pixels, (96, 72)))
    predicted = [
        "predict", str(folder), "--model", str(tiny_model), "--device", "cpu", "--output",
        str(folder / "found"), "--score-threshold", "0", "--top-k", "3", "--no-overlay",
    ]  # fmt: skip
    assert main(predicted) == 0
    truth = json.loads((folder / "found" / "images.json").read_text())
    truth["categories"].append({"id": 99, "name": "horse"})
    truth["annotations"] = [
        {
            **row, "id": index + 1, "iscrowd": 0,
            "area": float(mask_utils.area(row["segmentation"])),
        }
        for index, row in enumerate(json.loads((folder / "found" / "results.json").read_text()))
    ]  # fmt: skip
    (folder / "truth.json").write_text(json.dumps(truth))
    return folder


def evaluate_model(tiny_model, folder, *arguments) -> int:
    return evaluate(
        folder / "truth.json", "--images", folder, "--model", tiny_model, "--device", "cpu",
        *arguments,
    )  # fmt: skip


def test_a_model_gets_full_marks_for_its_own_boxes(tiny_model, own_findings, tmp_path, capsys):
    report = tmp_path / "report.json"
    assert evaluate_model(tiny_model, own_findings, "--json", report) == 0
    captured = capsys.readouterr()
    assert "scoring 3 of the data set's 4 categories" in captured.err
    header, masks, boxes = (line.split() for line in captured.out.splitlines()[1:4])
    assert header[:5] == ["model", "size", "k", "nms", "AP"]
    assert header[-10::2] == ["input", "network", "nms", "masks", "total"]
    # Some of its masks are empty, and an empty mask matches nothing.
    assert masks[:5] == ["tiny", "64", "4", "fast", "mask"]
    assert 20 < float(masks[5]) < 100
    assert boxes[:2] == ["box", "100.0"]
    (row,) = json.loads(report.read_text())
    stages = row["stages"]
    parts = sum(stages[name]["mean_ms"] for name in ("input", "network", "nms", "masks"))
    assert parts == pytest.approx(stages["total"]["mean_ms"], rel=1e-6)
    assert row["masks"]["num_images"] == 2


def test_kinds_of_nms_and_input_sizes_are_shown_side_by_side(tiny_model, own_findings, capsys):
    code = evaluate_model(
        tiny_model, own_findings, "--nms", "fast", "standard", "cross-class",
        "--input-size", 64, 96, "--limit", 1,
    )  # fmt: skip
    assert code == 0
    output = capsys.readouterr().out
    rows = [line.split()[:5] for line in output.splitlines() if line.startswith("tiny")]
    assert rows == [
        ["tiny", size, "4", nms, "mask"]
        for size in ("64", "96")
        for nms in ("fast", "standard", "cross-class")
    ]
    assert "1 image, 3 classes" in output


def test_every_row_of_the_table_runs_with_its_own_settings(tiny_model, own_findings, monkeypatch):
    from yolact_ros.inference.predictor import Predictor

    real, used = Predictor.finish, []

    def finish(self, frame):
        used.append((self.settings.nms, self.settings.top_k, self.settings.score_threshold))
        return real(self, frame)

    monkeypatch.setattr(Predictor, "finish", finish)
    monkeypatch.setattr(Predictor, "warm_up", lambda self: None)
    arguments = ["--nms", "fast", "standard", "--limit", 1]
    assert evaluate_model(tiny_model, own_findings, *arguments) == 0
    assert used == [("fast", 100, 0.0), ("standard", 100, 0.0)]


def test_another_runtime_is_scored_and_named(tiny_model, own_findings, capsys):
    pytest.importorskip("openvino")
    arguments = ["--runtime", "openvino", "--precision", "fp32", "--nms", "fast", "standard"]
    assert evaluate_model(tiny_model, own_findings, *arguments) == 0
    header, *rows = [line.split() for line in capsys.readouterr().out.splitlines() if line]
    assert header[:6] == ["model", "size", "k", "nms", "runtime", "AP"]
    assert rows[0][:6] == ["tiny", "64", "4", "fast", "openvino-fp32", "mask"]
    assert float(rows[1][1]) == 100  # the boxes are those that eager found


def test_a_runtime_that_cannot_run_here_is_one_error(tiny_model, own_findings, capsys):
    assert evaluate_model(tiny_model, own_findings, "--runtime", "graph") == 2
    assert "the runtime graph needs a CUDA device" in capsys.readouterr().err


def test_detections_can_be_kept_and_scored_again(tiny_model, own_findings, tmp_path, capsys):
    assert evaluate_model(tiny_model, own_findings, "--save-results", tmp_path / "runs") == 0
    (path,) = (tmp_path / "runs").iterdir()
    assert path.name == "tiny_64_4_fast.json"
    model_rows = [line.split("  mask  ")[-1] for line in capsys.readouterr().out.splitlines()]
    code = evaluate(
        own_findings / "truth.json", "--results", path, "--categories", "person,cup,dog"
    )
    assert code == 0
    file_rows = [line.split("  mask  ")[-1] for line in capsys.readouterr().out.splitlines()]
    assert model_rows[2].split()[:6] == file_rows[2].split()[:6]


def test_counting_unknown_categories_lowers_nothing_that_was_not_annotated(
    tiny_model, own_findings, capsys
):
    assert evaluate_model(tiny_model, own_findings, "--categories", "all") == 0
    output = capsys.readouterr().out
    assert "box   100.0" in output  # no horse is annotated
    assert "4 classes" in output


def test_another_number_of_prototypes_is_refused(tiny_model, own_findings, capsys):
    assert evaluate_model(tiny_model, own_findings, "--k", 8) == 2
    error = capsys.readouterr().err
    assert "8" in error
    assert "4" in error


def test_images_in_another_folder_are_missed_at_once(tiny_model, own_findings, tmp_path, capsys):
    arguments = ["--images", tmp_path, "--model", tiny_model]
    assert evaluate(own_findings / "truth.json", *arguments) == 2
    assert "2 of 2 images are not there: 11.png, 12.png" in capsys.readouterr().err
