"""``yolact bag`` from pictures to a comparison, with a tiny network."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from bag_samples import image_messages, truth_messages, write_bag
from PIL import Image

from yolact_ros.cli.main import main
from yolact_ros.evaluation.bag.reading.image_topic import image_frames
from yolact_ros.evaluation.bag.reading.messages import COMPRESSED_IMAGE, IMAGE, INSTANCE_ARRAY
from yolact_ros.evaluation.bag.reading.storage import Bag
from yolact_ros.evaluation.bag.units.model_source import ModelSource
from yolact_ros.inference.predictor import Predictor
from yolact_ros.inference.settings import PredictionSettings

mask_utils = pytest.importorskip("pycocotools.mask")

NUM_IMAGES = 6


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Path:
    return tiny_model


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Path:
    """Pictures of different sizes; the truth is half of what the network finds, moved a little."""
    folder = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(0)
    settings = PredictionSettings(score_threshold=0.05, top_k=12)
    predictor = Predictor.load(model, runtime="eager", device="cpu", settings=settings)
    dataset: dict[str, Any] = {
        "images": [],
        "annotations": [],
        "categories": [
            {"id": 3, "name": "dog"},
            {"id": 1, "name": "person"},
            {"id": 9, "name": "unicorn"},
        ],
    }
    for number in range(NUM_IMAGES):
        size = (60 + 10 * (number % 3), 80 + 16 * (number % 2))
        noise = random.integers(0, 255, (size[0] // 10, size[1] // 10, 3)).astype(np.uint8)
        image = np.asarray(cv2.resize(noise, size[::-1]), np.uint8)
        cv2.imwrite(str(folder / f"{number}.png"), image)
        dataset["images"].append(
            {"id": 40 + number, "file_name": f"{number}.png", "height": size[0], "width": size[1]}
        )
        for found in predictor.predict(image).to_coco(40 + number, [1, None, 3])[::2]:
            if mask_utils.area(found["segmentation"]) == 0:
                continue
            x, y, width, height = found["bbox"]
            found["id"] = len(dataset["annotations"]) + 1
            found["iscrowd"] = 0
            found["bbox"] = [x + width * 0.05 * (found["id"] % 4), y, width, height]
            del found["score"]
            dataset["annotations"].append(found)
    assert len(dataset["annotations"]) > NUM_IMAGES
    (folder / "truth.json").write_text(json.dumps(dataset))
    predictor.close()
    return folder


@pytest.fixture(scope="module")
def slides(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    bag = tmp_path_factory.mktemp("bags") / "slides"
    arguments = ["--annotations", photos / "truth.json", "--output", bag]
    assert yolact("from-video", photos, *arguments) == 0
    return bag


@pytest.fixture(scope="module")
def evaluated(slides: Path, photos: Path, model: Path, tmp_path_factory: Any) -> Path:
    output = tmp_path_factory.mktemp("results") / "tiny"
    truth = photos / "truth.json"
    assert evaluate(slides, model, output, "--truth", truth) == 0
    return Path(output)


def yolact(*arguments: object) -> int:
    return main(["bag", *map(str, arguments)])


def evaluate(bag: Path, model: Path, output: Path, *arguments: object) -> int:
    where = ("--model", model, "--device", "cpu", "--output", output)
    return yolact("evaluate", bag, *where, *arguments)


def metrics_of(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "metrics.json").read_text()))


def test_ap_from_the_bag_is_that_of_yolact_evaluate(
    evaluated: Path, slides: Path, photos: Path, model: Path, tmp_path: Path
) -> None:
    truth, report = photos / "truth.json", tmp_path / "e.json"
    arguments = ["--annotations", truth, "--images", photos, "--model", model, "--json", report]
    assert main(["evaluate", *map(str, arguments), "--device", "cpu"]) == 0
    (row,) = json.loads(report.read_text())
    accuracy = metrics_of(evaluated)["accuracy"]
    assert 0.05 < accuracy["segm"]["ap"] < 0.95
    for iou_type, theirs in (("segm", row["masks"]), ("bbox", row["boxes"])):
        for key in ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large", "recall100"):
            assert accuracy[iou_type][key] == pytest.approx(theirs[key], abs=1e-6, nan_ok=True)
    # Through the truth topic too: its numbers are float32.
    assert evaluate(slides, model, tmp_path / "topic", "--truth", "/truth") == 0
    topic = metrics_of(tmp_path / "topic")["accuracy"]
    assert topic["segm"]["ap"] == pytest.approx(row["masks"]["ap"], abs=1e-6)


def test_the_report_tells_what_was_left_out_and_how_it_was_made(evaluated: Path) -> None:
    metrics = metrics_of(evaluated)
    assert metrics["problems"]["counts"] == {
        "class unknown to the model": 1,
        "class without truth": 1,
    }
    assert metrics["settings"]["variant"] == "yolact_light"
    assert len(metrics["settings"]["sha256"]) == 64
    report = (evaluated / "report.html").read_text()
    assert "unicorn" in report
    assert metrics["environment"]["torch"] in report


def test_a_second_start_only_scores(
    evaluated: Path, slides: Path, photos: Path, model: Path
) -> None:
    before, records = metrics_of(evaluated), (evaluated / "units" / "00000.parquet").read_bytes()
    assert evaluate(slides, model, evaluated, "--truth", photos / "truth.json") == 0
    assert (evaluated / "units" / "00000.parquet").read_bytes() == records
    assert metrics_of(evaluated)["accuracy"] == before["accuracy"]


def test_a_model_can_be_opened_in_another_process(model: Path) -> None:
    source = ModelSource(str(model), num_threads=7)
    assert pickle.loads(pickle.dumps(source)) == source


def test_results_are_written_into_a_bag_that_can_be_scored_again(
    evaluated: Path, slides: Path, photos: Path, model: Path, tmp_path: Path
) -> None:
    written = tmp_path / "written"
    output = tmp_path / "again"
    truth = photos / "truth.json"
    arguments = ("--truth", truth, "--write", written, "--operating-threshold", 0.05)
    assert evaluate(slides, model, output, *arguments) == 0
    with Bag(written) as bag:
        types = {topic.name: topic.message_type for topic in bag.topics.values()}
        with Bag(slides) as source:
            stamps = [m.log_time_ns for m in source.messages({"/camera/image_raw"})]
        assert [m.log_time_ns for m in bag.messages({"/yolact/instances"})] == stamps
    assert types == {
        "/yolact/instances": INSTANCE_ARRAY,
        "/yolact/overlay/compressed": COMPRESSED_IMAGE,
        "/yolact/truth": INSTANCE_ARRAY,
    }
    predictions = f"/yolact/instances@{written}"
    recorded = tmp_path / "recorded"
    arguments = ("--predictions", predictions, "--truth", truth, "--output", recorded)
    assert yolact("evaluate", slides, *arguments) == 0
    ours, theirs = metrics_of(recorded)["accuracy"], metrics_of(evaluated)["accuracy"]
    assert ours["segm"]["ap50"] == pytest.approx(theirs["segm"]["ap50"], abs=1e-6)


def test_a_model_that_finds_nothing_loses_against_one_that_does(
    evaluated: Path, slides: Path, photos: Path, model: Path, tmp_path: Path, capsys: Any
) -> None:
    worse, output = tmp_path / "worse", tmp_path / "comparison"
    truth = photos / "truth.json"
    assert evaluate(slides, model, worse, "--truth", truth, "--score-threshold", 0.9) == 0
    capsys.readouterr()
    options = ("--output", output, "--resamples", 200, "--names", "old,new")
    assert yolact("compare", evaluated, worse, *options) == 0
    shown = capsys.readouterr().out
    assert "mask AP, %" in shown
    assert "worse" in shown
    content = json.loads((output / "comparison.json").read_text())
    (first, second) = content["runs"]
    ap = first["values"]["mask_ap"]
    assert ap["value"] == pytest.approx(metrics_of(evaluated)["accuracy"]["segm"]["ap"], abs=1e-9)
    assert ap["low"] < ap["value"] < ap["high"]
    difference = second["differences"]["mask_ap"]
    assert difference["value"] == pytest.approx(-ap["value"])
    assert (difference["low"], difference["high"]) == pytest.approx((-ap["high"], -ap["low"]))
    page = (output / "comparison.html").read_text()
    assert "old" in page
    assert "score_threshold" in page
    assert yolact("compare", evaluated, worse, *options, "--max-map-loss", 1) == 1
    assert "AP lost is" in capsys.readouterr().err
    assert yolact("compare", worse, evaluated, *options, "--max-map-loss", 1) == 0


def test_a_result_compared_with_itself_differs_in_nothing(
    evaluated: Path, tmp_path: Path, capsys: Any
) -> None:
    options = ("--output", tmp_path, "--resamples", 50)
    assert yolact("compare", evaluated, evaluated, *options) == 0
    content = json.loads((tmp_path / "comparison.json").read_text())
    for difference in content["runs"][1]["differences"].values():
        assert difference["value"] == 0
        assert (difference["low"], difference["high"]) in ((0, 0), (None, None))
    assert "worse" not in capsys.readouterr().out


def test_limits_set_the_exit_code(evaluated: Path, slides: Path, model: Path, capsys: Any) -> None:
    # The same command again only scores, so that limits can be tried.
    truth = metrics_of(evaluated)["bag"]["truth"]
    again = (slides, model, evaluated, "--truth", truth)
    assert evaluate(*again, "--min-map", 1) == 0
    assert evaluate(*again, "--min-map", 99) == 1
    assert "AP is" in capsys.readouterr().err
    assert evaluate(*again, "--max-miss", 5) == 1
    assert "deadlines missed was not measured" in capsys.readouterr().err
    assert evaluate(*again, "--max-p95", 0.001) == 1


def test_annotations_come_back_from_the_bag_they_were_written_into(
    slides: Path, photos: Path, model: Path, evaluated: Path, tmp_path: Path
) -> None:
    plain, annotated = tmp_path / "plain", tmp_path / "annotated"
    assert yolact("from-video", photos, "--output", plain, "--encoding", "jpeg") == 0
    with Bag(plain) as bag:
        assert {topic.message_type for topic in bag.topics.values()} == {COMPRESSED_IMAGE}
    arguments = ("--results", photos / "truth.json", "--output", annotated)
    assert yolact("annotate", plain, *arguments) == 0
    with Bag(annotated) as bag:
        assert bag.topics["/truth"].message_count == NUM_IMAGES
        assert bag.topics["/camera/image_raw"].message_count == NUM_IMAGES
    # What a model found becomes the truth that it meets.
    perfect = tmp_path / "perfect"
    arguments = ("--results", evaluated, "--score-threshold", 0, "--output", perfect)
    assert yolact("annotate", slides, *arguments) == 0
    assert evaluate(perfect, model, tmp_path / "p", "--truth", "/truth", "--classes", "all") == 0
    assert metrics_of(tmp_path / "p")["accuracy"]["bbox"]["ap"] == pytest.approx(1.0)


def test_what_is_left_out_of_a_truth_file_is_a_line_with_number_and_example(
    slides: Path, photos: Path, model: Path, tmp_path: Path, capsys: Any
) -> None:
    content = json.loads((photos / "truth.json").read_text())
    content["annotations"] += [{**content["annotations"][0], "image_id": 99}] * 2
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(content))
    number = content["annotations"][0]["id"]
    line = (
        f"     2  annotation of an image that is not listed or was left out; e.g. {path}: "
        f"annotation {number}: image 99"
    )
    assert evaluate(slides, model, tmp_path / "e", "--truth", path) == 0
    assert line in capsys.readouterr().out
    kinds = metrics_of(tmp_path / "e")["problems"]["counts"]
    assert kinds["annotation of an image that is not listed or was left out"] == 2
    assert yolact("annotate", slides, "--results", path, "--output", tmp_path / "new") == 0
    assert line.replace(str(path), "the annotations") in capsys.readouterr().err


def test_results_of_yolact_predict_become_a_truth_topic(
    photos: Path, model: Path, slides: Path, tmp_path: Path, capsys: Any
) -> None:
    found = tmp_path / "found"
    arguments = ["predict", photos, "--model", model, "--device", "cpu", "--output", found]
    assert main([*map(str, arguments), "--score-threshold", "0.05", "--no-overlay"]) == 0
    arguments = ["--results", found / "results.json", "--score-threshold", 0.05]
    assert yolact("annotate", slides, *arguments, "--output", tmp_path / "new") == 0
    (found / "images.json").unlink()
    capsys.readouterr()
    assert yolact("annotate", slides, *arguments, "--output", tmp_path / "newer") == 2
    assert "images and categories" in capsys.readouterr().err


def test_info_lists_topics_and_damage(tmp_path: Path, capsys: Any) -> None:
    path = write_bag(tmp_path / "drive", image_messages(90) + truth_messages(90))
    assert yolact("info", path) == 0
    shown = capsys.readouterr().out
    assert IMAGE in shown
    assert " 90 " in shown
    file = next(path.glob("*.mcap"))
    with file.open("r+b") as stream:
        stream.truncate(file.stat().st_size // 2)
    assert yolact("info", path, "--read") == 1
    assert "its last messages are lost" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["evaluate", "nothing.mcap"], "no such bag"),
        (["evaluate", "{bag}", "--truth", "nothing.json"], "nothing.json: cannot be read"),
        (["evaluate", "{bag}", "--truth", "/nothing"], "no topic /nothing"),
        (["evaluate", "{bag}", "--topic", "/nothing"], "image topics here: /camera/image_raw"),
        (["evaluate", "{bag}", "--input-size", "96", "64"], "add --real-time"),
        (["evaluate", "{bag}", "--predictions", "instances"], "is no topic"),
        (["evaluate", "{bag}", "--predictions", "/x", "--real-time"], "no --real-time"),
        (["evaluate", "{bag}", "--real-time", "--jobs", "2"], "--jobs 1"),
        (["compare", "{bag}"], "at least two"),
        (["compare", "{bag}", "{bag}"], "no metrics.json there"),
        (["annotate", "{bag}", "--results", "{bag}", "--output", "x"], "folder of an evaluation"),
        (["from-video", "nothing.mp4", "--output", "x"], "nothing.mp4: no such file"),
        (["from-video", "{photos}", "--output", "{bag}"], "exists"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_exit_code_2(
    arguments: list[str],
    expected: str,
    slides: Path,
    photos: Path,
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Any,
) -> None:
    monkeypatch.chdir(tmp_path)
    filled = [text.format(bag=slides, photos=photos) for text in arguments]
    if arguments[0] == "evaluate":
        filled += ["--model", str(model)]
    assert yolact(*filled) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("yolact: error: ")
    assert expected in error


def test_a_replay_in_real_time_reports_its_deadlines(
    slides: Path, photos: Path, model: Path, tmp_path: Path
) -> None:
    arguments = ("--truth", photos / "truth.json", "--real-time", "--rate", 5)
    assert evaluate(slides, model, tmp_path / "rt", *arguments, "--input-size", 96, 64) == 0
    deadline = metrics_of(tmp_path / "rt")["deadline"]
    assert deadline["frames_published"] + deadline["frames_dropped"] == NUM_IMAGES
    assert "Deadlines" in (tmp_path / "rt" / "report.html").read_text()


def test_the_stamps_of_a_clip_are_the_times_of_its_container(tmp_path: Path) -> None:
    times_ms = [0, 100, 200, 700, 2700]
    frames = [Image.fromarray(np.full((48, 64), 40 * n, np.uint8)) for n in range(5)]
    gaps_ms = [*np.diff(times_ms).tolist(), 100]
    clip = tmp_path / "clip.gif"
    frames[0].save(clip, save_all=True, append_images=frames[1:], duration=gaps_ms, loop=0)

    def stamps_ms(*arguments: str) -> list[int]:
        bag_path = tmp_path / "b"
        assert yolact("from-video", clip, "--output", bag_path, "--overwrite", *arguments) == 0
        with Bag(bag_path) as bag:
            stamps_ns = [frame.stamp_ns for frame in image_frames(bag, "/camera/image_raw")]
        return [(stamp_ns - stamps_ns[0]) // 1_000_000 for stamp_ns in stamps_ns]

    assert stamps_ms() == times_ms
    assert stamps_ms("--rate", "4") == [0, 250, 500, 750, 1000]


def test_an_image_that_cannot_be_read_is_left_out_of_a_bag_and_told(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("0.png", "2.png"):
        (tmp_path / name).write_bytes((photos / name).read_bytes())
    (tmp_path / "1.png").write_bytes(b"no image")
    assert yolact("from-video", tmp_path, "--output", tmp_path / "b") == 1
    captured = capsys.readouterr()
    assert "2 frames on /camera/image_raw" in captured.out
    assert "passed over: " in captured.err
    assert "1.png: not an image" in captured.err
