"""The whole of ``yolact bag evaluate``: records, scores, numbers, report."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any, Protocol

from yolact_ros.errors import DataError
from yolact_ros.evaluation.bag.available_results import (
    AvailableResult,
    available_results,
    frame_period_ms,
    own_results,
)
from yolact_ros.evaluation.bag.environment import describe_environment
from yolact_ros.evaluation.bag.export import truth_instances
from yolact_ros.evaluation.bag.frame import UNREADABLE, FoundInstance, FrameRecord
from yolact_ros.evaluation.bag.join import join_scores
from yolact_ros.evaluation.bag.journal import PATTERN, Journal, JournalWriter
from yolact_ros.evaluation.bag.metrics import measure
from yolact_ros.evaluation.bag.options import EvaluationOptions
from yolact_ros.evaluation.bag.plan import BagPlan, plan_bags
from yolact_ros.evaluation.bag.problems import ProblemLog
from yolact_ros.evaluation.bag.process import PROBLEMS_FILE, process_bags, read_problems
from yolact_ros.evaluation.bag.recorded import RecordedPredictions
from yolact_ros.evaluation.bag.report import render_report
from yolact_ros.evaluation.bag.result_folder import METRICS_FILE, ResultFolder
from yolact_ros.evaluation.bag.score import BagScore, score_frames
from yolact_ros.evaluation.bag.storage import Bag
from yolact_ros.evaluation.bag.tracks import follow_records, measured_tracks
from yolact_ros.evaluation.bag.truth import Truth
from yolact_ros.evaluation.bag.truth_source import open_truth
from yolact_ros.evaluation.bag.worst_frames import WorstFrame, worst_frames, worst_pictures
from yolact_ros.evaluation.template import require_page_packages
from yolact_ros.evaluation.track_measures import require_track_eval

__all__ = ["EvaluatedBag", "Watcher", "evaluate_bags"]

PERIOD_FRAMES = 200


class Watcher(Protocol):
    """Is told how far the work is."""

    def start(self, title: str, total: int | None) -> Callable[[int], None]:
        """A new kind of work begins; the result is told of frames done."""


@dataclass(frozen=True)
class EvaluatedBag:
    """A finished evaluation of one bag.

    Attributes:
        plan: what was done.
        metrics: content of its metrics.json.
        score: the tables behind it.
    """

    plan: BagPlan
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
    described = _describe(options)
    plans = plan_bags(options, described)
    _prepare_folders(options, plans)
    _make_records(options, plans, watcher)
    evaluated = []
    for plan in plans:
        try:
            evaluated.append(_evaluate_bag(options, plan, described, watcher))
        except DataError as error:
            raise DataError(f"{plan.task.bag}: {error}") from error
    if len(evaluated) == 1:
        return evaluated[0].metrics
    return _evaluate_together(options, evaluated, described)


def _describe(options: EvaluationOptions) -> dict[str, Any]:
    if options.source is not None:
        mode: Any = None if options.replay is None else asdict(options.replay)
        return {"source": dict(options.source.describe()), "real_time": mode}
    assert options.predictions is not None
    recorded = options.predictions
    return {"source": {"model": f"recorded on {recorded.topic}"}, "real_time": None}


def _prepare_folders(options: EvaluationOptions, plans: Sequence[BagPlan]) -> None:
    resumable = options.source is not None and options.replay is None
    for plan in plans:
        folder = plan.task.folder
        there = list(folder.glob(PATTERN)) if folder.is_dir() else []
        if options.overwrite or (there and options.predictions is not None):
            for file in (*there, folder / PROBLEMS_FILE, folder / METRICS_FILE):
                file.unlink(missing_ok=True)
        elif there and not resumable:
            raise DataError(
                f"{folder} holds a replay in real time, which cannot go on where it was; choose "
                "another --output, or --overwrite"
            )
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(f"{folder}: cannot be written: {error.strerror}") from error
        free_bytes = shutil.disk_usage(folder).free
        if free_bytes < 50_000_000:
            raise DataError(f"{folder}: only {free_bytes // 1_000_000} MB left on its disk")


def _make_records(options: EvaluationOptions, plans: Sequence[BagPlan], watcher: Watcher) -> None:
    if options.source is None:
        for plan in plans:
            _record_predictions(options, plan, watcher)
        return
    if options.replay is not None:
        from yolact_ros.evaluation.bag.replay import replay_bag

        for plan in plans:
            told = watcher.start(f"{plan.name} in real time", plan.num_frames)
            replay_bag(plan.task, options.source, options.replay, told)
        return
    counts = [plan.num_frames for plan in plans]
    total = None if None in counts else sum(count or 0 for count in counts)
    name = plans[0].name if len(plans) == 1 else f"{len(plans)} bags"
    told = watcher.start(name, total)
    process_bags([plan.task for plan in plans], options.source, options.jobs, told)


def _record_predictions(options: EvaluationOptions, plan: BagPlan, watcher: Watcher) -> None:
    address = options.predictions
    assert address is not None
    told = watcher.start(f"{plan.name}, recorded results", plan.num_frames)
    task = plan.task
    with Bag(address.bag or task.bag) as results_bag, Bag(task.bag) as bag:
        predictions = RecordedPredictions(
            results_bag, address.topic, same_clock=address.bag is None
        )
        records = (
            predictions.of_images(bag, task.topic) if plan.has_images else predictions.alone()
        )
        with JournalWriter(task.folder, 0, task.header) as journal:
            for record in islice(records, task.stop or None):
                journal.append(record)
                told(1)
        log = ProblemLog()
        log.extend(results_bag.problems)
        if plan.has_images:
            log.extend(bag.problems)
            if not task.stop:
                for stamp_ns in predictions.unmatched():
                    log.add("result without a frame", f"stamp {stamp_ns} ns", "not scored")
        predictions.close()
    log.write(task.folder / PROBLEMS_FILE)


def _evaluate_bag(
    options: EvaluationOptions, plan: BagPlan, described: Mapping[str, Any], watcher: Watcher
) -> EvaluatedBag:
    task = plan.task
    problems = read_problems(task.folder)
    with Journal(task.folder, task.header) as journal, Bag(task.bag) as images:
        truth = _open_truth(options, plan, described, problems)
        try:
            period_ms = frame_period_ms(
                record.log_time_ns
                for record in islice(_records(journal, task.stop), PERIOD_FRAMES)
            )
            told = watcher.start(f"{plan.name}, scoring", len(journal))
            score = score_frames(
                _results(options, _tracked(options, plan, journal, images), period_ms),
                truth,
                topic=task.topic,
                operating_threshold=options.operating_threshold,
                problems=problems,
                progress=told,
                report_unused=len(options.bags) == 1 and not task.stop,
                separate_processed=_is_timed(options),
                measure_tracks=options.measure_tracks,
            )
            _require_frames(score, task.topic)
            worst = worst_frames(score.frames, options.num_worst)
            pictures = _pictures(options, plan, journal, score, truth, worst)
        finally:
            if truth is not None:
                truth.close()
    metrics = {
        **_headline(options, plan, described, score, period_ms),
        **measure(score, options.operating_threshold),
        **_tracking(options, [score]),
        "problems": score.problems.to_dict(),
        "worst_frames": [{"index": frame.index, "caption": frame.caption} for frame in worst],
        **_origin(options, described),
    }
    report = render_report(metrics, score.frames, worst, pictures)
    ResultFolder.write(task.folder, metrics, score.frames, score.matches, report)
    return EvaluatedBag(plan, metrics, score)


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


def _open_truth(
    options: EvaluationOptions,
    plan: BagPlan,
    described: Mapping[str, Any],
    problems: ProblemLog,
) -> Truth | None:
    if not plan.truth:
        return None
    known = [] if options.all_classes else described["source"].get("class_names", [])
    return open_truth(
        plan.truth,
        plan.task.bag,
        problems,
        key=options.truth_key,
        classes=options.classes,
        model_classes=known,
    )


def _records(journal: Journal, stop: int) -> Iterator[FrameRecord]:
    return (record for record in journal if not stop or record.index < stop)


def _results(
    options: EvaluationOptions, records: Iterable[FrameRecord], period_ms: float
) -> Iterator[AvailableResult]:
    if not _is_timed(options):
        return own_results(records)
    rate = options.replay.rate if options.replay is not None else 1.0
    return available_results(records, period_ms / rate)


def _tracked(
    options: EvaluationOptions, plan: BagPlan, journal: Journal, images: Bag
) -> Iterator[FrameRecord]:
    """The records, with ids by the tracker that is to follow them afterwards."""
    records = _records(journal, plan.task.stop)
    if options.tracker is None or options.replay is not None:
        return records
    if options.tracker.uses_camera_motion and not plan.has_images:
        raise DataError(
            f"{options.tracker.name} looks at the images, which this bag does not have; use "
            "bytetrack or ocsort"
        )
    return follow_records(
        records, options.tracker, options.operating_threshold, (images, plan.task.topic)
    )


def _tracking(options: EvaluationOptions, scores: Sequence[BagScore]) -> dict[str, Any]:
    collectors = [score.tracks for score in scores if score.tracks is not None]
    if not collectors:
        return {}
    tracker = options.replay.tracker_settings if options.replay else options.tracker
    name = "recorded" if tracker is None else tracker.name
    return {"tracking": {"tracker": name, **measured_tracks(collectors)}}


def _is_timed(options: EvaluationOptions) -> bool:
    """Frames may be late or dropped, and then count by another's result."""
    return options.replay is not None or options.predictions is not None


