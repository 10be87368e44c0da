"""The whole of ``yolact bag evaluate``: records, scores, numbers, report."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any, Protocol

from yolact_ros.errors import DataError
from yolact_ros.evaluation.bag.available_results import (
    available_results,
    frame_period_ms,
    own_results,
)
from yolact_ros.evaluation.bag.frame import UNREADABLE, FrameInstances, FrameRecord
from yolact_ros.evaluation.bag.frame_table import FrameTable
from yolact_ros.evaluation.bag.join import join_scores
from yolact_ros.evaluation.bag.metrics import measure
from yolact_ros.evaluation.bag.open_truth import open_truth
from yolact_ros.evaluation.bag.options import EvaluationOptions
from yolact_ros.evaluation.bag.problems import ProblemLog
from yolact_ros.evaluation.bag.process import process_bags
from yolact_ros.evaluation.bag.record_files import PATTERN, FrameRecords, RecordWriter
from yolact_ros.evaluation.bag.recorded import RecordedPredictions
from yolact_ros.evaluation.bag.report import render_report
from yolact_ros.evaluation.bag.result_folder import METRICS_FILE, ResultFolder
from yolact_ros.evaluation.bag.score import BagScore, Scorer
from yolact_ros.evaluation.bag.storage import Bag
from yolact_ros.evaluation.bag.task import BagTask, plan_tasks
from yolact_ros.evaluation.bag.tracks import follow_records, measured_tracks
from yolact_ros.evaluation.bag.truth import Truth
from yolact_ros.evaluation.bag.worst_frames import WorstFrame, worst_frames, worst_pictures
from yolact_ros.evaluation.benchmark.machine import describe_environment
from yolact_ros.evaluation.template import require_page_packages
from yolact_ros.evaluation.track_measures import require_track_eval

__all__ = ["Watcher", "evaluate_bags"]

PERIOD_FRAMES = 200
LEAST_FREE_BYTES = 50_000_000

Source = Mapping[str, Any]
"""What is evaluated: ``model``, a name for people, and what else decides the result."""


class Watcher(Protocol):
    """Is told how far the work is."""

    def start(self, title: str, total: int | None) -> Callable[[int], None]:
        """A new kind of work begins; the result is told of frames done."""


@dataclass(frozen=True)
class _EvaluatedBag:
    """A finished evaluation of one bag: content of its metrics.json, and what is behind it."""

    task: BagTask
    metrics: Mapping[str, Any]
    score: BagScore


def evaluate_bags(options: EvaluationOptions, watcher: Watcher) -> Mapping[str, Any]:
    """Evaluate bags and write the folder of results.

    Returns:
        the content of ``metrics.json``; of several bags that of all together.

    Raises:
        YolactError: a bag, the truth, the model or the output folder cannot be used, or the report
            cannot be written because a package is missing.
    """
    require_page_packages()
    if options.measure_tracks:
        require_track_eval()
    if options.source is not None:
        source: Source = dict(options.source.describe())
    else:
        assert options.predictions is not None
        source = {"model": f"recorded on {options.predictions.topic}"}
    real_time = None if options.replay is None else asdict(options.replay)
    tasks = plan_tasks(options, {"source": source, "real_time": real_time})
    _prepare_folders(options, tasks)
    _make_records(options, tasks, watcher)
    evaluated = []
    for task in tasks:
        try:
            evaluated.append(_evaluate_bag(options, task, source, watcher))
        except DataError as error:
            raise DataError(f"{task.bag}: {error}") from error
    if len(evaluated) == 1:
        return evaluated[0].metrics
    return _evaluate_together(options, evaluated, source)


def _prepare_folders(options: EvaluationOptions, tasks: Sequence[BagTask]) -> None:
    for task in tasks:
        there = list(task.folder.glob(PATTERN)) if task.folder.is_dir() else []
        if options.overwrite or (there and options.predictions is not None):
            for file in (*there, task.problems_file, task.folder / METRICS_FILE):
                file.unlink(missing_ok=True)
        elif there and options.replay is not None:
            raise DataError(
                f"{task.folder} holds a replay in real time, which cannot go on where it was; "
                "choose another --output, or --overwrite"
            )
        try:
            task.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(f"{task.folder}: cannot be written: {error.strerror}") from error
        free_bytes = shutil.disk_usage(task.folder).free
        if free_bytes < LEAST_FREE_BYTES:
            raise DataError(f"{task.folder}: only {free_bytes // 1_000_000} MB left on its disk")


def _make_records(options: EvaluationOptions, tasks: Sequence[BagTask], watcher: Watcher) -> None:
    if options.source is None:
        for task in tasks:
            told = watcher.start(f"{task.bag.name}, recorded results", task.num_frames)
            _record_predictions(options, task, told)
    elif options.replay is not None:
        from yolact_ros.evaluation.bag.replay import replay_bag

        for task in tasks:
            told = watcher.start(f"{task.bag.name} in real time", task.num_frames)
            replay_bag(task, options.source, options.replay, told)
    else:
        counts = [task.num_frames for task in tasks]
        total = None if None in counts else sum(count or 0 for count in counts)
        name = tasks[0].bag.name if len(tasks) == 1 else f"{len(tasks)} bags"
        process_bags(tasks, options.source, options.jobs, watcher.start(name, total))


def _record_predictions(
    options: EvaluationOptions, task: BagTask, told: Callable[[int], None]
) -> None:
    address = options.predictions
    assert address is not None
    problems = ProblemLog()
    with (
        Bag(address.bag or task.bag) as results_bag,
        Bag(task.bag) as bag,
        RecordedPredictions(
            results_bag, address.topic, same_clock=address.bag is None
        ) as predictions,
        RecordWriter(task.folder, 0, task.header) as writer,
    ):
        records = (
            predictions.of_images(bag, task.topic) if task.has_images else predictions.alone()
        )
        for record in islice(records, task.stop or None):
            writer.append(record)
            told(1)
        problems.extend(results_bag.problems)
        if task.has_images:
            problems.extend(bag.problems)
            for stamp_ns in () if task.stop else predictions.unmatched():
                problems.add("result without a frame", f"stamp {stamp_ns} ns", "not scored")
    problems.write(task.problems_file)


def _evaluate_bag(
    options: EvaluationOptions, task: BagTask, source: Source, watcher: Watcher
) -> _EvaluatedBag:
    problems = ProblemLog.read(task.problems_file)
    with ExitStack() as stack:
        records = stack.enter_context(FrameRecords(task.folder, task.header))
        truth: Truth | None = None
        if task.truth:
            known = [] if options.all_classes else source.get("class_names", [])
            truth = stack.enter_context(
                open_truth(
                    task.truth,
                    task.bag,
                    problems,
                    key=options.truth_key,
                    classes=options.classes,
                    model_classes=known,
                )
            )
        period_ms = frame_period_ms(
            record.log_time_ns for record in islice(records, PERIOD_FRAMES)
        )
        images = stack.enter_context(Bag(task.bag))
        wanted = _followed(options, task, records, images)
        rate = options.replay.rate if options.replay is not None else 1.0
        results = (
            available_results(wanted, period_ms / rate)
            if options.is_timed
            else own_results(wanted)
        )
        scorer = Scorer(
            truth,
            task.topic,
            options.operating_threshold,
            problems,
            separate_processed=options.is_timed,
            measure_tracks=options.measure_tracks,
        )
        score = scorer.run(
            results,
            watcher.start(f"{task.bag.name}, scoring", len(records)),
            report_unused=len(options.bags) == 1 and not task.stop,
        )
        _require_frames(score, task.topic)
        worst = worst_frames(score.frames, options.num_worst)
        pictures = _pictures(options, task, records, score.frames, truth, worst)
    rate_hz = 1000.0 / period_ms if period_ms else 0.0
    duration_s = float(score.frames["time_s"].max())
    mode = _mode(options)
    metrics = {
        "title": f"Evaluation of {task.bag.name}",
        "subtitle": f"{source.get('model', '')}, {mode}; {task.topic}, {len(score.frames)} frames "
        f"in {duration_s:.1f} s ({rate_hz:.3g} Hz)",
        "mode": mode,
        "budget_ms": options.replay.budget_ms if options.replay else 0.0,
        "bag": {
            "name": task.bag.name,
            "path": str(task.bag),
            "topic": task.topic,
            "duration_s": round(duration_s, 3),
            "rate_hz": round(rate_hz, 3),
            "truth": task.truth,
        },
        "source": source,
        **measure(score, options.operating_threshold),
        **_tracking(options, [score]),
        "problems": score.problems.to_dict(),
        "worst_frames": [{"index": frame.index, "caption": frame.caption} for frame in worst],
        "command": options.command,
        "environment": dict(describe_environment(str(source.get("device", "recorded")))),
        "settings": _settings(options, source),
    }
    report = render_report(metrics, score.frames, worst, pictures)
    ResultFolder.write(task.folder, metrics, score, report)
    return _EvaluatedBag(task, metrics, score)


def _followed(
    options: EvaluationOptions, task: BagTask, records: FrameRecords, images: Bag
) -> Iterator[FrameRecord]:
    """The records, with ids by the tracker that is to follow them afterwards."""
    wanted = (record for record in records if not task.stop or record.index < task.stop)
    if options.tracker is None or options.replay is not None:
        return wanted
    if options.tracker.uses_camera_motion and not task.has_images:
        raise DataError(
            f"{options.tracker.name} looks at the images, which this bag does not have; use "
            "bytetrack or ocsort"
        )
    source = (images, task.topic)
    return follow_records(wanted, options.tracker, options.operating_threshold, source)


def _tracking(options: EvaluationOptions, scores: Sequence[BagScore]) -> dict[str, Any]:
    collectors = [score.tracks for score in scores if score.tracks is not None]
    if not collectors:
        return {}
    tracker = options.replay.tracker_settings if options.replay else options.tracker
    name = "recorded" if tracker is None else tracker.name
    return {"tracking": {"tracker": name, **measured_tracks(collectors)}}


def _require_frames(score: BagScore, topic: str) -> None:
    """Numbers about no frame at all would look like a model that finds nothing."""
    if not score.statuses:
        raise DataError(f"{topic} has no message")
    if set(score.statuses) == {UNREADABLE}:
        first = next(p for p in score.problems.examples if p.kind == f"{UNREADABLE} frame")
        raise DataError(
            f"not one of the {score.statuses[UNREADABLE]} images of {topic} can be decoded; the "
            f"first: {first.reason}"
        )


def _pictures(
    options: EvaluationOptions,
    task: BagTask,
    records: FrameRecords,
    frames: FrameTable,
    truth: Truth | None,
    worst: Sequence[WorstFrame],
) -> dict[int, str]:
    if not task.has_images:
        return {}
    wanted: dict[int, tuple[FrameRecord | None, FrameInstances | None]] = {}
    for frame in worst:
        row = frames[frame.row]
        available = int(row["result_index"])
        wanted[frame.index] = (
            records.read(available) if available >= 0 else None,
            truth.of_frame(frame.index, int(row["stamp_ns"])) if truth is not None else None,
        )
    with Bag(task.bag) as bag:
        return worst_pictures(bag, task.topic, wanted, options.operating_threshold)


def _mode(options: EvaluationOptions) -> str:
    if options.predictions is not None:
        return "recorded results"
    if options.replay is None:
        return "every frame"
    replay = options.replay
    load = f", {replay.load} competing processes" if replay.load else ""
    budget = f"budget {replay.budget_ms:g} ms" if replay.budget_ms else "no budget"
    return f"real time at rate {replay.rate:g}, {budget}{load}"


def _settings(options: EvaluationOptions, source: Source) -> dict[str, Any]:
    default_classes = "all" if options.all_classes else "those the model knows"
    return {
        **{key: value for key, value in source.items() if not isinstance(value, dict | list)},
        "operating_threshold": options.operating_threshold,
        **({} if options.tracker is None else {"tracker": options.tracker.name}),
        "truth": ", ".join(options.truth) or "none",
        "classes": ", ".join(options.classes) or default_classes,
        **({} if options.replay is None else asdict(options.replay)),
    }


def _evaluate_together(
    options: EvaluationOptions, evaluated: Sequence[_EvaluatedBag], source: Source
) -> Mapping[str, Any]:
    joined = join_scores([bag.score for bag in evaluated])
    parts = [bag.metrics for bag in evaluated]
    duration_s = sum(part["bag"]["duration_s"] for part in parts)
    metrics = {
        **parts[0],
        "title": f"Evaluation of {len(parts)} bags",
        "subtitle": f"{source.get('model', '')}, {_mode(options)}; {len(joined.frames)} frames in "
        f"{duration_s:.1f} s",
        "bag": {
            "name": ", ".join(part["bag"]["name"] for part in parts),
            "duration_s": round(duration_s, 3),
        },
        **measure(joined, options.operating_threshold),
        **_tracking(options, [bag.score for bag in evaluated]),
        "problems": joined.problems.to_dict(),
        "worst_frames": [],
        "bags": [bag.task.folder.name for bag in evaluated],
    }
    report = render_report(metrics, joined.frames, bags=parts)
    ResultFolder.write(options.output, metrics, joined, report)
    return metrics
