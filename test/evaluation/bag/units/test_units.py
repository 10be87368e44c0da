"""Bags are cut into units of work; whoever does them in whatever order, the result is the same."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bag_samples import (
    IMAGE_TOPIC,
    TRUTH_TOPIC,
    ShapeSource,
    image_messages,
    mono16_message,
    sources,
    stamp_ns,
    truth_messages,
    write_bag,
)
from work_samples import kill_or_double, refuse

from yolact_ros.errors import DataError, WorkerError
from yolact_ros.evaluation.bag.evaluate import evaluate_bags
from yolact_ros.evaluation.bag.options import EvaluationOptions
from yolact_ros.evaluation.bag.reading.image_topic import image_frames
from yolact_ros.evaluation.bag.reading.messages import IMAGE, Segment
from yolact_ros.evaluation.bag.reading.storage import Bag
from yolact_ros.evaluation.bag.report.result_folder import ResultFolder
from yolact_ros.evaluation.bag.scoring.tables import INSTANCE_COLUMNS, read_table
from yolact_ros.evaluation.bag.units.executor import Failure, LocalExecutor
from yolact_ros.evaluation.bag.units.records import FrameRecords, unit_files
from yolact_ros.evaluation.bag.units.task import cut

NUM_FRAMES = 160


class Silent:
    def start(self, title: str, total: int | None) -> Callable[[int], None]:
        return lambda count: None


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    messages = image_messages(NUM_FRAMES, 2) + truth_messages(NUM_FRAMES, 2)
    return write_bag(tmp_path_factory.mktemp("bags") / "drive", messages)


def evaluate(
    output: Path, *bags: Path, truth: str = TRUTH_TOPIC, **changes: Any
) -> dict[str, Any]:
    settings = {"source": ShapeSource(shift_px=3), "bags": sources(*bags, truth=truth), **changes}
    return dict(evaluate_bags(EvaluationOptions(output=output, **settings), Silent()))


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_the_segments_of_a_bag_are_the_bag(tmp_path: Path, storage: str) -> None:
    path = write_bag(tmp_path / "b", image_messages(NUM_FRAMES), storage=storage)
    with Bag(path) as bag:
        segments = cut(bag.time_range_ns, NUM_FRAMES)
        assert len(segments) == NUM_FRAMES // 50
        parts = [
            frame.stamp_ns for part in segments for frame in image_frames(bag, IMAGE_TOPIC, part)
        ]
        assert parts == [frame.stamp_ns for frame in image_frames(bag, IMAGE_TOPIC)]


def test_a_short_bag_and_one_of_unknown_length_are_not_cut() -> None:
    assert cut((0, 10), 99) == (Segment(),)
    assert cut(None, 1000) == (Segment(),)
    assert cut((0, 10), None) == (Segment(),)
    assert len(cut((0, 10**9), 10**6)) == 100


def test_pixels_of_16_bits_look_alike_in_every_segment(tmp_path: Path) -> None:
    messages = []
    for index in range(120):
        image = np.full((64, 96), 3000 if index == 5 else 90, np.uint16)
        data = mono16_message(image, stamp_ns(index))
        messages.append((IMAGE_TOPIC, IMAGE, stamp_ns(index), data))
    with Bag(write_bag(tmp_path / "b", messages)) as bag:
        whole = [frame.bits for frame in image_frames(bag, IMAGE_TOPIC)]
        late = image_frames(bag, IMAGE_TOPIC, Segment(start_ns=stamp_ns(60)))
        assert [frame.bits for frame in late] == whole[60:] == [12] * 60


def test_a_bag_that_is_damaged_inside_is_read_as_a_whole(bag: Path, tmp_path: Path) -> None:
    damaged = write_bag(
        tmp_path / "b", image_messages(NUM_FRAMES) + truth_messages(NUM_FRAMES), storage="sqlite3"
    )
    file = next(damaged.glob("*.db3"))
    with file.open("r+b") as stream:
        stream.seek(file.stat().st_size // 2)
        stream.write(b"\xff" * 40_000)
    metrics = evaluate(tmp_path / "out", damaged, truth="")
    assert len(unit_files(tmp_path / "out")) == 1
    with Bag(damaged) as whole:
        stamps = [frame.stamp_ns for frame in image_frames(whole, IMAGE_TOPIC)]
    assert 0 < len(stamps) < NUM_FRAMES
    records = FrameRecords(unit_files(tmp_path / "out"))
    assert [record.stamp_ns for record in records] == stamps
    assert metrics["problems"]["counts"] == whole.problems.to_dict()["counts"]
    # Started again, it is not read again.
    file.with_name("x").touch()
    before = unit_files(tmp_path / "out")[0].stat().st_mtime_ns
    assert evaluate(tmp_path / "out", damaged, truth="")["frames"] == metrics["frames"]
    assert unit_files(tmp_path / "out")[0].stat().st_mtime_ns == before


def test_a_bag_that_cannot_be_evaluated_is_named_and_the_rest_goes_on(
    bag: Path, tmp_path: Path
) -> None:
    junk = tmp_path / "junk.mcap"
    junk.write_bytes(b"nothing")
    metrics = evaluate(tmp_path / "out", bag, junk, tmp_path / "gone.mcap")
    assert metrics["bags"] == ["drive"]
    failed = {row["bag"]: row["reason"] for row in metrics["bags_failed"]}
    assert "not an MCAP file" in failed["junk"]
    assert "gone.mcap: no such bag" in failed["gone"]
    with pytest.raises(DataError, match=r"junk\.mcap.* \(1 other bags failed too\)"):
        evaluate(tmp_path / "none", junk, tmp_path / "gone.mcap")


def test_the_tables_say_of_which_bag_a_row_is(bag: Path, tmp_path: Path) -> None:
    night = write_bag(tmp_path / "night", image_messages(4) + truth_messages(4))
    metrics = evaluate(tmp_path / "out", night, bag)
    folder = ResultFolder(tmp_path / "out")
    assert folder.bags == ["night"] * 4 + ["drive"] * NUM_FRAMES
    assert folder.frames["index"].tolist() == [*range(4), *range(NUM_FRAMES)]
    rows = read_table(tmp_path / "out" / "instances.parquet", INSTANCE_COLUMNS).to_pylist()
    last = [row for row in rows if row["bag"] == "night" and row["index"] == 3]
    assert [row["is_truth"] for row in last] == [False, True]
    # 27 of 33 pixels: right at the thresholds 0.50 to 0.80.
    assert last[0]["segm_matched"] == 0b1111111
    assert last[0]["segm_iou"] == pytest.approx(27 / 33)
    assert last[1]["segm_matched"] is None
    found = metrics["accuracy"]["segm"]["operating_point"]
    assert sum(row["is_truth"] for row in rows) == found["objects"]
    assert sum(bool(row["segm_matched"] or 0) for row in rows) == found["right"]


def test_work_that_fails_is_a_failure_and_the_rest_is_done() -> None:
    with LocalExecutor(2) as executor:
        results = dict(executor.run(partial(refuse, unlucky=2), range(4)))
    assert results == {0: 0, 1: 1, 2: Failure("ValueError: unlucky"), 3: 3}


def test_a_process_that_dies_ends_the_work_with_its_reason() -> None:
    with (
        pytest.raises(WorkerError, match="evaluates bags was killed by SIGKILL"),
        LocalExecutor(2) as executor,
    ):
        dict(executor.run(kill_or_double, range(6)))
