"""``yolact predict`` with a tiny network of random weights, on files written by the tests."""

from __future__ import annotations

import json
import re

import cv2
import numpy as np
import pytest

from yolact_ros.cli import predict
from yolact_ros.cli.main import main
from yolact_ros.models.checkpoint import load_network


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    random = np.random.default_rng(5)
    for name in ("000000000139.jpg", "street.png"):
        pixels = random.integers(0, 255, (9, 12, 3), dtype=np.uint8)
        image = cv2.resize(pixels, (96, 72), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / name), image)
    return folder


@pytest.fixture
def clip(tmp_path):
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 12.0, (96, 72))
    for index in range(5):
        writer.write(np.full((72, 96, 3), 50 * index, np.uint8))
    writer.release()
    return path


def run(tiny_model, tmp_path, *arguments) -> int:
    return main(
        [
            "predict", "--model", str(tiny_model), "--device", "cpu",
            "--output", str(tmp_path / "out"), "--score-threshold", "0", "--top-k", "3",
            *map(str, arguments),
        ]
    )  # fmt: skip


def names(tmp_path) -> set[str]:
    return {str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*.*")}


def test_a_folder_leaves_an_overlay_an_image_and_coco_results(
    tiny_model, tmp_path, photos, capsys
):
    assert run(tiny_model, tmp_path, photos) == 0
    assert names(tmp_path) == {
        "000000000139_overlay.jpg", "street_overlay.jpg", "results.json", "images.json",
    }  # fmt: skip
    overlay = cv2.imread(str(tmp_path / "out/street_overlay.jpg")).astype(int)
    assert overlay.shape == (72, 96, 3)
    assert np.abs(overlay - cv2.imread(str(photos / "street.png"))).mean() > 1
    rows = json.loads((tmp_path / "out/results.json").read_text())
    assert [row["image_id"] for row in rows] == [139] * 3 + [140] * 3
    assert {row["category_id"] for row in rows} <= {1, 47, 18}  # person, cup, dog in COCO
    assert all(row["segmentation"]["size"] == [72, 96] for row in rows)
    assert "2 images: " in capsys.readouterr().out


def test_one_image_is_answered_with_a_line_an_instance(tiny_model, tmp_path, photos, capsys):
    assert run(tiny_model, tmp_path, photos / "street.png", "--no-overlay") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert all(" x " in line and " y " in line for line in lines[:3])
    assert names(tmp_path) == {"results.json", "images.json"}


def test_masks_and_prototypes_are_written_when_asked_for(tiny_model, tmp_path, photos):
    image = photos / "street.png"
    assert run(tiny_model, tmp_path, image, "--masks", "--show", "prototypes") == 0
    masks = [name for name in names(tmp_path) if name.startswith("masks/street_")]
    assert len(masks) == 3
    rows = json.loads((tmp_path / "out/results.json").read_text())
    mask_utils = pytest.importorskip("pycocotools.mask")
    for name, row in zip(sorted(masks), rows, strict=True):
        mask = cv2.imread(str(tmp_path / "out" / name), cv2.IMREAD_UNCHANGED)
        assert np.array_equal(mask == 255, mask_utils.decode(row["segmentation"]) == 1)
    assert cv2.imread(str(tmp_path / "out/street_prototypes.png")) is not None


def test_what_was_found_can_be_scored_as_it_is_written(tiny_model, tmp_path, photos, capsys):
    pytest.importorskip("pycocotools")
    assert run(tiny_model, tmp_path, photos) == 0
    truth = json.loads((tmp_path / "out/images.json").read_text())
    assert [row["file_name"] for row in truth["images"]] == ["000000000139.jpg", "street.png"]
    truth["annotations"] = json.loads((tmp_path / "out/results.json").read_text())
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    arguments = ["--images", str(photos), "--model", str(tiny_model), "--device", "cpu"]
    assert main(["evaluate", "--annotations", str(tmp_path / "truth.json"), *arguments]) == 0
    assert "box   100.0" in capsys.readouterr().out


def test_prototypes_are_the_networks_own(tiny_model, photos):
    network = load_network(tiny_model)
    image = cv2.imread(str(photos / "street.png"))
    prototypes = predict.prototypes_of(network, image)
    assert prototypes.shape == (16, 16, 4)
    assert prototypes.min() >= 0
    assert prototypes.max() > 0


def test_a_video_leaves_a_video_of_its_rate_up_to_the_frame_limit(tiny_model, tmp_path, clip):
    assert run(tiny_model, tmp_path, clip, "--max-frames", 3) == 0
    video = cv2.VideoCapture(str(tmp_path / "out/clip_overlay.mp4"))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 3
    assert video.get(cv2.CAP_PROP_FPS) == 12
    described = json.loads((tmp_path / "out/images.json").read_text())
    assert len(described["images"]) == 3


def test_only_the_wanted_classes_are_found_and_unknown_ones_are_named(
    tiny_model, tmp_path, photos, capsys
):
    for names, category_ids in (("person", {1}), ("dog, cup", {18, 47})):
        assert run(tiny_model, tmp_path, photos, "--classes", names) == 0
        rows = json.loads((tmp_path / "out/results.json").read_text())
        assert rows
        assert {row["category_id"] for row in rows} <= category_ids
    assert run(tiny_model, tmp_path, photos, "--classes", "dog,horse") == 2
    assert "no class 'horse'; it has person, cup, dog" in capsys.readouterr().err


def test_a_damaged_image_is_passed_over_and_told_by_the_exit_code(
    tiny_model, tmp_path, photos, capsys
):
    (photos / "broken.png").write_bytes(b"\x89PNG")
    assert run(tiny_model, tmp_path, photos) == 1
    assert re.search(r"passed over: \S*broken.png: not an image", capsys.readouterr().err)
    assert "street_overlay.jpg" in names(tmp_path)


def test_nothing_readable_is_an_error(tiny_model, tmp_path, capsys):
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        (folder / name).touch()
    assert run(tiny_model, tmp_path, folder) == 2
    assert "not one image could be read" in capsys.readouterr().err


def test_a_missing_source_is_told_before_the_model_is_loaded(tmp_path, capsys):
    assert run(tmp_path / "no_model.pth", tmp_path, tmp_path / "none.jpg") == 2
    assert "none.jpg: no such file" in capsys.readouterr().err


def test_control_c_keeps_what_was_done(tiny_model, tmp_path, clip, monkeypatch, capsys):
    from yolact_ros.inference.predictor import Predictor

    real, seen = Predictor.predict, []

    def interrupted(self, image_bgr):
        seen.append(1)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return real(self, image_bgr)

    monkeypatch.setattr(Predictor, "predict", interrupted)
    assert run(tiny_model, tmp_path, clip) == 130
    video = cv2.VideoCapture(str(tmp_path / "out/clip_overlay.mp4"))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 2
    assert "2 images" in capsys.readouterr().out


def test_objects_of_videos_have_ids_that_no_other_video_uses(tiny_model, tmp_path, clip, photos):
    assert run(tiny_model, tmp_path, clip, clip, photos, "--tracker", "bytetrack") == 0
    rows = json.loads((tmp_path / "out/results.json").read_text())
    images = json.loads((tmp_path / "out/images.json").read_text())["images"]
    names = {image["id"]: image["file_name"] for image in images}
    ids: dict[str, set[int]] = {}
    for row in rows:
        source = names[row["image_id"]].rpartition("_")[0] or "photos"
        ids.setdefault(source, set()).add(row.get("track_id", 0))
    assert ids["photos"] == {0}
    first, second = ids["clip"] - {0}, ids["clip_2"] - {0}
    assert first
    assert second
    assert not first & second


def test_a_tracker_for_photographs_alone_is_refused(tiny_model, tmp_path, photos, capsys):
    assert run(tiny_model, tmp_path, photos, "--tracker", "ocsort") == 2
    assert "--tracker follows objects through a video, and" in capsys.readouterr().err
