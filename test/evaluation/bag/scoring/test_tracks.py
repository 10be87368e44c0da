"""Tracks of bags against known ones, whatever gave them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("trackeval", reason="./dev has it")

from bag_samples import (
    HEIGHT_PX,
    TRUTH_TOPIC,
    WIDTH_PX,
    ShapeSource,
    box_instance,
    image_messages,
    instance_message,
    rectangle,
    sources,
    stamp_ns,
    truth_json,
    truth_messages,
    write_bag,
)

from yolact_ros.errors import ConfigError, DataError
from yolact_ros.evaluation.bag.compare.compare import compare_runs
from yolact_ros.evaluation.bag.compare.run_statistics import (
    TRACK_STATISTICS,
    track_differences,
    track_values,
)
from yolact_ros.evaluation.bag.evaluate import evaluate_bags
from yolact_ros.evaluation.bag.frame import FoundInstance
from yolact_ros.evaluation.bag.options import EvaluationOptions, ReplayOptions, TopicAddress
from yolact_ros.evaluation.bag.reading.messages import INSTANCE_ARRAY, default_typestore
from yolact_ros.evaluation.bag.summary import comparison_text, summary_text
from yolact_ros.tracking import TRACKERS, TrackerName, TrackerSettings

NUM_FRAMES = 12
NAMES = [statistic.name for statistic in TRACK_STATISTICS]
PREDICTIONS = TopicAddress("/yolact/instances")


class Silent:
    def start(self, title: str, total: int | None) -> Callable[[int], None]:
        return lambda count: None


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One object that moves by a tenth of itself from frame to frame."""
    messages = image_messages(NUM_FRAMES) + truth_messages(NUM_FRAMES, tracked=True)
    return write_bag(tmp_path_factory.mktemp("bags") / "drive", messages)


def evaluate(bag: Path, output: Path, truth: str = TRUTH_TOPIC, **changes: Any) -> dict[str, Any]:
    standard = EvaluationOptions(
        bags=sources(bag, truth=truth), output=output, source=ShapeSource(),
        tracker=TrackerSettings(), measure_tracks=True,
    )  # fmt: skip
    return dict(evaluate_bags(replace(standard, **changes), Silent()))


@pytest.mark.parametrize("name", TRACKERS)
def test_an_object_that_is_always_found_has_perfect_numbers(
    bag: Path, tmp_path: Path, name: TrackerName
) -> None:
    metrics = evaluate(bag, tmp_path / "out", tracker=TrackerSettings(name))

    for iou_type in ("bbox", "segm"):
        found = metrics["tracking"][iou_type]
        assert (found["hota"], found["idf1"], found["mota"]) == (1.0, 1.0, 1.0)
        assert (found["id_switches"], found["found_tracks"], found["truth_tracks"]) == (0, 1, 1)
    assert f"tracks of boxes, {name}: HOTA 100.0" in summary_text(metrics)
    assert "<h2>Tracks</h2>" in (tmp_path / "out/report.html").read_text()


def test_an_object_that_is_missed_in_every_fourth_frame_keeps_its_id(
    bag: Path, tmp_path: Path
) -> None:
    metrics = evaluate(bag, tmp_path / "out", source=ShapeSource(miss_every=4))

    found = metrics["tracking"]["bbox"]
    assert found["deta"] == pytest.approx(0.75)
    assert found["assa"] == pytest.approx(0.75)
    assert found["mota"] == pytest.approx(0.75)
    assert (found["id_switches"], found["found_tracks"]) == (0, 1)


def recorded(path: Path, ids: list[int]) -> Path:
    """A robot's results with these ids of its one object."""
    messages = image_messages(NUM_FRAMES) + truth_messages(NUM_FRAMES, tracked=True)
    messages += [
        (
            PREDICTIONS.topic,
            INSTANCE_ARRAY,
            stamp_ns(index) + 2,
            instance_message(index, [found(index, track_id)]),
        )
        for index, track_id in enumerate(ids)
    ]
    return write_bag(path, messages)


def found(index: int, track_id: int) -> FoundInstance:
    return replace(box_instance(rectangle(index), score=0.9), track_id=track_id, track_age=1)


def test_recorded_ids_that_change_once_are_one_switch(tmp_path: Path) -> None:
    bag = recorded(tmp_path / "bag", [7] * 6 + [8] * 6)

    metrics = evaluate(bag, tmp_path / "out", source=None, predictions=PREDICTIONS, tracker=None)

    values = metrics["tracking"]["segm"]
    assert metrics["tracking"]["tracker"] == "recorded"
    assert (values["id_switches"], values["found_tracks"]) == (1, 2)
    assert values["idf1"] == pytest.approx(0.5)
    assert values["hota"] == pytest.approx(0.5**0.5)
    assert len(metrics["tracking"]["without_block"]["segm"]["hota"]) == 2  # 1.2 s


