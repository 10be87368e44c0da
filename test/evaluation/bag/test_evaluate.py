"""The whole evaluation on bags with known answers."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bag_evaluations import Silent, evaluate, options
from bag_samples import (
    TRUTH_TOPIC,
    ShapeSource,
    box_instance,
    frame_bgr,
    image_messages,
    instance_message,
    rectangle,
    sources,
    stamp_ns,
    truth_json,
    truth_messages,
    write_bag,
)

from yolact_ros.datasets.coco_file import read_coco_file
from yolact_ros.errors import DataError, DependencyError, WorkerError
from yolact_ros.evaluation.bag.evaluate import evaluate_bags
from yolact_ros.evaluation.bag.options import TopicAddress
from yolact_ros.evaluation.bag.reading.messages import (
    INSTANCE_ARRAY,
)
from yolact_ros.evaluation.bag.report.report import render_report
from yolact_ros.evaluation.bag.report.result_folder import ResultFolder
from yolact_ros.evaluation.bag.scoring.tables import (
    FRAME_COLUMNS,
    frame_row,
    frames_from_arrow,
    frames_to_arrow,
    joined_rows,
    read_table,
    write_table,
)
from yolact_ros.evaluation.bag.units.records import FrameRecords, unit_files
from yolact_ros.evaluation.coco import evaluate_results

NUM_FRAMES = 12
NUM_LONG = 200


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    messages = image_messages(NUM_FRAMES, 2) + truth_messages(NUM_FRAMES, 2)
    return write_bag(tmp_path_factory.mktemp("bags") / "drive", messages)


def test_a_perfect_segmenter_has_perfect_numbers(bag: Path, tmp_path: Path) -> None:
    metrics = evaluate(options(bag, tmp_path / "out"))
    for iou_type in ("segm", "bbox"):
        assert metrics["accuracy"][iou_type]["ap"] == 1.0
        point = metrics["accuracy"][iou_type]["operating_point"]
        assert (point["precision"], point["recall"], point["mean_iou"]) == (1.0, 1.0, 1.0)
        assert (point["objects"], point["found"]) == (2 * NUM_FRAMES, 2 * NUM_FRAMES)
    assert metrics["frames"] == {
        "total": NUM_FRAMES,
        "with_truth": NUM_FRAMES,
        "processed": NUM_FRAMES,
    }
    assert metrics["count"] == {"mean": 2.0, "std": 0.0, "max": 2, "by_class": {"person": 2.0}}
    assert metrics["stability"]["blink_rate"] == 0.0
    assert metrics["stability"]["steadiness"] == metrics["stability"]["truth_steadiness"]
    assert metrics["problems"]["counts"] == {}
    assert metrics["latency_ms"]["inference"]["p95"] == 2.0


def test_a_shifted_segmenter_has_the_iou_of_its_shift(bag: Path, tmp_path: Path) -> None:
    metrics = evaluate(options(bag, tmp_path / "out", source=ShapeSource(shift_px=5)))
    # Rectangles are 30 pixels wide: IoU 25/35 = 0.714, right at 0.50 to 0.70.
    point = metrics["accuracy"]["segm"]["operating_point"]
    assert point["mean_iou"] == pytest.approx(25 / 35, abs=1e-6)
    assert metrics["accuracy"]["segm"]["ap"] == pytest.approx(0.5)


def test_ap_is_that_of_the_evaluator_on_the_same_images(tmp_path: Path) -> None:
    source = ShapeSource(shift_px=2, miss_every=3)
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(truth_json(NUM_FRAMES, 3)))
    bag = write_bag(tmp_path / "drive", image_messages(NUM_FRAMES, 3))
    settings = options(bag, tmp_path / "out", source=source, truth=str(path))
    metrics = evaluate(settings)
    segmenter = source.open()
    results = []
    for index in range(NUM_FRAMES):
        prediction, _ = segmenter.predict_timed(frame_bgr(index, 3))
        results += prediction.to_coco(index + 1, [1, None])
    for iou_type in ("segm", "bbox"):
        expected = evaluate_results(read_coco_file(path), results, iou_type).to_dict()
        ours = metrics["accuracy"][iou_type]
        assert 0.1 < ours["ap"] < 0.9
        assert {key: ours[key] for key in expected} == expected


def test_files_of_an_evaluation_can_be_read_back(bag: Path, tmp_path: Path) -> None:
    metrics = evaluate(options(bag, tmp_path / "out", source=ShapeSource(miss_every=4)))
    folder = ResultFolder(tmp_path / "out")
    assert folder.metrics["accuracy"] == metrics["accuracy"]
    assert folder.frames["num_instances"].tolist() == [2, 2, 2, 0] * 3
    assert folder.frames["false_negatives"].tolist() == [0, 0, 0, 2] * 3
    assert folder.frames["quality"].tolist() == [1, 1, 1, 0] * 3
    assert folder.matches["segm"].objects["count"].sum() == 2 * NUM_FRAMES
    report = (tmp_path / "out" / "report.html").read_text()
    assert "Worst frames" in report
    assert "data:image/jpeg;base64," in report
    assert "data:image/svg+xml;base64," in report
    assert not re.search(r"https?:|<script|<link|@import", re.sub(r'"data:[^"]*"', "", report))


def test_a_class_may_be_named_like_a_script(bag: Path, tmp_path: Path) -> None:
    evaluate(options(bag, tmp_path / "out", source=ShapeSource(miss_every=4)))
    folder = ResultFolder(tmp_path / "out")
    text = json.dumps(folder.metrics).replace('"person"', '"<script>alert(1)</script>"')
    report = render_report(json.loads(text), folder.frames)
    assert "<td>&lt;script&gt;alert(1)&lt;/script&gt;</td>" in report
    assert "<script" not in report
    assert report == render_report(json.loads(text), folder.frames)


@pytest.mark.parametrize("package", ["jinja2", "matplotlib"])
def test_a_package_that_the_report_lacks_is_named_before_the_work(
    package: str, bag: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(DependencyError, match=f"pip install {package}"):
        evaluate(options(bag, tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_several_bags_give_each_its_numbers_and_one_for_all(bag: Path, tmp_path: Path) -> None:
    other = write_bag(
        tmp_path / "night", image_messages(4, 1) + truth_messages(4, 1), storage="sqlite3"
    )
    metrics = evaluate(options(bag, tmp_path / "out", bags=sources(bag, other)))
    assert metrics["bags"] == ["drive", "night"]
    assert metrics["frames"]["total"] == NUM_FRAMES + 4
    assert metrics["accuracy"]["segm"]["ap"] == 1.0
    assert metrics["accuracy"]["segm"]["operating_point"]["objects"] == 2 * NUM_FRAMES + 4
    night = ResultFolder(tmp_path / "out" / "night")
    assert night.metrics["frames"]["total"] == 4
    assert len(ResultFolder(tmp_path / "out").frames) == NUM_FRAMES + 4


@pytest.fixture(scope="module")
def long_bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    messages = image_messages(NUM_LONG, 2) + truth_messages(NUM_LONG, 2)
    return write_bag(tmp_path_factory.mktemp("bags") / "drive", messages)


def test_processes_give_the_same_numbers_as_one(long_bag: Path, tmp_path: Path) -> None:
    alone = evaluate(options(long_bag, tmp_path / "one", source=ShapeSource(shift_px=3)))
    together = evaluate(
        options(long_bag, tmp_path / "two", source=ShapeSource(shift_px=3), jobs=2)
    )
    for part in ("accuracy", "stability", "count", "frames"):
        assert together[part] == alone[part]
    assert len(unit_files(tmp_path / "two")) == NUM_LONG // 50


def test_a_killed_evaluation_goes_on_where_it_was(long_bag: Path, tmp_path: Path) -> None:
    with pytest.raises(WorkerError, match="was killed by SIGKILL"):
        evaluate(options(long_bag, tmp_path / "out", source=ShapeSource(crash_after=60), jobs=2))
    (tmp_path / "out" / "units" / ".00003.parquet.partial").write_bytes(b"PAR1")
    done = FrameRecords(unit_files(tmp_path / "out"))
    # Either of the two processes may be the first to die in its second unit, which ends both.
    assert 50 <= len(done) <= 100
    watcher = Silent()
    resumed = dict(evaluate_bags(options(long_bag, tmp_path / "out"), watcher))
    whole = evaluate(options(long_bag, tmp_path / "whole"))
    assert watcher.done["drive"] == NUM_LONG
    for part in ("accuracy", "stability", "count", "frames"):
        assert resumed[part] == whole[part]


def test_a_folder_of_another_evaluation_is_not_mixed_up(bag: Path, tmp_path: Path) -> None:
    evaluate(options(bag, tmp_path / "out"))
    changed = options(bag, tmp_path / "out", source=ShapeSource(shift_px=1))
    with pytest.raises(DataError, match=r"results of another evaluation .*source"):
        evaluate(changed)
    metrics = evaluate(replace(changed, overwrite=True))
    assert metrics["accuracy"]["segm"]["ap"] < 1.0


def test_one_failure_of_the_network_is_listed_and_ten_in_a_row_end_it(
    bag: Path, tmp_path: Path
) -> None:
    metrics = evaluate(options(bag, tmp_path / "a", source=ShapeSource(fail_on=(3, 5))))
    assert metrics["frames"]["failed"] == 2
    assert "RuntimeError: the network is broken" in metrics["problems"]["examples"][0]["reason"]
    broken = ShapeSource(fail_on=tuple(range(NUM_FRAMES)))
    with pytest.raises(DataError, match="failed on 10 frames in a row"):
        evaluate(options(bag, tmp_path / "b", source=broken))


def test_recorded_results_are_scored_without_a_network(tmp_path: Path) -> None:
    # Frame 2 was dropped, frame 3 came 130 ms after its image: later than its 100 ms.
    late_ns = {3: 130_000_000}
    recorded = [
        (
            "/yolact/instances",
            INSTANCE_ARRAY,
            stamp_ns(i) + late_ns.get(i, 40_000_000),
            instance_message(i, [box_instance(rectangle(i), score=0.75)]),
        )
        for i in range(6)
        if i != 2
    ]
    messages = sorted(image_messages(6) + truth_messages(6) + recorded, key=lambda m: m[2])
    bag = write_bag(tmp_path / "b", messages)
    predictions = TopicAddress("/yolact/instances")
    metrics = evaluate(options(bag, tmp_path / "out", source=None, predictions=predictions))
    assert metrics["frames"] == {"total": 6, "with_truth": 6, "processed": 5, "dropped": 1}
    assert metrics["accuracy_of_processed_frames"]["segm"]["ap"] == 1.0
    available = ResultFolder(tmp_path / "out").frames["result_index"].tolist()
    assert available == [0, 1, 1, 1, 4, 5]
    assert metrics["accuracy"]["segm"]["ap"] < 0.9
    assert metrics["deadline"]["frames_dropped"] == 1


def test_results_recorded_in_a_bag_of_their_own_are_tied_by_stamp(
    bag: Path, tmp_path: Path
) -> None:
    recorded = [
        (
            "/yolact/instances",
            INSTANCE_ARRAY,
            5_000_000_000 + stamp_ns(i),
            instance_message(i, [box_instance(rectangle(i, n)) for n in range(2)]),
        )
        for i in range(NUM_FRAMES)
    ]
    other = write_bag(tmp_path / "results", recorded)
    predictions = TopicAddress.parse(f"/yolact/instances@{other}")
    metrics = evaluate(options(bag, tmp_path / "out", source=None, predictions=predictions))
    assert metrics["accuracy"]["segm"]["ap"] == 1.0
    alone = options(
        other,
        tmp_path / "alone",
        source=None,
        predictions=TopicAddress("/yolact/instances"),
        truth=f"{TRUTH_TOPIC}@{bag}",
    )
    assert evaluate(alone)["accuracy"]["segm"]["ap"] == 1.0


def test_only_the_first_frames_are_taken_when_asked(bag: Path, tmp_path: Path) -> None:
    metrics = evaluate(options(bag, tmp_path / "out", limit=5))
    assert metrics["frames"]["total"] == 5
    assert metrics["problems"]["counts"] == {}
    everything = evaluate(options(bag, tmp_path / "out"))
    assert everything["frames"]["total"] == NUM_FRAMES


def test_truth_of_another_size_or_without_frames_is_listed(tmp_path: Path) -> None:
    truth = truth_json(4)
    truth["images"][1]["height"] *= 2
    truth["images"].append({**truth["images"][0], "id": 99, "stamp_ns": 5})
    (tmp_path / "t.json").write_text(json.dumps(truth))
    bag = write_bag(tmp_path / "b", image_messages(4))
    metrics = evaluate(options(bag, tmp_path / "out", truth=str(tmp_path / "t.json")))
    assert metrics["frames"]["with_truth"] == 3
    assert metrics["problems"]["counts"] == {
        "truth of another size": 1,
        "truth without a frame": 1,
    }


def test_a_table_of_frames_survives_its_file(tmp_path: Path) -> None:
    table = joined_rows(
        [
            frame_row(0, 1_700_000_000_123_456_789, time_s=0.0, quality=1 / 3),
            frame_row(1, 1_700_000_000_223_456_789, time_s=0.1, deadline_met=True),
        ]
    )
    write_table(frames_to_arrow(table, "drive"), tmp_path / "frames.parquet")
    again, bags = frames_from_arrow(read_table(tmp_path / "frames.parquet", FRAME_COLUMNS))
    assert again["stamp_ns"].tolist() == table["stamp_ns"].tolist()
    assert again["quality"][0] == 1 / 3
    assert np.isnan(again["quality"][1])
    assert again["deadline_met"][1] == 1.0
    assert bags == ["drive", "drive"]
    (tmp_path / "other.parquet").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match=r"other\.parquet: cannot be read"):
        read_table(tmp_path / "other.parquet", FRAME_COLUMNS)
