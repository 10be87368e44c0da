"""Real time: what is dropped, late or given up, and what the robot had instead."""

from __future__ import annotations

import re
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bag_samples import (
    IMAGE_TOPIC,
    TRUTH_TOPIC,
    ShapeSource,
    box_instance,
    frame_bgr,
    image_message,
    instance_message,
    rectangle,
    sources,
    stamp_ns,
    write_bag,
)

from yolact_ros.errors import ConfigError, DataError
from yolact_ros.evaluation.bag.evaluate import evaluate_bags
from yolact_ros.evaluation.bag.evaluated_bag import available_results
from yolact_ros.evaluation.bag.frame import DROPPED, PROCESSED, FrameRecord, FrameTiming
from yolact_ros.evaluation.bag.options import EvaluationOptions, ReplayOptions
from yolact_ros.evaluation.bag.reading.messages import IMAGE, INSTANCE_ARRAY
from yolact_ros.evaluation.bag.report.result_folder import ResultFolder
from yolact_ros.evaluation.bag.units.competing_load import competing_load

NUM_FRAMES = 20
PERIOD_NS = 50_000_000


class Silent:
    def start(self, title: str, total: int | None) -> Callable[[int], None]:
        return lambda count: None


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 frames at 20 Hz; the truth is stamped like the images, which are 100 ms apart."""
    messages = []
    for index in range(NUM_FRAMES):
        log_time_ns = stamp_ns(0) + index * PERIOD_NS
        image = image_message(frame_bgr(index), stamp_ns(index))
        truth = instance_message(index, [box_instance(rectangle(index))])
        messages.append((IMAGE_TOPIC, IMAGE, log_time_ns, image))
        messages.append((TRUTH_TOPIC, INSTANCE_ARRAY, log_time_ns, truth))
    return write_bag(tmp_path_factory.mktemp("bags") / "drive", messages)


def replay(bag: Path, output: Path, source: ShapeSource, **changes: Any) -> dict[str, Any]:
    options = EvaluationOptions(
        bags=sources(bag),
        output=output,
        source=source,
        replay=ReplayOptions(**changes),
    )
    return dict(evaluate_bags(options, Silent()))


def test_a_fast_network_meets_every_deadline_at_the_recorded_pace(
    bag: Path, tmp_path: Path
) -> None:
    # A frame takes a few milliseconds; the others are for a machine that is busy meanwhile.
    rate = 0.25
    begun_s = time.monotonic()
    metrics = replay(bag, tmp_path / "out", ShapeSource(), budget_ms=20_000.0, rate=rate)
    taken_s = time.monotonic() - begun_s
    assert taken_s > (NUM_FRAMES - 1) * PERIOD_NS / 1e9 / rate
    deadline = metrics["deadline"]
    assert deadline["frames_published"] + deadline["frames_dropped"] == NUM_FRAMES
    assert deadline["frames_published"] >= NUM_FRAMES // 2
    assert deadline["deadlines_missed"] == 0
    assert metrics["accuracy_of_processed_frames"]["segm"]["ap"] == 1.0
    assert 0 < metrics["latency_ms"]["total"]["p50"] < taken_s * 1e3


def test_a_slow_network_drops_frames_and_the_robot_sees_old_results(
    bag: Path, tmp_path: Path
) -> None:
    metrics = replay(bag, tmp_path / "out", ShapeSource(delay_ms=120.0), budget_ms=33.3)
    deadline = metrics["deadline"]
    assert metrics["frames"]["dropped"] >= NUM_FRAMES // 3
    assert deadline["miss_rate"] == 1.0
    assert deadline["frames_published"] + deadline["frames_dropped"] == NUM_FRAMES
    frames = ResultFolder(tmp_path / "out").frames
    # Nothing is ever in time: at best the result before the last is there.
    assert (frames["result_index"] < frames["index"]).all()
    own = metrics["accuracy_of_processed_frames"]["segm"]["ap"]
    assert own == 1.0
    assert metrics["accuracy"]["segm"]["ap"] < own


def test_with_levels_the_slow_network_gives_up_resolution_instead(
    bag: Path, tmp_path: Path
) -> None:
    metrics = replay(
        bag,
        tmp_path / "out",
        # At 64 px it takes 10 ms: most of the budget is for a machine that is busy meanwhile.
        ShapeSource(delay_ms=240.0),
        budget_ms=120.0,
        rate=0.4,
        input_sizes_px=(320, 64),
    )
    deadline = metrics["deadline"]
    assert deadline["input_sizes"]["64"] > 0.5
    assert deadline["degraded"]["smaller input"] > 0.5
    assert deadline["miss_rate"] < 0.5


def test_late_results_can_be_dropped(bag: Path, tmp_path: Path) -> None:
    metrics = replay(
        bag, tmp_path / "out", ShapeSource(delay_ms=80.0), budget_ms=20.0, overrun_policy="drop"
    )
    assert metrics["frames"]["dropped"] == NUM_FRAMES
    assert metrics["accuracy"]["segm"]["ap"] == 0.0


def test_twice_the_rate_takes_half_the_time_and_the_end_can_be_early(
    bag: Path, tmp_path: Path
) -> None:
    metrics = replay(bag, tmp_path / "out", ShapeSource(), rate=4.0, budget_ms=0.0)
    assert metrics["frames"]["total"] == NUM_FRAMES
    assert metrics["deadline"]["miss_rate"] is None
    received = ResultFolder(tmp_path / "out").frames
    assert len(received) == NUM_FRAMES


def test_a_replay_is_not_resumed(bag: Path, tmp_path: Path) -> None:
    replay(bag, tmp_path / "out", ShapeSource(), rate=20.0)
    with pytest.raises(DataError, match="cannot go on where it was"):
        replay(bag, tmp_path / "out", ShapeSource(), rate=20.0)


def test_the_competing_load_ends_with_the_block() -> None:
    with competing_load(2) as processes:
        assert all(process.poll() is None for process in processes)
    assert all(process.poll() is not None for process in processes)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_competing_load_leaves_ctrl_c_to_the_process_that_ends_it() -> None:
    with competing_load(1) as (process,):
        status = Path(f"/proc/{process.pid}/status").read_text()
        (blocked,) = re.findall(r"^SigBlk:\s*(\w+)$", status, re.MULTILINE)
        assert int(blocked, 16) & 1 << signal.SIGINT - 1


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"rate": 0.0}, "rate is 0"),
        ({"load": -1}, "load is -1"),
        ({"budget_ms": float("nan")}, "budget is nan"),
    ],
)
def test_impossible_replays_are_refused(changes: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        ReplayOptions(**changes)


def frame(index: int, received_ms: float, total_ms: float | None, budget_ms: float) -> FrameRecord:
    published_ms = received_ms + (total_ms or 0.0)
    timing = FrameTiming(received_ms, published_ms, 0, total_ms or 0, 0, budget_ms, True, 0, 64)
    status = DROPPED if total_ms is None else PROCESSED
    return FrameRecord(index, index, index, status=status, timing=timing)


@pytest.mark.parametrize(
    ("totals_ms", "budget_ms", "expected"),
    [
        ([10, 10, 10, 10], 33.0, [0, 1, 2, 3]),
        ([10, None, 10, 10], 33.0, [0, 0, 2, 3]),
        ([10, 60, None, 10], 33.0, [0, 0, 1, 3]),  # published at 100 + 60, due at 200 + 33
        ([None, 40, 10, None], 33.0, [-1, -1, 2, 2]),
        ([10, 90, 90, 90], 0.0, [0, 1, 2, 3]),  # without a budget a frame period counts
        ([10, 150, None, 90], 0.0, [0, 0, 1, 3]),
    ],
)
def test_the_consumer_has_the_newest_result_that_was_published_in_time(
    totals_ms: list[float | None], budget_ms: float, expected: list[int]
) -> None:
    records = [frame(i, 100.0 * i, total, budget_ms) for i, total in enumerate(totals_ms)]
    available = [result for _, result in available_results(records, period_ms=100.0)]
    assert [-1 if record is None else record.index for record in available] == expected
