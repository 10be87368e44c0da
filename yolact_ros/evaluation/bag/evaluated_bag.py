"""The evaluation of one bag, once the network has run: its numbers, tables and report."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

from yolact_ros.errors import DataError
from yolact_ros.evaluation.bag.frame import PROCESSED, UNREADABLE, FrameInstances, FrameRecord
from yolact_ros.evaluation.bag.options import EvaluationOptions
from yolact_ros.evaluation.bag.reading.location import without_secrets
from yolact_ros.evaluation.bag.reading.storage import Bag
from yolact_ros.evaluation.bag.report.report import render_report
from yolact_ros.evaluation.bag.report.worst_frames import WorstFrame, worst_frames, worst_pictures
from yolact_ros.evaluation.bag.scoring.metrics import measure
from yolact_ros.evaluation.bag.scoring.score import ACCURACY, BagScore, FrameResult, Scorer
from yolact_ros.evaluation.bag.scoring.tables import FrameTable, InstanceRows, frames_to_arrow
from yolact_ros.evaluation.bag.scoring.tracks import follow_records, measured_tracks
from yolact_ros.evaluation.bag.truth.open_truth import open_truth
from yolact_ros.evaluation.bag.truth.truth import Truth
from yolact_ros.evaluation.bag.units.records import FrameRecords
from yolact_ros.evaluation.bag.units.task import BagTask
from yolact_ros.evaluation.benchmark.machine import describe_environment

__all__ = ["EvaluatedBag", "Source", "available_results", "evaluate_bag", "mode_of", "tracking_of"]

PERIOD_FRAMES = 200

Source = Mapping[str, Any]
"""What is evaluated: ``model``, a name for people, and what else decides the result."""


@dataclass(frozen=True)
class EvaluatedBag:
    """A finished evaluation of one bag.

    Attributes:
        metrics: content of its metrics.json.
        score: what is behind it.
        frames, instances: Arrow tables; None once they are written.
        report: HTML document; likewise empty.
        worst: frames, with their pictures; likewise empty.
    """

    task: BagTask
    metrics: Mapping[str, Any]
    score: BagScore
    frames: Any = None
    instances: Any = None
    report: str = ""
    worst: Sequence[WorstFrame] = ()


def evaluate_bag(
    recorded: tuple[BagTask, Sequence[Path | bytes]],
    source: Source,
    *,
    is_alone: bool,
    told: Callable[[int], None] | None = None,
) -> EvaluatedBag:
    """Score a bag's records.

    Args:
        recorded: the bag, and the files of its units in order, as paths or content.
        source: of the results.
        is_alone: its truth covers no other bag.
        told: of frames done.

    Raises:
        DataError: nothing in it can be scored, or the truth cannot be used.
    """
    task, files = recorded
    options = task.options
    records = FrameRecords(files)
    problems = records.problems
    rows = InstanceRows(task.name)
    truth = open_truth(
        task.source,
        problems,
        key=options.truth_key,
        classes=options.classes,
        model_classes=[] if options.all_classes else source.get("class_names", []),
    )
    period_ms = frame_period_ms(record.log_time_ns for record in islice(records, PERIOD_FRAMES))
    with Bag(task.source.path) as images:
        wanted = _followed(task, records, images)
        rate = options.replay.rate if options.replay is not None else 1.0
        results = (
            available_results(wanted, period_ms / rate)
            if options.is_timed
            else own_results(wanted)
        )
        score = Scorer(task, truth, problems, rows).run(
            results, told or (lambda _: None), report_unused=is_alone and not options.limit
        )
        _require_frames(score, task.topic)
        worst = worst_frames(score.frames, options.num_worst)
        if task.has_images:
            worst = _with_pictures(task, images, records, score.frames, truth, worst)
    rate_hz = 1000.0 / period_ms if period_ms else 0.0
    duration_s = float(score.frames["time_s"].max())
    mode = mode_of(options)
    metrics = {
        "title": f"Evaluation of {task.source.path.name}",
        "subtitle": f"{source.get('model', '')}, {mode}; {task.topic}, {len(score.frames)} frames "
        f"in {duration_s:.1f} s ({rate_hz:.3g} Hz)",
        "mode": mode,
        "budget_ms": options.replay.budget_ms if options.replay else 0.0,
        "bag": {
            "name": task.source.path.name,
            "path": str(task.source.path),
            "topic": task.topic,
            "duration_s": round(duration_s, 3),
            "rate_hz": round(rate_hz, 3),
            "truth": without_secrets(task.source.truth),
            "tags": dict(task.source.tags),
        },
        "source": source,
        **measure(score, options.operating_threshold),
        **tracking_of(options, [score]),
        "problems": score.problems.to_dict(),
        "worst_frames": [{"index": frame.index, "caption": frame.caption} for frame in worst],
        "command": options.command,
        "environment": dict(describe_environment(str(source.get("device", "recorded")))),
        "settings": _settings(options, source),
    }
    report = render_report(metrics, score.frames, worst)
    matches = score.verdicts[ACCURACY].tables if score.verdicts else {}
    instances = rows.table(matches, score.categories)
    frames = frames_to_arrow(score.frames, task.name)
    return EvaluatedBag(task, metrics, score, frames, instances, report, worst)


def _followed(task: BagTask, records: FrameRecords, images: Bag) -> Iterator[FrameRecord]:
    """The records, with ids by the tracker that is to follow them afterwards."""
    options = task.options
    if options.tracker is None or options.replay is not None:
        return iter(records)
    if options.tracker.uses_camera_motion and not task.has_images:
        raise DataError(
            f"{options.tracker.name} looks at the images, which this bag does not have; use "
            "bytetrack or ocsort"
        )
    return follow_records(
        records, options.tracker, options.operating_threshold, (images, task.topic)
    )


def tracking_of(options: EvaluationOptions, scores: Sequence[BagScore]) -> dict[str, Any]:
    """The part of the metrics about tracks."""
    collectors = [score.tracks for score in scores if score.tracks is not None]
    if not collectors:
        return {}
    name = "recorded" if options.tracker is None else options.tracker.name
    return {"tracking": {"tracker": name, **measured_tracks(collectors)}}


def _require_frames(score: BagScore, topic: str) -> None:
    """Numbers about no frame at all would look like a model that finds nothing."""
    if not score.statuses:
        raise DataError(f"{topic} has no message")
    if set(score.statuses) == {UNREADABLE}:
        first = next(p for p in score.problems.examples if p["kind"] == f"{UNREADABLE} frame")
        raise DataError(
            f"not one of the {score.statuses[UNREADABLE]} images of {topic} can be decoded; the "
            f"first: {first['reason']}"
        )


def _with_pictures(
    task: BagTask,
    images: Bag,
    records: FrameRecords,
    frames: FrameTable,
    truth: Truth | None,
    worst: Sequence[WorstFrame],
) -> list[WorstFrame]:
    wanted: dict[int, tuple[FrameRecord | None, FrameInstances | None]] = {}
    for frame in worst:
        row = frames[frame.index]
        available = int(row["result_index"])
        wanted[frame.index] = (
            records.read(available) if available >= 0 else None,
            truth.of_frame(frame.index, int(row["stamp_ns"])) if truth is not None else None,
        )
    pictures = worst_pictures(images, task.topic, wanted, task.options.operating_threshold)
    return [replace(frame, picture=pictures.get(frame.index, "")) for frame in worst]


def mode_of(options: EvaluationOptions) -> str:
    """How the results came about, for people."""
    if options.predictions is not None:
        return "recorded results"
    if options.replay is None:
        return "every frame"
    replay = options.replay
    load = f", {replay.load} competing processes" if replay.load else ""
    budget = f"budget {replay.budget_ms:g} ms" if replay.budget_ms else "no budget"
    return f"real time at rate {replay.rate:g}, {budget}{load}"


def _settings(options: EvaluationOptions, source: Source) -> dict[str, Any]:
    tracker = options.tracker
    default_classes = "all" if options.all_classes else "those the model knows"
    return {
        **{key: value for key, value in source.items() if not isinstance(value, dict | list)},
        "operating_threshold": options.operating_threshold,
        **(
            {}
            if tracker is None
            else {"tracker": tracker.name, "track_buffer_ms": tracker.buffer_ms}
        ),
        "truth": without_secrets(options.bags[0].truth) or "none",
        "classes": ", ".join(options.classes) or default_classes,
        **({} if options.replay is None else asdict(options.replay)),
    }


def own_results(records: Iterable[FrameRecord]) -> Iterator[FrameResult]:
    """Every frame counts by its own result, however long it took."""
    return ((record, record if record.status == PROCESSED else None) for record in records)


def available_results(records: Iterable[FrameRecord], period_ms: float) -> Iterator[FrameResult]:
    """Every frame counts by what the consumer had when its result was due.

    That is the newest result, of this frame or one before, published no later than the frame's
    reception plus the budget; without a budget, no later than one frame period after it. A late
    or dropped frame is so scored by an older result, as streaming perception is (Li, Wang and
    Ramanan, "Towards Streaming Perception", 2020).

    Args:
        records: with ``timing`` where processed; a dropped frame has its reception there.
        period_ms: of the camera.
    """
    waiting: deque[tuple[float, FrameRecord]] = deque()
    available: FrameRecord | None = None
    for record in records:
        if timing := record.timing:
            if record.status == PROCESSED:
                waiting.append((timing.published_ms, record))
            due_ms = timing.received_ms + (timing.budget_ms or period_ms)
            while waiting and waiting[0][0] <= due_ms:
                available = waiting.popleft()[1]
        yield record, available


def frame_period_ms(log_times_ns: Iterable[int]) -> float:
    """Median time between two frames in milliseconds; 0 for fewer than two."""
    gaps = sorted(later - earlier for earlier, later in pairwise(log_times_ns))
    return gaps[len(gaps) // 2] / 1e6 if gaps else 0.0
