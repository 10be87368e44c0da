"""Truth is found by stamp or index, from a file or a topic, and wrong truth is one clear error."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from bag_samples import (
    HEIGHT_PX,
    TRUTH_TOPIC,
    WIDTH_PX,
    box_instance,
    image_messages,
    instance_message,
    rectangle,
    stamp_ns,
    truth_json,
    truth_messages,
    write_bag,
)

from yolact_ros.datasets.coco_data import CocoCategory
from yolact_ros.errors import DataError
from yolact_ros.evaluation.bag.frame import FrameInstances
from yolact_ros.evaluation.bag.reading.messages import INSTANCE_ARRAY
from yolact_ros.evaluation.bag.reading.storage import Bag
from yolact_ros.evaluation.bag.truth.truth import Truth, read_truth_topic
from yolact_ros.evaluation.bag.truth.truth_file import read_truth_file


def write(folder: Path, dataset: dict[str, Any]) -> Path:
    path = folder / "truth.json"
    path.write_text(json.dumps(dataset))
    return path


def with_keys(keys: list[dict[str, Any]]) -> dict[str, Any]:
    dataset = truth_json(len(keys))
    for image, key in zip(dataset["images"], keys, strict=True):
        del image["stamp_ns"]
        image.update(key)
    return dataset


def boxes(truth: Truth, index: int) -> list[list[float]] | None:
    frame = truth.of_frame(index, stamp_ns(index))
    return None if frame is None else [list(row.bbox_xywh) for row in frame.instances]


NS = str(stamp_ns(1))


@pytest.mark.parametrize(
    ("keys", "used"),
    [
        ([{"stamp_ns": stamp_ns(i)} for i in range(3)], "stamp"),
        ([{"stamp": f"{stamp_ns(i) / 1e9:.9f}"} for i in range(3)], "stamp"),
        ([{"stamp": stamp_ns(i) / 1e9} for i in range(3)], "stamp"),
        (
            [
                {"stamp": {"sec": stamp_ns(i) // 10**9, "nanosec": stamp_ns(i) % 10**9}}
                for i in range(3)
            ],
            "stamp",
        ),
        ([{"file_name": f"left/{stamp_ns(i)}.png"} for i in range(3)], "stamp"),
        (
            [
                {"file_name": f"{stamp_ns(i) // 10**9}_{stamp_ns(i) % 10**9:09d}.png"}
                for i in range(3)
            ],
            "stamp",
        ),
        ([{"frame_index": i} for i in range(3)], "index"),
        ([{"index": i, "file_name": "000000397133.jpg"} for i in range(3)], "index"),
        ([{"file_name": f"00000039713{i}.jpg"} for i in range(3)], "index"),
        ([{"stamp_ns": stamp_ns(0)}, {"index": 1}, {}], "index"),
    ],
)
def test_images_are_tied_to_frames_by_what_they_have(
    tmp_path: Path, keys: list[dict[str, Any]], used: str
) -> None:
    truth = read_truth_file(write(tmp_path, with_keys(keys)))
    assert truth.key == used
    for index in range(3):
        assert boxes(truth, index) == [list(rectangle(index))]
    assert boxes(truth, 3) is None


def test_masks_of_a_file_are_the_polygons(tmp_path: Path) -> None:
    truth = read_truth_file(write(tmp_path, truth_json(1)))
    frame = truth.of_frame(0, stamp_ns(0))
    assert frame is not None
    expected = box_instance(rectangle(0)).counts
    assert frame.shape == (HEIGHT_PX, WIDTH_PX)
    assert frame.instances[0].counts == expected
    assert truth.has_masks


def test_frames_that_nobody_asked_for_are_known(tmp_path: Path) -> None:
    truth = read_truth_file(write(tmp_path, truth_json(4)))
    truth.of_frame(0, stamp_ns(0))
    truth.of_frame(2, stamp_ns(2))
    assert truth.unused == [stamp_ns(1), stamp_ns(3)]


def test_only_chosen_classes_are_kept(tmp_path: Path) -> None:
    dataset = truth_json(2, objects=2)
    dataset["categories"].append({"id": 5, "name": "dog"})
    dataset["annotations"][1]["category_id"] = 5
    truth = read_truth_file(write(tmp_path, dataset))
    truth.keep_classes(["dog"])
    assert [row.name for row in truth.categories] == ["dog"]
    assert boxes(truth, 0) == [list(rectangle(0, 1))]
    assert boxes(truth, 1) == []


def test_classes_that_a_model_does_not_know_are_left_out_and_named(tmp_path: Path) -> None:
    dataset = truth_json(1, objects=2)
    dataset["categories"].append({"id": 5, "name": "fork lift"})
    dataset["annotations"][1]["category_id"] = 5
    truth = read_truth_file(write(tmp_path, dataset))
    assert truth.keep_known_classes(["cat", "Person"]) == ["fork lift"]
    assert boxes(truth, 0) == [list(rectangle(0, 0))]
    with pytest.raises(DataError, match="no class 'cat'; it has person"):
        truth.keep_classes(["cat"])
    with pytest.raises(DataError, match="share no class name"):
        truth.keep_known_classes(["cat"])


def spoil_twice(dataset: dict[str, Any]) -> None:
    dataset["images"][1]["stamp_ns"] = dataset["images"][0]["stamp_ns"]


def spoil_images(dataset: dict[str, Any]) -> None:
    dataset["images"] = []


def spoil_categories(dataset: dict[str, Any]) -> None:
    dataset["categories"] = []


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (spoil_twice, "have the stamp of another"),
        (spoil_images, "no frame"),
        (spoil_categories, "no category"),
    ],
)
def test_wrong_files_are_one_clear_error(tmp_path: Path, spoil: Any, expected: str) -> None:
    dataset = truth_json(3)
    spoil(dataset)
    with pytest.raises(DataError, match=expected) as error:
        read_truth_file(write(tmp_path, dataset))
    assert "truth.json" in str(error.value)


def test_what_cannot_be_used_is_counted_and_the_rest_is_the_truth(tmp_path: Path) -> None:
    dataset = truth_json(3)
    del dataset["images"][1]["height"]
    dataset["annotations"][2]["segmentation"] = {"size": [3, 3], "counts": [9]}
    truth = read_truth_file(write(tmp_path, dataset))
    assert boxes(truth, 1) is None
    assert boxes(truth, 2) == [list(rectangle(2))]
    assert truth.defects.to_dict()["left_out"] == {
        "image of unknown size: neither it, nor its file, nor an RLE tells it": {
            "count": 1, "examples": ["image 2 1.png"],
        },
        "annotation of an image that is not listed or was left out": {
            "count": 1, "examples": ["annotation 2: image 2"],
        },
    }  # fmt: skip
    assert "[3, 3] belongs to an image of" in truth.defects.report()


def test_an_image_that_is_left_out_moves_no_other_to_its_frame(tmp_path: Path) -> None:
    dataset = with_keys([{}, {}, {}])
    del dataset["images"][1]["height"]
    truth = read_truth_file(write(tmp_path, dataset))
    assert truth.key == "index"
    assert boxes(truth, 1) is None
    assert boxes(truth, 2) == [list(rectangle(2))]


@pytest.mark.parametrize(
    "stamp", [float("nan"), float("inf"), 1e300, {"sec": "soon"}, {"sec": None}, [1], "never"]
)
def test_a_stamp_that_is_none_leaves_the_order_of_the_file(tmp_path: Path, stamp: Any) -> None:
    keys = [{"stamp": stamp}, {"stamp": stamp}]
    truth = read_truth_file(write(tmp_path, with_keys(keys)))
    assert truth.key == "index"
    assert boxes(truth, 1) == [list(rectangle(1))]


def test_boxes_alone_are_a_truth_without_masks(tmp_path: Path) -> None:
    dataset = truth_json(2)
    for row in dataset["annotations"]:
        row["segmentation"] = []
        del row["area"]
    truth = read_truth_file(write(tmp_path, dataset))
    assert not truth.has_masks
    assert boxes(truth, 1) == [list(rectangle(1))]


def test_a_demanded_key_that_is_missing_names_the_image(tmp_path: Path) -> None:
    path = write(tmp_path, with_keys([{"index": 0}, {"file_name": "b.png"}]))
    with pytest.raises(DataError, match=r"'b.png' has no index"):
        read_truth_file(path, "index")


def test_truth_from_a_topic_is_that_of_the_file(tmp_path: Path) -> None:
    bag_path = write_bag(tmp_path / "b", image_messages(3, 2) + truth_messages(3, 2))
    from_file = read_truth_file(write(tmp_path, truth_json(3, 2)))
    with Bag(bag_path) as bag:
        from_topic = read_truth_topic(bag, TRUTH_TOPIC, bag.problems)
    assert from_topic.categories == [CocoCategory(1, "person")]
    for index in range(3):
        ours = from_topic.of_frame(index, stamp_ns(index))
        theirs = from_file.of_frame(index, stamp_ns(index))
        assert ours is not None
        assert theirs is not None
        for row, expected in zip(ours.instances, theirs.instances, strict=True):
            assert row.bbox_xywh == pytest.approx(expected.bbox_xywh)
            assert row.counts == expected.counts
            assert not row.is_crowd


def test_a_truth_instance_of_score_zero_is_a_crowd(tmp_path: Path) -> None:
    content = instance_message(0, [box_instance((5, 5, 30, 30), score=0.0)])
    bag_path = write_bag(tmp_path / "b", [(TRUTH_TOPIC, INSTANCE_ARRAY, stamp_ns(0), content)])
    with Bag(bag_path) as bag:
        frame = read_truth_topic(bag, TRUTH_TOPIC, bag.problems).of_frame(0, stamp_ns(0))
    assert frame is not None
    assert frame.instances[0].is_crowd


def test_an_unreadable_truth_message_is_listed_and_the_others_are_used(tmp_path: Path) -> None:
    messages = truth_messages(3)
    topic, kind, time, data = messages[1]
    messages[1] = (topic, kind, time, data[: len(data) // 2])
    with Bag(write_bag(tmp_path / "b", messages)) as bag:
        truth = read_truth_topic(bag, TRUTH_TOPIC, bag.problems)
        assert [boxes(truth, i) is None for i in range(3)] == [False, True, False]
        assert bag.problems.counts == {"unreadable truth": 1}
        assert "/truth message 1" in bag.problems.examples[0]["place"]


def test_a_topic_that_is_no_truth_lists_those_that_are(tmp_path: Path) -> None:
    path = write_bag(tmp_path / "b", image_messages(1) + truth_messages(1))
    with Bag(path) as bag, pytest.raises(DataError, match=r"no topic /nothing .*it has /truth"):
        read_truth_topic(bag, "/nothing", bag.problems)


def test_stamps_as_floating_point_seconds_are_found_within_a_microsecond() -> None:
    frame = FrameInstances(2, 2, ())
    truth = Truth("stamp", [CocoCategory(1, "a")], [(1_700_000_000_123_456_512, frame)])
    assert truth.of_frame(0, 1_700_000_000_123_456_789) is not None
    assert truth.of_frame(0, 1_700_000_000_123_467_000) is None