def _pictures(
    options: EvaluationOptions,
    plan: BagPlan,
    journal: Journal,
    score: BagScore,
    truth: Truth | None,
    worst: Sequence[WorstFrame],
) -> dict[int, str]:
    if not plan.has_images:
        return {}
    index = score.frames["index"].tolist()
    available = score.frames["result_index"].tolist()
    stamps = score.frames["stamp_ns"].tolist()
    places = {number: place for place, number in enumerate(index)}
    wanted: dict[int, tuple[FrameRecord | None, Sequence[FoundInstance] | None]] = {}
    for frame in worst:
        place = places[frame.index]
        record = journal.read(int(available[place])) if available[place] >= 0 else None
        known = None
        if truth is not None:
            annotated = truth.of_frame(frame.index, int(stamps[place]))
            known = truth_instances(annotated["annotations"], truth) if annotated else None
        wanted[frame.index] = (record, known)
    with Bag(plan.task.bag) as bag:
        return worst_pictures(bag, plan.task.topic, wanted, options.operating_threshold)


def _headline(
    options: EvaluationOptions,
    plan: BagPlan,
    described: Mapping[str, Any],
    score: BagScore,
    period_ms: float,
) -> dict[str, Any]:
    times_s = score.frames["time_s"]
    duration_s = float(times_s.max()) if len(times_s) else 0.0
    model = described["source"].get("model", "")
    mode = _mode(options)
    budget_ms = options.replay.budget_ms if options.replay else 0.0
    rate_hz = 1000.0 / period_ms if period_ms else 0.0
    return {
        "title": f"Evaluation of {plan.name}",
        "subtitle": f"{model}, {mode}; {plan.task.topic}, {len(score.frames)} frames in "
        f"{duration_s:.1f} s ({rate_hz:.3g} Hz)",
        "mode": mode,
        "budget_ms": budget_ms,
        "bag": {
            "name": plan.name,
            "path": str(plan.task.bag),
            "topic": plan.task.topic,
            "duration_s": round(duration_s, 3),
            "rate_hz": round(rate_hz, 3),
            "truth": plan.truth,
        },
        "source": dict(described["source"]),
    }


