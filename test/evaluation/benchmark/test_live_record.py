"""Records of a running node's results: figures, and finding out that a report lies."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from yolact_ros.errors import DataError
from yolact_ros.evaluation.benchmark.live_record import (
    FrameAccount,
    ResultRecord,
    find_untruths,
    read_records,
    summarise,
    to_line,
)
from yolact_ros.evaluation.benchmark.tables import LIVE_COLUMNS, live_cells

MS = 1_000_000


def record(index: int = 0, **changes) -> ResultRecord:
    """A result of a 30 Hz camera that took 20 of 33.3 ms, and 2 ms on either way."""
    stamp_ns = 1_700_000_000_000_000_000 + index * 33 * MS
    truth = ResultRecord(
        stamp_ns=stamp_ns,
        received_ns=stamp_ns + 24 * MS,
        budget_ms=33.3,
        image_age_ms=2.0,
        wait_ms=1.0,
        preprocess_ms=2.0,
        inference_ms=14.0,
        postprocess_ms=2.0,
        total_ms=20.0,
        frames_dropped=0,
        deadline_met=True,
        input_size=320,
        degradation=0,
        instances=3,
        masks=3,
    )
    return replace(truth, **changes)


def test_records_survive_the_file_and_an_unfinished_last_line_is_left(tmp_path):
    written = [record(0), record(1, frames_dropped=2)]
    path = tmp_path / "records.jsonl"
    path.write_text("".join(to_line(one) + "\n" for one in written) + '{"stamp_ns": 17')
    assert read_records(path) == written


@pytest.mark.parametrize(
    ("text", "words"),
    [("{]\n", "line 1 is not JSON"), ('{"stamp_ns": 1}\n', "line 1 is not the record")],
)
def test_a_file_with_something_else_is_refused(tmp_path, text, words):
    (tmp_path / "records.jsonl").write_text(text)
    with pytest.raises(DataError, match=words):
        read_records(tmp_path / "records.jsonl")


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match=r"records\.jsonl: cannot be read"):
        read_records(tmp_path / "records.jsonl")


def test_true_reports_are_believed():
    truth = [
        record(0),
        record(1, frames_dropped=1, input_size=192, degradation=1),
        record(2, total_ms=40.0, deadline_met=False, received_ns=record(2).stamp_ns + 44 * MS),
        record(3, budget_ms=0.0, total_ms=18.999),
        record(4, degradation=9, input_size=192, masks=0),
        record(5, degradation=8, instances=0, masks=0),
    ]
    # Of eight frames one was dropped before the second result, one after the last.
    account = FrameAccount(received=8, published=6, replaced=1, skipped=1, otherwise_dropped=0)
    assert find_untruths(truth, best_input_px=320, account=account) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"deadline_met": False}, "deadline_met is False with 20.000 ms of 33.300"),
        ({"budget_ms": 19.0}, "deadline_met is True with 20.000 ms of 19.000"),
        ({"input_size": 192}, "degradation is .* with an input of 192"),
        ({"degradation": 1}, "degradation is .* with an input of 320"),
        ({"masks": 0}, "degradation is .* with 0 masks"),
        ({"degradation": 8}, "degradation is .* with 3 masks"),
        ({"inference_ms": 30.0}, r"stages take 35\.0 ms, the whole 20\.0"),
        ({"image_age_ms": 30.0}, r"age and total are 50\.0 ms, but it arrived 24\.0"),
        ({"stamp_ns": record(0).stamp_ns}, "not newer than the one before"),
        ({"frames_dropped": 1}, "0 frames were dropped for newer ones, 1 are reported"),
    ],
)
def test_a_report_that_lies_is_found_out(changes, words):
    records = [record(0), record(1, **changes)]
    found = find_untruths(records, best_input_px=320, account=FrameAccount(2, 2, 0, 0, 0))
    assert len(found) >= 1
    assert any(re.search(words, text) for text in found), found


@pytest.mark.parametrize(
    ("account", "words"),
    [
        (FrameAccount(1, 1, 0, 0, 0), []),
        (FrameAccount(6, 1, 0, 2, 3), []),
        (FrameAccount(5, 1, 0, 0, 0), ["received 5 frames and accounts for 1"]),
        (FrameAccount(2, 2, 0, 0, 0), ["published 2 results, 1 arrived"]),
        (FrameAccount(4, 1, 3, 0, 0), ["3 frames were dropped for newer ones, 0 are reported"]),
    ],
)
def test_frames_that_vanish_are_noticed(account, words):
    found = find_untruths([record(0)], best_input_px=320, account=account)
    assert len(found) == len(words)
    assert all(word in text for word, text in zip(words, found, strict=True))


def test_figures_are_held_to_one_deadline_or_to_the_nodes_own():
    records = [
        record(index, total_ms=float(total_ms), frames_dropped=index % 2, deadline_met=index < 9)
        for index, total_ms in enumerate(range(10, 110, 10))
    ]
    summary = summarise(records, 55.0)
    assert (summary.results, summary.missed, summary.dropped) == (10, 5, 5)
    assert summary.full_quality == 10
    assert summary.rate_hz == pytest.approx(1000 / 33)
    assert summary.node_ms == pytest.approx((55.0, 95.5, 99.1))
    assert summary.latency_ms[0] == pytest.approx(24.0)
    assert summarise(records, 0.0).missed == 1


def test_every_column_has_its_cell():
    cells = live_cells(summarise([record(0), record(1, degradation=1)], 15.0))
    assert len(cells) == len(LIVE_COLUMNS)
    assert cells[:4] == ["2", "2 (100.0 %)", "50 %", "0"]
    assert cells[5] == "20.0 / 20.0 / 20.0"
