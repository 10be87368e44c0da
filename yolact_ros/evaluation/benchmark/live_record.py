"""What a subscriber noted of a running node's results, and whether the reports tell the truth."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from yolact_ros.errors import DataError
from yolact_ros.inference.quality.levels import Degradation

__all__ = [
    "CONNECTED",
    "FIRST_RESULT",
    "FrameAccount",
    "LiveSummary",
    "ResultRecord",
    "find_untruths",
    "read_records",
    "summarise",
    "to_line",
]

CONNECTED = "connected"
"""The line that a subscriber prints when the node's results can reach it."""
FIRST_RESULT = "first result"
"""The line that it prints when it has one."""

# What float32 fields and two clocks of one machine may differ by.
TOLERANCE_MS = 1.0
ROUNDING_MS = 1e-3
# Dropped after the last result, so that no message could say so: one that was replaced, and one
# that skipped to a frame that never came.
MOST_UNREPORTED = 2


@dataclass(frozen=True)
class ResultRecord:
    """One result message; times as in FrameReport.

    Attributes:
        stamp_ns: of the image.
        received_ns: when the subscriber had it, same clock.
        instances, masks: found, and how many of them have a mask.
    """

    stamp_ns: int
    received_ns: int
    budget_ms: float
    image_age_ms: float
    wait_ms: float
    preprocess_ms: float
    inference_ms: float
    postprocess_ms: float
    total_ms: float
    frames_dropped: int
    deadline_met: bool
    input_size: int
    degradation: int
    instances: int
    masks: int

    @property
    def latency_ms(self) -> float:
        """From the image's stamp to the subscriber."""
        return (self.received_ns - self.stamp_ns) / 1e6


@dataclass(frozen=True)
class FrameAccount:
    """The node's own counters, from its diagnostics.

    Attributes:
        received, published: images and results.
        replaced, skipped: dropped for newer images; what ``frames_dropped`` reports.
        otherwise_dropped: for all other causes together.
    """

    received: int
    published: int
    replaced: int
    skipped: int
    otherwise_dropped: int


@dataclass(frozen=True)
class LiveSummary:
    """Figures of one run; percentiles of the latency in ms as (p50, p95, p99).

    Attributes:
        results: messages.
        missed: those later than ``deadline_ms``.
        full_quality: those that gave nothing up.
        dropped: frames that newer ones replaced or that skipped.
        rate_hz: results a second.
        node_ms: from reception to publication.
        latency_ms: from stamp to subscriber.
    """

    results: int
    missed: int
    full_quality: int
    dropped: int
    rate_hz: float
    node_ms: tuple[float, float, float]
    latency_ms: tuple[float, float, float]


def to_line(record: ResultRecord) -> str:
    """One line of JSON; :func:`read_records` is the inverse."""
    return json.dumps(asdict(record))


def read_records(path: Path) -> list[ResultRecord]:
    """All complete lines of a file.

    Raises:
        DataError: it is missing, or a line but the last is not a record.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    names = {field.name for field in fields(ResultRecord)}
    records = []
    for number, line in enumerate(lines[:-1], 1):
        try:
            values = json.loads(line)
        except ValueError as error:
            raise DataError(f"{path}: line {number} is not JSON") from error
        if not isinstance(values, dict) or set(values) != names:
            raise DataError(f"{path}: line {number} is not the record of a result")
        records.append(ResultRecord(**values))
    return records


def summarise(records: Sequence[ResultRecord], deadline_ms: float) -> LiveSummary:
    """Figures of at least one record, all held to ``deadline_ms`` (0: to their own budget)."""
    missed = [
        record.total_ms > deadline_ms if deadline_ms else not record.deadline_met
        for record in records
    ]
    span_s = (records[-1].received_ns - records[0].received_ns) / 1e9
    return LiveSummary(
        results=len(records),
        missed=sum(missed),
        full_quality=sum(record.degradation == 0 for record in records),
        dropped=sum(record.frames_dropped for record in records),
        rate_hz=(len(records) - 1) / span_s if span_s > 0 else 0.0,
        node_ms=_percentiles(record.total_ms for record in records),
        latency_ms=_percentiles(record.latency_ms for record in records),
    )


def find_untruths(
    records: Sequence[ResultRecord], *, best_input_px: int, account: FrameAccount | None = None
) -> list[str]:
    """What the reports say that cannot be; empty if they agree with each other and the world.

    Args:
        records: of one camera, in the order of arrival, from the node's first result on.
        best_input_px: input size of the best quality level.
        account: every frame received must be in it, and those dropped for newer ones in the
            reports; None leaves this out.
    """
    wrong: list[str] = []
    for index, record in enumerate(records):
        wrong += [f"result {index}: {text}" for text in _untruths_of(record, best_input_px)]
        if index and record.stamp_ns <= records[index - 1].stamp_ns:
            wrong.append(f"result {index}: its image is not newer than the one before")
    if account is not None:
        reported = sum(record.frames_dropped for record in records)
        wrong += _wrong_in_account(account, len(records), reported)
    return wrong


def _wrong_in_account(account: FrameAccount, results: int, reported: int) -> Iterable[str]:
    if account.published != results:
        yield f"the node published {account.published} results, {results} arrived"
    dropped = account.replaced + account.skipped
    accounted = account.published + dropped + account.otherwise_dropped
    if accounted != account.received:
        yield f"the node received {account.received} frames and accounts for {accounted}"
    if not 0 <= dropped - reported <= MOST_UNREPORTED:
        yield f"{dropped} frames were dropped for newer ones, {reported} are reported"


def _untruths_of(record: ResultRecord, best_input_px: int) -> Iterable[str]:
    over_ms = record.total_ms - record.budget_ms
    late = record.budget_ms > 0.0 and over_ms > 0.0
    if abs(over_ms) > ROUNDING_MS and record.deadline_met == late:
        yield (
            f"deadline_met is {record.deadline_met} with {record.total_ms:.3f} ms of "
            f"{record.budget_ms:.3f} ms"
        )
    given_up = Degradation(record.degradation)
    if (Degradation.INPUT in given_up) != (record.input_size < best_input_px):
        yield f"degradation is {given_up!r} with an input of {record.input_size} px"
    if record.instances and (Degradation.BOXES in given_up) != (record.masks == 0):
        yield f"degradation is {given_up!r} with {record.masks} masks"
    stages_ms = record.wait_ms + record.preprocess_ms + record.inference_ms + record.postprocess_ms
    if stages_ms > record.total_ms + TOLERANCE_MS:
        yield f"its stages take {stages_ms:.1f} ms, the whole {record.total_ms:.1f} ms"
    reported_ms = record.image_age_ms + record.total_ms
    if reported_ms > record.latency_ms + TOLERANCE_MS:
        yield (
            f"age and total are {reported_ms:.1f} ms, but it arrived "
            f"{record.latency_ms:.1f} ms after its stamp"
        )


def _percentiles(values: Iterable[float]) -> tuple[float, float, float]:
    p50, p95, p99 = np.percentile(list(values), (50, 95, 99)).tolist()
    return p50, p95, p99