def test_recorded_instances_without_an_id_count_as_not_found(tmp_path: Path) -> None:
    bag = recorded(tmp_path / "bag", [0] * 3 + [7] * 9)

    metrics = evaluate(bag, tmp_path / "out", source=None, predictions=PREDICTIONS, tracker=None)

    assert metrics["tracking"]["bbox"]["mota"] == pytest.approx(0.75)


def old_message(index: int) -> bytes:
    """As a node of before objects were tracked sent it."""
    store = default_typestore(tracked=False)
    today = default_typestore().deserialize_cdr(
        instance_message(index, [found(index, 0)]), INSTANCE_ARRAY
    )
    types = store.types
    instances = [
        types["yolact_ros/msg/Instance"](
            **{name: value for name, value in vars(one).items() if not name.startswith("track_")}
        )
        for one in today.instances
    ]
    message = types[INSTANCE_ARRAY](**{**vars(today), "instances": instances})
    return bytes(store.serialize_cdr(message, INSTANCE_ARRAY))


@pytest.mark.parametrize("version", [9, 8], ids=["with definitions", "without definitions"])
def test_bags_of_before_objects_were_tracked_are_evaluated_and_followed(
    tmp_path: Path, version: int
) -> None:
    messages = image_messages(NUM_FRAMES) + [
        (PREDICTIONS.topic, INSTANCE_ARRAY, stamp_ns(index) + 2, old_message(index))
        for index in range(NUM_FRAMES)
    ]
    bag = write_bag(
        tmp_path / "bag",
        messages,
        storage="sqlite3",
        version=version,
        typestore=default_typestore(tracked=False),
    )
    truth = tmp_path / "truth.json"
    truth.write_text(json.dumps(tracked_json()))

    metrics = evaluate(
        bag, tmp_path / "out", source=None, predictions=PREDICTIONS, truth=str(truth)
    )

    assert metrics["accuracy"]["segm"]["ap"] == 1.0
    assert metrics["tracking"]["segm"]["hota"] == 1.0
    assert metrics["problems"]["counts"] == {}


def tracked_json(field: str = "track_id") -> dict[str, Any]:
    content = truth_json(NUM_FRAMES)
    for row in content["annotations"]:
        row[field] = 5
    return content


@pytest.mark.parametrize("field", ["track_id", "instance_id"])
def test_ids_of_a_video_json_are_read(bag: Path, tmp_path: Path, field: str) -> None:
    truth = tmp_path / "truth.json"
    truth.write_text(json.dumps(tracked_json(field)))

    metrics = evaluate(bag, tmp_path / "out", truth=str(truth))

    assert metrics["tracking"]["segm"]["hota"] == 1.0


def test_a_mot_file_gives_boxes_with_ids_and_its_distractors_cost_nothing(
    bag: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "MOT17-00"
    (folder / "gt").mkdir(parents=True)
    (folder / "seqinfo.ini").write_text(
        f"[Sequence]\nimWidth={WIDTH_PX}\nimHeight={HEIGHT_PX}\nseqLength={NUM_FRAMES}\n"
    )
    lines = []
    for index in range(NUM_FRAMES):
        x, y, width, height = rectangle(index)
        flag = "1,1" if index < 6 else "0,1"  # not to be counted
        lines.append(f"{index + 1},3,{x + 1},{y + 1},{width},{height},{flag},1.0")
    (folder / "gt/gt.txt").write_text("\n".join(lines))

    metrics = evaluate(bag, tmp_path / "out", truth=str(folder / "gt/gt.txt"))

    assert set(metrics["tracking"]) == {"tracker", "bbox", "block_s", "without_block"}
    assert metrics["tracking"]["bbox"]["mota"] == 1.0
    assert metrics["frames"]["with_truth"] == NUM_FRAMES


@pytest.mark.parametrize("first", [0, 1], ids=["KITTI counts from 0", "MOTChallenge from 1"])
def test_a_mots_file_gives_masks_with_ids(bag: Path, tmp_path: Path, first: int) -> None:
    truth = tmp_path / "0002.txt"
    truth.write_text(
        "\n".join(
            f"{index + first} 2001 2 {HEIGHT_PX} {WIDTH_PX} {found(index, 0).counts}"
            for index in range(NUM_FRAMES)
        )
    )

    metrics = evaluate(bag, tmp_path / "out", truth=str(truth))

    assert metrics["tracking"]["segm"]["hota"] == 1.0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1,2,3,4\n", "line 1: 4 values; expected frame,id,left"),
        ("1 2 3\n", "line 1: 3 values; expected frame id class height width rle"),
        ("\n", "has no line"),
        ("1 2001 2 64 96 x!!\n", "line 1"),
    ],
)
def test_a_text_file_that_is_neither_is_refused_with_its_line(
    bag: Path, tmp_path: Path, text: str, said: str
) -> None:
    (tmp_path / "seqinfo.ini").write_text("[Sequence]\nimWidth=9\nimHeight=9\n")
    truth = tmp_path / "gt.txt"
    truth.write_text(text)

    with pytest.raises(DataError, match=said):
        evaluate(bag, tmp_path / "out", truth=str(truth))


