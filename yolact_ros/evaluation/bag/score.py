"""From records of frames and truth to tables: what was found, how steady, how fast."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from yolact_ros.datasets.coco_data import CocoCategory
from yolact_ros.datasets.values import Id
from yolact_ros.evaluation.bag.available_results import AvailableResult
from yolact_ros.evaluation.bag.frame import (
    DROPPED,
    PROCESSED,
    FoundInstance,
    FrameRecord,
)
from yolact_ros.evaluation.bag.frame_table import FrameTable
from yolact_ros.evaluation.bag.matches import MatchCollector, MatchTable
from yolact_ros.evaluation.bag.problems import ProblemLog
from yolact_ros.evaluation.bag.stability import FrameStability, StabilityMeter
from yolact_ros.evaluation.bag.tracks import TrackCollector
from yolact_ros.evaluation.bag.truth import Truth, TruthFrame
from yolact_ros.evaluation.coco import IouType

__all__ = ["BagScore", "score_frames"]

AreaTables = dict[str, MatchTable]


@dataclass
class BagScore:
    """What an evaluation knows about one bag before it is put into words.

    Attributes:
        frames: a row for every frame of the topic.
        matches: verdicts by IoU type and area range; empty without truth.
        processed_matches: the same for frames that have a result of their own, where some have
            not (real-time and recorded).
        categories: of the truth.
        statuses: number of frames by status.
        class_counts: detections at the operating point by class name.
        num_scored, num_scored_processed: frames with truth in ``matches`` and
            ``processed_matches``.
        truth_steadiness: of the annotations themselves, as far as they follow each other.
        unknown_classes: detected classes that the truth does not have.
        problems: what could not be used.
        bits: in use by 16-bit pixels of the topic; 0 where they have 8.
        tracks: where tracks are measured.
    """

    frames: FrameTable
    matches: dict[IouType, AreaTables] = field(default_factory=dict)
    processed_matches: dict[IouType, AreaTables] = field(default_factory=dict)
    categories: list[CocoCategory] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    class_counts: Counter[str] = field(default_factory=Counter)
    num_scored: int = 0
    num_scored_processed: int = 0
    truth_steadiness: list[float] = field(default_factory=list)
    unknown_classes: tuple[str, ...] = ()
    problems: ProblemLog = field(default_factory=ProblemLog)
    bits: int = 0
    tracks: TrackCollector | None = None


def score_frames(
    results: Iterable[AvailableResult],
    truth: Truth | None,
    *,
    topic: str,
    operating_threshold: float,
    problems: ProblemLog,
    progress: Callable[[int], None] = lambda _: None,
    report_unused: bool = True,
    separate_processed: bool = False,
    measure_tracks: bool = False,
) -> BagScore:
    """Score the frames of one bag in a single pass.

    Args:
        results: frames in order, each with the result that counts for it.
        truth: annotations, or None.
        topic: of the images, for messages.
        operating_threshold: detections of at least this score are what the robot acts on: they
            are counted, followed and judged one by one; AP takes all.
        problems: receives what cannot be used.
        progress: told of frames done.
        report_unused: annotated frames that the bag does not have are a problem; not so where
            the truth covers more than this bag.
        separate_processed: score the processed frames by themselves too, for where a frame may
            count by another's result.
        measure_tracks: gather the tracks of truth and results.
    """
    scorer = _Scorer(truth, topic, operating_threshold, problems, separate_processed)
    if measure_tracks and truth is not None:
        scorer.collect_tracks(truth)
    return scorer.run(results, progress, report_unused)


class _Scorer:
    def __init__(
        self,
        truth: Truth | None,
        topic: str,
        operating_threshold: float,
        problems: ProblemLog,
        separate_processed: bool,
    ) -> None:
        self._truth = truth
        self._topic = topic
        self._threshold = operating_threshold
        self._score = BagScore(FrameTable(), problems=problems)
        self._meter = StabilityMeter()
        self._truth_meter = StabilityMeter()
        self._names: dict[Id, str] = {}
        self._collector: MatchCollector | None = None
        self._own_collector: MatchCollector | None = None
        self._start_ns: int | None = None
        self._last_stamp_ns: int | None = None
        if truth is not None:
            iou_types: tuple[IouType, ...] = ("bbox", "segm") if truth.has_masks else ("bbox",)
            self._names = {row.id: row.name for row in truth.categories}
            self._collector = MatchCollector(truth.categories, iou_types)
            if separate_processed:
                self._own_collector = MatchCollector(truth.categories, iou_types)
            self._score.categories = truth.categories

    def collect_tracks(self, truth: Truth) -> None:
        iou_types: tuple[IouType, ...] = ("bbox", "segm") if truth.has_masks else ("bbox",)
        self._score.tracks = TrackCollector(truth.categories, iou_types, self._threshold)

    def run(
        self,
        results: Iterable[AvailableResult],
        progress: Callable[[int], None],
        report_unused: bool,
    ) -> BagScore:
        for result in results:
            self._add(result)
            progress(1)
        score = self._score
        if self._truth is not None and self._collector is not None:
            score.matches = self._collector.tables()
            score.num_scored = self._collector.num_frames
            score.unknown_classes = tuple(sorted(self._collector.unknown_classes))
            if self._own_collector is not None:
                score.processed_matches = self._own_collector.tables()
                score.num_scored_processed = self._own_collector.num_frames
            self._judge_frames()
            self._report_truth(report_unused)
        return score

    def _add(self, result: AvailableResult) -> None:
        frame, available = result.frame, result.available
        score = self._score
        score.statuses[frame.status] += 1
        score.bits = max(score.bits, frame.bits)
        if frame.status not in (PROCESSED, DROPPED):
            self._problem(f"{frame.status} frame", frame, frame.reason)
        self._check_stamp(frame)
        if self._start_ns is None:
            self._start_ns = frame.log_time_ns
        shown = self._operating(frame.instances)
        stability: FrameStability | None = None
        if frame.status == PROCESSED:
            score.class_counts.update(found.class_name for found in shown)
            stability = self._meter.add(shown, (frame.height_px, frame.width_px))
        num_truth = self._match(frame, available)
        times = {f"{stage}_ms": value for stage, value in frame.times_ms.items()}
        timing = frame.timing if frame.status == PROCESSED else None
        total_ms = sum(frame.times_ms.values()) if timing is None else timing.total_ms
        has_budget = timing is not None and timing.budget_ms > 0
        score.frames.append(
            frame.index,
            frame.stamp_ns,
            time_s=(frame.log_time_ns - self._start_ns) / 1e9,
            processed=frame.status == PROCESSED,
            result_index=-1 if available is None else available.index,
            num_instances=len(shown) if frame.status == PROCESSED else None,
            num_truth=num_truth,
            steadiness=stability.steadiness if stability else None,
            matched_pairs=len(stability.ious) if stability else None,
            pair_iou_sum=sum(stability.ious) if stability else None,
            score_change_sum=sum(stability.score_changes) if stability else None,
            blinks=stability.num_blinks if stability else None,
            num_before_last=stability.num_before_last if stability else None,
            total_ms=total_ms if frame.status == PROCESSED else None,
            wait_ms=timing.wait_ms if timing else None,
            image_age_ms=timing.image_age_ms if timing else None,
            deadline_met=timing.deadline_met if timing and has_budget else None,
            degradation=timing.degradation if timing else None,
            input_size_px=timing.input_size_px if timing else None,
            **times,
        )

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
        if self._truth is None or self._collector is None:
            return None
        truth = self._truth.of_frame(frame.index, frame.stamp_ns)
        if truth is None or frame.status not in (PROCESSED, DROPPED):
            return None
        shape = (int(truth["height"]), int(truth["width"]))
        own_shape = (frame.height_px, frame.width_px)
        if frame.status == PROCESSED and own_shape != shape:
            self._problem(
                "truth of another size",
                frame,
                f"annotated at {shape[1]}x{shape[0]}, the image is {own_shape[1]}x{own_shape[0]}",
            )
            return None
        same_size = available is not None and (available.height_px, available.width_px) == shape
        instances = available.instances if available and same_size else ()
        self._collector.add(frame.index, truth, instances)
        if self._score.tracks is not None and self._start_ns is not None:
            time_s = (frame.log_time_ns - self._start_ns) / 1e9
            self._score.tracks.add(time_s, truth, instances)
        if frame.status == PROCESSED and self._own_collector is not None:
            self._own_collector.add(frame.index, truth, frame.instances)
        self._follow_truth(truth, shape)
        return sum(not row["iscrowd"] for row in truth["annotations"])

    def _follow_truth(self, truth: TruthFrame, shape: tuple[int, int]) -> None:
        instances = tuple(
            FoundInstance(
                int(row["category_id"]),
                self._names.get(int(row["category_id"]), ""),
                1.0,
                tuple(row["bbox"]),
                row["segmentation"]["counts"] if "segmentation" in row else "",
            )
            for row in truth["annotations"]
            if not row["iscrowd"]
        )
        stability = self._truth_meter.add(instances, shape)
        if stability is not None:
            self._score.truth_steadiness.append(stability.steadiness)

    def _judge_frames(self) -> None:
        """Fill the columns that need the verdicts: hits, misses and quality of every frame."""
        score, table = self._score, self._score.frames
        verdicts = next(
            score.matches[name]["all"] for name in ("segm", "bbox") if name in score.matches
        )
        index = table["index"].astype(np.int64)
        size = int(index.max()) + 1 if len(index) else 0
        shown = verdicts.score >= self._threshold
        right = (verdicts.matched & 1 == 1) & (verdicts.ignored & 1 == 0) & shown
        wrong = (verdicts.matched & 1 == 0) & (verdicts.ignored & 1 == 0) & shown
        hits = np.bincount(verdicts.frame[right], minlength=size)[index]
        false = np.bincount(verdicts.frame[wrong], minlength=size)[index]
        ious = np.bincount(verdicts.frame[right], verdicts.iou[right], minlength=size)[index]
        objects = np.bincount(
            verdicts.object_frame, verdicts.object_count.astype(np.float64), minlength=size
        )[index]
        scored = ~np.isnan(table["num_truth"])
        weight = hits + false / 2 + (objects - hits) / 2
        quality = np.divide(ious, weight, out=np.full(len(index), np.nan), where=weight > 0)
        for name, values in (
            ("true_positives", hits),
            ("false_positives", false),
            ("false_negatives", objects - hits),
            ("iou_sum", ious),
            ("quality", quality),
        ):
            table.set_column(name, np.where(scored, values, np.nan))

    def _report_truth(self, report_unused: bool) -> None:
        assert self._truth is not None
        for key in self._truth.unused if report_unused else ():
            place = f"frame {key}" if self._truth.key == "index" else f"stamp {key} ns"
            self._score.problems.add(
                "truth without a frame", place, f"{self._topic} has no readable frame there"
            )
        for key in self._truth.duplicates:
            self._score.problems.add("truth given twice", f"{self._truth.key} {key}", "first used")
        for name in self._score.unknown_classes:
            self._score.problems.add(
                "class without truth", name, "the truth has no such class; not part of AP"
            )

    def _problem(self, kind: str, frame: FrameRecord, reason: str) -> None:
        seconds, nanoseconds = divmod(frame.stamp_ns, 1_000_000_000)
        place = f"{self._topic} frame {frame.index}, stamp {seconds}.{nanoseconds:09d}"
        self._score.problems.add(kind, place, reason)
