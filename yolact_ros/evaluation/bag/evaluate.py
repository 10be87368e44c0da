"""The whole of ``yolact bag evaluate``: records, scores, numbers, report."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from yolact_ros.errors import ConfigError, DataError
from yolact_ros.evaluation.bag.evaluated_bag import (
    EvaluatedBag,
    Source,
    evaluate_bag,
    mode_of,
    tracking_of,
)
from yolact_ros.evaluation.bag.options import EvaluationOptions
from yolact_ros.evaluation.bag.report.report import render_report
from yolact_ros.evaluation.bag.report.result_folder import METRICS_FILE, ResultFolder
from yolact_ros.evaluation.bag.report.worst_frames import WorstFrame
from yolact_ros.evaluation.bag.scoring.metrics import measure
from yolact_ros.evaluation.bag.scoring.score import BagScore, join_scores
from yolact_ros.evaluation.bag.units.executor import Executor, Failure, LocalExecutor
from yolact_ros.evaluation.bag.units.process import close_network, process_unit
from yolact_ros.evaluation.bag.units.ray_executor import RayExecutor
from yolact_ros.evaluation.bag.units.recorded import recorded_unit
from yolact_ros.evaluation.bag.units.records import PackedRecords, unit_files
from yolact_ros.evaluation.bag.units.task import BagTask, Unit, plan_bag, unique_names
from yolact_ros.evaluation.output_folder import write_bytes
from yolact_ros.evaluation.template import require_page_packages
from yolact_ros.evaluation.track_measures import require_track_eval

__all__ = ["Watcher", "evaluate_bags"]

LEAST_FREE_BYTES = 50_000_000
SCENES_OF_A_BAG = 2


class Watcher(Protocol):
    """Is told how far the work is."""

    def start(self, title: str, total: int | None) -> Callable[[int], None]:
        """A new kind of work begins; the result is told of frames done."""


def evaluate_bags(options: EvaluationOptions, watcher: Watcher) -> Mapping[str, Any]:
    """Evaluate bags and write the folder of results.

    A bag that cannot be evaluated is listed in the metrics as ``bags_failed``, and the others go
    on.

    Returns:
        the content of ``metrics.json``; of several bags that of all together.

    Raises:
        YolactError: none of the bags, or the truth, the model or the output folder cannot be used,
            or the report cannot be written because a package is missing.
    """
    require_page_packages()
    if options.measure_tracks:
        require_track_eval()
    if options.source is not None:
        source: Source = dict(options.source.describe())
    else:
        assert options.predictions is not None
        source = {"model": f"recorded on {options.predictions.topic}"}
    with _executor(options) as executor:
        evaluation = _Evaluation(options, source, executor, watcher)
        try:
            return evaluation.run()
        finally:
            if options.source is not None:
                close_network(options.source)


def _executor(options: EvaluationOptions) -> Executor:
    if not options.ray:
        return LocalExecutor(options.jobs)
    source = options.source
    threads = source.num_threads if source is not None else 1
    device = source.device if source is not None else "cpu"
    return RayExecutor(options.ray, threads=threads or 1, device=device)


class _Evaluation:
    """One run: bags are planned, the network runs on their units, bags are scored."""

    def __init__(
        self, options: EvaluationOptions, source: Source, executor: Executor, watcher: Watcher
    ) -> None:
        self._options = options
        self._source = source
        self._executor = executor
        self._watcher = watcher
        self._worst: list[WorstFrame] = []
        self._failed: dict[str, str] = dict(options.unusable)

    def run(self) -> Mapping[str, Any]:
        options = self._options
        tasks = self._plan()
        for task in tasks.values():
            _prepare_folder(options, task)
        self._make_records(list(tasks.values()))
        self._require_one_left()
        evaluated = self._evaluate(tasks)
        self._require_one_left()
        if options.is_alone:
            return evaluated[0].metrics
        return self._evaluate_together(evaluated)

    def _fail(self, options: EvaluationOptions, reason: str) -> None:
        bag = str(options.bags[0].path)
        named = reason if bag in reason else f"{bag}: {reason}"
        self._failed.setdefault(options.name, named)

    def _require_one_left(self) -> None:
        if len(self._failed) == len(self._options.bags) + len(self._options.unusable):
            reason = next(iter(self._failed.values()))
            others = len(self._failed) - 1
            raise DataError(reason + (f" ({others} other bags failed too)" if others else ""))

    def _plan(self) -> dict[str, BagTask]:
        """Tasks by name, in the order of the bags."""
        names = unique_names(self._options.bags)
        singles = [_of_one_bag(self._options, *pair) for pair in enumerate(names)]
        replay = self._options.replay
        described = {
            "source": self._source,
            "real_time": None if replay is None else asdict(replay),
        }
        plan = partial(plan_bag, described=described)
        tasks = {}
        for single, task in self._executor.run(plan, singles):
            if isinstance(task, Failure):
                self._fail(single, task.reason)
            else:
                tasks[single.name] = task
        self._require_one_left()
        return {name: tasks[name] for name in names if name in tasks}

    def _make_records(self, tasks: Sequence[BagTask]) -> None:
        counts = [task.num_frames for task in tasks]
        total = None if None in counts else sum(count or 0 for count in counts)
        title = tasks[0].name if len(tasks) == 1 else f"{len(tasks)} bags"
        told = self._watcher.start(title, total)
        frames: Counter[str] = Counter()
        units: list[Unit] = []
        for task in tasks:
            missing, frames[task.name] = task.missing()
            units += missing
            told(frames[task.name])
        uncut = self._run_units(units, frames, told)
        for task in tasks:
            # Damage may hide messages without a word; the bag's index knows how many there are.
            is_cut = len(unit_files(task.folder)) > 1
            if is_cut and frames[task.name] < (task.num_frames or 0):
                uncut.add(task.name)
        units = []
        for task in tasks:
            if task.name in uncut and task.name not in self._failed:
                for file in unit_files(task.folder):
                    file.unlink()
                units.append(task.uncut_unit)
        self._run_units(units, frames, lambda _: None)

    def _run_units(
        self, units: Sequence[Unit], frames: Counter[str], told: Callable[[int], None]
    ) -> set[str]:
        """Write the files of units; the names of bags that are to be read as a whole."""
        uncut: set[str] = set()
        wanted = (unit for unit in units if unit.task.name not in uncut | self._failed.keys())
        for unit, packed in self._executor.run(self._work(told), wanted, uses_network=True):
            if isinstance(packed, Failure):
                self._fail(unit.task.options, packed.reason)
            elif packed is None:
                uncut.add(unit.task.name)
            else:
                data, num_frames = packed
                try:
                    write_bytes(unit.file, data)
                except ConfigError as error:
                    raise DataError(
                        f"{error}; what is done is kept, run the command again when it can"
                    ) from error
                frames[unit.task.name] += num_frames
                if self._options.replay is None:
                    told(num_frames)
        return uncut

    def _work(self, told: Callable[[int], None]) -> Callable[[Unit], PackedRecords | None]:
        options = self._options
        if options.source is None:
            assert options.predictions is not None
            return partial(recorded_unit, address=options.predictions)
        if options.replay is None:
            return partial(process_unit, source=options.source, device=self._executor.device)
        from yolact_ros.evaluation.bag.units.replay import replay_unit

        return partial(replay_unit, source=options.source, options=options.replay, told=told)

    def _evaluate(self, tasks: Mapping[str, BagTask]) -> list[EvaluatedBag]:
        bags = (
            (task, self._files(task)) for task in tasks.values() if task.name not in self._failed
        )
        frames = [task.num_frames or 0 for task in tasks.values()]
        title = f"{next(iter(tasks))}, scoring" if len(tasks) == 1 else "scoring"
        told = self._watcher.start(title, sum(frames))
        here = self._executor.runs_here(len(tasks))
        function = partial(
            evaluate_bag,
            source=self._source,
            is_alone=self._options.is_alone,
            told=told if here else None,
        )
        evaluated = {}
        for (task, _), result in self._executor.run(function, bags):
            if isinstance(result, Failure):
                self._fail(task.options, result.reason)
                continue
            if not here:
                told(len(result.score.frames))
            ResultFolder.write(
                task.folder, result.metrics, result.frames, result.instances, result.report
            )
            # Thousands of bags leave their numbers here, not their pages.
            self._keep_worst(result)
            evaluated[task.name] = replace(
                result, frames=None, instances=None, report="", worst=()
            )
        return [evaluated[name] for name in tasks if name in evaluated]

    def _keep_worst(self, bag: EvaluatedBag) -> None:
        """The worst scenes of all bags; of one bag not many, or it would hide the others."""
        scenes = [
            replace(frame, caption=f"{bag.task.name}, {frame.caption}")
            for frame in bag.worst[:SCENES_OF_A_BAG]
        ]
        worst = sorted([*self._worst, *scenes], key=lambda frame: frame.measure)
        self._worst = worst[: self._options.num_worst]

    def _files(self, task: BagTask) -> list[Path | bytes]:
        files = unit_files(task.folder)
        if self._options.ray:
            return [file.read_bytes() for file in files]  # the folder is here, the work is not
        return list(files)

    def _evaluate_together(self, evaluated: Sequence[EvaluatedBag]) -> Mapping[str, Any]:
        options = self._options
        joined = join_scores([bag.score for bag in evaluated])
        groups = _by_tag(evaluated, options.operating_threshold)
        parts = [bag.metrics for bag in evaluated]
        duration_s = sum(part["bag"]["duration_s"] for part in parts)
        metrics = {
            **parts[0],
            "title": f"Evaluation of {len(parts)} bags",
            "subtitle": f"{self._source.get('model', '')}, {mode_of(options)}; "
            f"{len(joined.frames)} frames in {duration_s:.1f} s",
            "bag": {
                "name": ", ".join(part["bag"]["name"] for part in parts),
                "duration_s": round(duration_s, 3),
            },
            **measure(joined, options.operating_threshold),
            **tracking_of(options, [bag.score for bag in evaluated]),
            "problems": joined.problems.to_dict(),
            "worst_frames": [{"caption": frame.caption} for frame in self._worst],
            "bags": [bag.task.name for bag in evaluated],
            "tags": {
                row.task.name: dict(tags) for row in evaluated if (tags := row.task.source.tags)
            },
            "by_tag": groups,
            "bags_failed": [
                {"bag": name, "reason": self._failed[name]} for name in sorted(self._failed)
            ],
        }
        report = render_report(metrics, joined.frames, self._worst, bags=parts)
        folders = [bag.task.folder for bag in evaluated]
        ResultFolder.write_joined(options.output, metrics, folders, report)
        return metrics


def _by_tag(evaluated: Sequence[EvaluatedBag], threshold: float) -> list[dict[str, Any]]:
    """The numbers of the bags that have a tag in common."""
    groups: dict[tuple[str, str], list[BagScore]] = {}
    for bag in evaluated:
        for tag in bag.task.source.tags.items():
            groups.setdefault(tag, []).append(bag.score)
    return [
        {
            "tag": name,
            "value": value,
            "bags": len(scores),
            **measure(join_scores(scores), threshold),
        }
        for (name, value), scores in sorted(groups.items())
    ]


def _of_one_bag(options: EvaluationOptions, number: int, name: str) -> EvaluationOptions:
    """Small enough to go to a worker, however many bags there are."""
    return replace(
        options,
        bags=(options.bags[number],),
        name=name,
        unusable={},
        output=options.output if options.is_alone else options.output / name,
    )


def _prepare_folder(options: EvaluationOptions, task: BagTask) -> None:
    there = unit_files(task.folder)
    if options.overwrite or (there and options.predictions is not None):
        for file in (*there, task.folder / METRICS_FILE):
            file.unlink(missing_ok=True)
    elif there and options.replay is not None:
        raise DataError(
            f"{task.folder} holds a replay in real time, which cannot go on where it was; "
            "choose another --output, or --overwrite"
        )
    try:
        (task.folder / "units").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{task.folder}: cannot be written: {error.strerror}") from error
    free_bytes = shutil.disk_usage(task.folder).free
    if free_bytes < LEAST_FREE_BYTES:
        raise DataError(f"{task.folder}: only {free_bytes // 1_000_000} MB left on its disk")