def test_a_mot_file_without_the_size_of_its_images_is_refused_with_the_cure(
    bag: Path, tmp_path: Path
) -> None:
    truth = tmp_path / "lonely" / "deep" / "gt.txt"
    truth.parent.mkdir(parents=True)
    truth.write_text("1,1,5,5,20,20,1,1,1\n")

    with pytest.raises(DataError, match=r"put its seqinfo\.ini beside it"):
        evaluate(bag, tmp_path / "out", truth=str(truth))


def test_a_truth_without_track_ids_is_refused_with_the_cure(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "bag", image_messages(3) + truth_messages(3))

    with pytest.raises(DataError, match=r"the truth has no track ids.*track_id in every"):
        evaluate(bag, tmp_path / "out")


def test_tracks_without_a_truth_are_refused(bag: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--track holds tracks against those of a --truth"):
        evaluate(bag, tmp_path / "out", truth="")


def test_in_real_time_dropped_frames_count_by_what_the_consumer_had(
    bag: Path, tmp_path: Path
) -> None:
    """Each frame takes longer than the next one waits: some are replaced, on any computer."""
    replay = ReplayOptions(rate=0.5, budget_ms=10_000.0)
    tracker = TrackerSettings("bytetrack", 60_000.0)

    metrics = evaluate(
        bag, tmp_path / "out", source=ShapeSource(delay_ms=300.0), replay=replay, tracker=tracker
    )

    found = metrics["tracking"]["bbox"]
    assert metrics["frames"]["dropped"] > 0
    assert found["found_tracks"] == 1
    assert 0 < found["hota"] < 1  # the object has moved on by then
    assert found["id_switches"] == 0


def test_several_bags_are_measured_together_and_ids_of_one_are_not_those_of_another(
    bag: Path, tmp_path: Path
) -> None:
    messages = image_messages(NUM_FRAMES) + truth_messages(NUM_FRAMES, tracked=True)
    other = write_bag(tmp_path / "other", messages)

    metrics = evaluate(bag, tmp_path / "out", bags=sources(bag, other))

    found = metrics["tracking"]["segm"]
    assert (found["truth_tracks"], found["found_tracks"], found["id_switches"]) == (2, 2, 0)
    assert found["hota"] == 1.0
    assert len(metrics["tracking"]["without_block"]["segm"]["hota"]) == 4


def test_a_comparison_has_the_measures_of_tracks_with_intervals(bag: Path, tmp_path: Path) -> None:
    evaluate(bag, tmp_path / "good")
    evaluate(bag, tmp_path / "bad", source=ShapeSource(miss_every=2))

    comparison = compare_runs([tmp_path / "good", tmp_path / "bad"], resamples=10)

    difference = comparison.runs[1].differences["mota"]
    assert difference.value == pytest.approx(-0.5)
    assert difference.low <= difference.value <= difference.high < 0
    assert "MOTA, %" in comparison_text(comparison)
    assert "hota" in comparison.to_dict()["runs"][1]["differences"]


def test_the_interval_of_a_mean_is_that_of_its_standard_error() -> None:
    chance = np.random.default_rng(0)
    values = chance.normal(0.5, 0.1, 40)
    without = [float(np.delete(values, place).mean()) for place in range(40)]
    metrics = {
        "tracking": {
            "bbox": dict.fromkeys(NAMES, float(values.mean())),
            "without_block": {"bbox": dict.fromkeys(NAMES, without)},
        }
    }

    interval = track_values(metrics)["hota"]

    error = values.std(ddof=1) / 40**0.5
    assert (interval.low, interval.high) == pytest.approx(
        (values.mean() - 1.96 * error, values.mean() + 1.96 * error)
    )
    assert track_differences(metrics, metrics)["hota"].value == 0
