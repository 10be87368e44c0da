"""From records of frames and truth to tables: what was found, how steady, how fast."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from yolact_ros.datasets.coco_data import CocoCategory
from yolact_ros.evaluation.bag.frame import (
    DROPPED,
    PROCESSED,
    FoundInstance,
    FrameInstances,
    FrameRecord,
)
from yolact_ros.evaluation.bag.problems import ProblemLog
from yolact_ros.evaluation.bag.scoring.matches import MatchCollector, Verdicts
from yolact_ros.evaluation.bag.scoring.stability import StabilityMeter
from yolact_ros.evaluation.bag.scoring.tables import (
    FRAME_COLUMNS,
    FrameTable,
    InstanceRows,
    frame_row,
    joined_rows,
)
from yolact_ros.evaluation.bag.scoring.tracks import TrackCollector
from yolact_ros.evaluation.bag.truth.truth import Truth
from yolact_ros.evaluation.bag.units.task import BagTask
from yolact_ros.evaluation.coco import IouType

__all__ = ["ACCURACY", "ACCURACY_OF_PROCESSED", "BagScore", "FrameResult", "Scorer", "join_scores"]

ACCURACY, ACCURACY_OF_PROCESSED = "accuracy", "accuracy_of_processed_frames"

FrameResult = tuple[FrameRecord, FrameRecord | None]
"""A frame of the topic, and the one whose instances are scored against its truth, if any."""


@dataclass
class BagScore:
    """What an evaluation knows about one bag before it is put into words.

    Attributes:
        frames: a row for every frame of the topic; its ``index`` is the row.
        verdicts: by :data:`ACCURACY` and, where not every frame has a result of its own (real-time
            and recorded), :data:`ACCURACY_OF_PROCESSED` for those that have; empty without truth.
        categories: of the truth.
        statuses: number of frames by status.
        class_counts: detections at the operating point by class name.
        truth_steadiness: of the annotations themselves, as far as they follow each other.
        problems: what could not be used.
        bits: in use by 16-bit pixels of the topic; 0 where they have 8.
        tracks: where tracks are measured.
    """

    frames: FrameTable = field(default_factory=lambda: joined_rows([]))
    verdicts: dict[str, Verdicts] = field(default_factory=dict)
    categories: list[CocoCategory] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    class_counts: Counter[str] = field(default_factory=Counter)
    truth_steadiness: list[float] = field(default_factory=list)
    problems: ProblemLog = field(default_factory=ProblemLog)
    bits: int = 0
    tracks: TrackCollector | None = None


def join_scores(scores: Sequence[BagScore]) -> BagScore:
    """The score of all frames of all bags; classes are the same if their names are.

    Verdicts name the rows of all frames: those of the second bag follow those of the first.
    """
    names = list(dict.fromkeys(row.name for score in scores for row in score.categories))
    joined = BagScore(
        frames=joined_rows([score.frames for score in scores]),
        categories=[CocoCategory(number, name) for number, name in enumerate(names, 1)],
    )
    kinds = dict.fromkeys(kind for score in scores for kind in score.verdicts)
    parts: dict[str, list[Verdicts]] = {kind: [] for kind in kinds}
    first = 0
    for score in scores:
        numbers = np.arange(first, first + len(score.frames))
        first += len(score.frames)
        ids = np.zeros(1 + max((int(row.id) for row in score.categories), default=0), np.int64)
        for row in score.categories:
            ids[int(row.id)] = names.index(row.name) + 1
        for kind, kept in parts.items():
            if own := score.verdicts.get(kind, score.verdicts.get(ACCURACY)):
                kept.append(own.renumbered(numbers, ids))
        joined.statuses.update(score.statuses)
        joined.class_counts.update(score.class_counts)
        joined.bits = max(joined.bits, score.bits)
        joined.truth_steadiness += score.truth_steadiness
        joined.problems.extend(score.problems)
    joined.verdicts = {kind: Verdicts.concatenate(kept) for kind, kept in parts.items()}
    return joined


class Scorer:
    """Scores the frames of one bag in a single pass.

    Detections of the operating threshold or more are what the robot acts on: they are counted,
    followed and judged one by one; AP takes all.

    Args:
        task: the bag.
        truth: annotations, or None.
        problems: receives what cannot be used.
        instances: receives what counted for each frame.
    """

    def __init__(
        self, task: BagTask, truth: Truth | None, problems: ProblemLog, instances: InstanceRows
    ) -> None:
        self._truth = truth
        self._topic = task.topic
        self._threshold = task.options.operating_threshold
        self._rows: list[FrameTable] = []
        self._instances = instances
        self._score = BagScore(problems=problems)
        self._meter = StabilityMeter()
        self._truth_meter = StabilityMeter()
        self._collectors: dict[str, MatchCollector] = {}
        self._start_ns: int | None = None
        self._last_stamp_ns: int | None = None
        if truth is not None:
            iou_types: tuple[IouType, ...] = ("bbox", "segm") if truth.has_masks else ("bbox",)
            names = (ACCURACY, ACCURACY_OF_PROCESSED) if task.options.is_timed else (ACCURACY,)
            self._collectors = {n: MatchCollector(truth.categories, iou_types) for n in names}
            if task.options.measure_tracks:
                self._score.tracks = TrackCollector(truth.categories, iou_types, self._threshold)
            self._score.categories = truth.categories

    def run(
        self,
        results: Iterable[FrameResult],
        progress: Callable[[int], None],
        *,
        report_unused: bool,
    ) -> BagScore:
        """Score all frames, which come in order.

        Annotated frames that the bag does not have are a problem with ``report_unused``; not so
        where the truth covers more than this bag.
        """
        for frame, available in results:
            self._add(frame, available)
            progress(1)
        score = self._score
        score.frames = joined_rows(self._rows)
        if self._truth is not None:
            for name, collector in self._collectors.items():
                score.verdicts[name] = collector.verdicts()
            self._judge_frames()
            self._report_truth(
                self._truth, self._collectors[ACCURACY].unknown_classes, report_unused
            )
        return score

    def _add(self, frame: FrameRecord, available: FrameRecord | None) -> None:
        score = self._score
        score.statuses[frame.status] += 1
        score.bits = max(score.bits, frame.bits)
        if frame.status not in (PROCESSED, DROPPED):
            self._problem(f"{frame.status} frame", frame, frame.reason)
        self._check_stamp(frame)
        if self._start_ns is None:
            self._start_ns = frame.log_time_ns
        shown = self._operating(frame.instances)
        values: dict[str, float | None] = {
            "time_s": (frame.log_time_ns - self._start_ns) / 1e9,
            "processed": frame.status == PROCESSED,
            "result_index": -1 if available is None else available.index,
            "num_truth": self._match(frame, available),
            **{f"{stage}_ms": value for stage, value in frame.times_ms.items()},
        }
        if frame.status == PROCESSED:
            score.class_counts.update(found.class_name for found in shown)
            values |= self._meter.add(shown, frame.shape)
            values["num_instances"] = len(shown)
            values["total_ms"] = sum(frame.times_ms.values())
            if timing := frame.timing:
                values |= {key: v for key, v in vars(timing).items() if key in FRAME_COLUMNS}
                values["deadline_met"] = timing.deadline_met if timing.budget_ms > 0 else None
        self._rows.append(frame_row(frame.index, frame.stamp_ns, **values))

    def _operating(self, instances: Iterable[FoundInstance]) -> tuple[FoundInstance, ...]:
        return tuple(found for found in instances if found.score >= self._threshold)

    def _check_stamp(self, frame: FrameRecord) -> None:
        last_ns = self._last_stamp_ns
        if frame.stamp_ns == 0:
            self._problem("zero stamp", frame, "the camera's driver does not set header.stamp")
        elif last_ns is not None and frame.stamp_ns < last_ns:
            back_ms = (last_ns - frame.stamp_ns) / 1e6
            self._problem("stamp runs backwards", frame, f"{back_ms:.3f} ms before the last one")
        elif frame.stamp_ns == last_ns:
            self._problem("stamp repeated", frame, "the same as that of the frame before")
        self._last_stamp_ns = frame.stamp_ns

    def _match(self, frame: FrameRecord, available: FrameRecord | None) -> int | None:
        """Score the frame against its truth; the number of its objects, None without truth."""
        found = available.instances if available else ()
        truth = self._scored_truth(frame)
        if truth is None:
            self._instances.add(frame.index, found, ())
            return None
        instances = found if available and available.shape == truth.shape else ()
        first_row = self._instances.add(frame.index, instances, truth.instances)
        self._collectors[ACCURACY].add(frame.index, truth, instances, first_row)
        if self._score.tracks is not None and self._start_ns is not None:
            time_s = (frame.log_time_ns - self._start_ns) / 1e9
            self._score.tracks.add(time_s, truth, instances)
        if frame.status == PROCESSED and ACCURACY_OF_PROCESSED in self._collectors:
            self._collectors[ACCURACY_OF_PROCESSED].add(frame.index, truth, frame.instances)
        objects = [row for row in truth.instances if not row.is_crowd]
        if values := self._truth_meter.add(objects, truth.shape):
            self._score.truth_steadiness.append(values["steadiness"])
        return len(objects)

    def _scored_truth(self, frame: FrameRecord) -> FrameInstances | None:
        truth = None
        if self._truth is not None:
            truth = self._truth.of_frame(frame.index, frame.stamp_ns)
        if truth is None or frame.status not in (PROCESSED, DROPPED):
            return None
        if frame.status == PROCESSED and frame.shape != truth.shape:
            self._problem(
                "truth of another size",
                frame,
                f"annotated at {truth.width_px}x{truth.height_px}, the image is "
                f"{frame.width_px}x{frame.height_px}",
            )
            return None
        return truth

    def _judge_frames(self) -> None:
        """Fill the columns that need the verdicts: hits, misses and quality of every frame."""
        score, table = self._score, self._score.frames
        tables = score.verdicts[ACCURACY].tables
        best = tables["segm" if "segm" in tables else "bbox"]["all"]
        size = len(table)
        verdicts = best.detections[
            (best.detections["score"] >= self._threshold) & (best.detections["ignored"] & 1 == 0)
        ]
        right = verdicts[verdicts["matched"] & 1 == 1]
        found = np.bincount(verdicts["frame"], minlength=size)
        hits = np.bincount(right["frame"], minlength=size)
        ious = np.bincount(right["frame"], right["iou"], minlength=size)
        objects = np.bincount(best.objects["frame"], best.objects["count"], minlength=size)
        scored = ~np.isnan(table["num_truth"])
        weight = (found + objects) / 2
        quality = np.divide(ious, weight, out=np.full(size, np.nan), where=weight > 0)
        for name, values in (
            ("true_positives", hits),
            ("false_positives", found - hits),
            ("false_negatives", objects - hits),
            ("iou_sum", ious),
            ("quality", quality),
        ):
            table[name] = np.where(scored, values, np.nan)

    def _report_truth(
        self, truth: Truth, unknown_classes: Collection[str], report_unused: bool
    ) -> None:
        add = self._score.problems.add
        for key in truth.unused if report_unused else ():
            place = f"frame {key}" if truth.key == "index" else f"stamp {key} ns"
            add("truth without a frame", place, f"{self._topic} has no readable frame there")
        for key in truth.duplicates:
            add("truth given twice", f"{truth.key} {key}", "first used")
        for name in sorted(unknown_classes):
            add("class without truth", name, "the truth has no such class; not part of AP")

    def _problem(self, kind: str, frame: FrameRecord, reason: str) -> None:
        seconds, nanoseconds = divmod(frame.stamp_ns, 1_000_000_000)
        place = f"{self._topic} frame {frame.index}, stamp {seconds}.{nanoseconds:09d}"
        self._score.problems.add(kind, place, reason)