def _mode(options: EvaluationOptions) -> str:
    if options.predictions is not None:
        return "recorded results"
    if options.replay is None:
        return "every frame"
    replay = options.replay
    load = f", {replay.load} competing processes" if replay.load else ""
    budget = f"budget {replay.budget_ms:g} ms" if replay.budget_ms else "no budget"
    return f"real time at rate {replay.rate:g}, {budget}{load}"


def _origin(options: EvaluationOptions, described: Mapping[str, Any]) -> dict[str, Any]:
    device = str(described["source"].get("device", "recorded"))
    settings = {
        key: value
        for key, value in described["source"].items()
        if key not in ("class_names",) and not isinstance(value, dict | list)
    }
    return {
        "command": options.command,
        "environment": dict(describe_environment(device)),
        "settings": {
            **settings,
            "operating_threshold": options.operating_threshold,
            **({} if options.tracker is None else {"tracker": options.tracker.name}),
            "truth": ", ".join(options.truth) or "none",
            "classes": ", ".join(options.classes)
            or ("all" if options.all_classes else "those the model knows"),
            **({} if options.replay is None else asdict(options.replay)),
        },
    }


def _evaluate_together(
    options: EvaluationOptions,
    evaluated: Sequence[EvaluatedBag],
    described: Mapping[str, Any],
) -> Mapping[str, Any]:
    joined = join_scores([bag.score for bag in evaluated])
    parts = [bag.metrics for bag in evaluated]
    duration_s = sum(part["bag"]["duration_s"] for part in parts)
    metrics = {
        **parts[0],
        "title": f"Evaluation of {len(parts)} bags",
        "subtitle": f"{described['source'].get('model', '')}, {_mode(options)}; "
        f"{len(joined.frames)} frames in {duration_s:.1f} s",
        "bag": {
            "name": ", ".join(part["bag"]["name"] for part in parts),
            "duration_s": round(duration_s, 3),
        },
        **measure(joined, options.operating_threshold),
        **_tracking(options, [bag.score for bag in evaluated]),
        "problems": joined.problems.to_dict(),
        "worst_frames": [],
        "bags": [str(bag.plan.task.folder.name) for bag in evaluated],
    }
    report = render_report(metrics, joined.frames, bags=parts)
    ResultFolder.write(options.output, metrics, joined.frames, joined.matches, report)
    return metrics
