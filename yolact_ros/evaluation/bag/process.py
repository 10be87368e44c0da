"""Runs a network over every frame of a bag, in one or several processes; drops none."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yolact_ros.datasets.json_file import read_json
from yolact_ros.errors import DataError, FrameFault, YolactError
from yolact_ros.evaluation.bag.frame import FAILED, UNREADABLE, FrameRecord
from yolact_ros.evaluation.bag.images import BagFrame, decode_image, image_frames
from yolact_ros.evaluation.bag.journal import Journal, JournalWriter
from yolact_ros.evaluation.bag.problems import Problem, ProblemLog
from yolact_ros.evaluation.bag.segmenter import Segmenter, SegmenterSource, found_instances
from yolact_ros.evaluation.bag.storage import Bag
from yolact_ros.workers import Workers, end_with_parent

__all__ = ["PROBLEMS_FILE", "BagTask", "process_bags", "read_problems", "segment_frame"]

# One bad frame is the frame's fault, this many in a row are the model's.
MAX_FAILURES_IN_A_ROW = 10
POLL_S = 0.5
PROBLEMS_FILE = "problems.json"

Progress = Callable[[int], None]
"""Called with the number of frames done since the last call."""


@dataclass(frozen=True)
class BagTask:
    """The frames of one bag's image topic, and where their records go.

    Attributes:
        bag: path of the bag.
        topic: of images.
        folder: of the evaluation.
        header: of the journal: what decides the results.
        stop: index of the first frame not to take; 0 takes all.
        num_messages: on the topic, None if unknown.
    """

    bag: Path
    topic: str
    folder: Path
    header: Mapping[str, Any]
    stop: int = 0
    num_messages: int | None = None


def process_bags(
    tasks: Sequence[BagTask], source: SegmenterSource, jobs: int, progress: Progress
) -> None:
    """Write a record of every frame that has none yet; a killed run goes on where it was.

    Args:
        tasks: bags, one after the other.
        source: of the network.
        jobs: processes; each opens the bags and the network and takes every jobs-th frame.
        progress: told of frames done now and before.

    Raises:
        DataError: a folder holds another evaluation, or the network fails on frame after frame.
        WorkerError: a process died.
        YolactError: the network cannot be opened.
    """
    pending: list[tuple[BagTask, frozenset[int]]] = []
    for task in tasks:
        with Journal(task.folder, task.header) as journal:
            done = journal.indices
        progress(len(done))
        if not _is_complete(task, done):
            pending.append((task, done))
    if not pending:
        return
    if jobs == 1:
        _process_part(pending, source, 0, 1, progress)
    else:
        _process_in_parallel(pending, source, jobs, progress)


def read_problems(folder: Path) -> ProblemLog:
    """What could not be read of the bag whose evaluation is in ``folder``."""
    path = folder / PROBLEMS_FILE
    log = ProblemLog()
    if path.is_file():
        values = read_json(path)
        log.counts = values["counts"]
        log.examples = [Problem(**row) for row in values["examples"]]
    return log


def _is_complete(task: BagTask, done: frozenset[int]) -> bool:
    if task.num_messages is None or not (task.folder / PROBLEMS_FILE).is_file():
        return False
    wanted = min(task.num_messages, task.stop or task.num_messages)
    return len(done) >= wanted


Pending = Sequence[tuple[BagTask, frozenset[int]]]


def _process_in_parallel(
    pending: Pending, source: SegmenterSource, jobs: int, progress: Progress
) -> None:
    # A forked process would share the locks of torch's threads.
    context = multiprocessing.get_context("spawn")
    counts = context.RawArray("q", jobs)  # frames done by each
    cure = "the frames done so far are kept, run the command again with fewer --jobs"
    with (
        ProcessPoolExecutor(jobs, context, _set_up_process, (counts,)) as pool,
        Workers("runs the network", cure) as workers,
    ):
        with workers.starting():
            parts = [pool.submit(_run_part, pending, source, part, jobs) for part in range(jobs)]
        told = 0
        while parts:
            done, running = wait(parts, POLL_S, FIRST_COMPLETED)
            frames = sum(counts)
            progress(frames - told)
            told = frames
            for part in done:
                if fault := part.result():
                    raise DataError(fault)
            parts = list(running)


# Frames done by each process of the pool; set where one starts, in that process.
_counts: Any = None


def _set_up_process(counts: Any) -> None:
    global _counts
    end_with_parent()
    _counts = counts


def _run_part(pending: Pending, source: SegmenterSource, part: int, parts: int) -> str:
    """Process a part; in words what went wrong: not all errors can go from process to process."""

    def progress(frames: int) -> None:
        _counts[part] += frames

    try:
        _process_part(pending, source, part, parts, progress)
    except YolactError as error:
        return str(error)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def _process_part(
    pending: Pending, source: SegmenterSource, part: int, parts: int, progress: Progress
) -> None:
    segmenter: Segmenter | None = None
    try:
        for task, done in pending:
            failures = 0
            with Bag(task.bag) as bag, JournalWriter(task.folder, part, task.header) as journal:
                for frame in image_frames(bag, task.topic):
                    if task.stop and frame.index >= task.stop:
                        break
                    if frame.index % parts != part or frame.index in done:
                        continue
                    if segmenter is None:
                        segmenter = source.open()
                    record = segment_frame(frame, segmenter)
                    failures = failures + 1 if record.status == FAILED else 0
                    if failures >= MAX_FAILURES_IN_A_ROW:
                        raise DataError(
                            f"{task.bag}: the network failed on {failures} frames in a row, the "
                            f"last is frame {frame.index}: {record.reason}"
                        )
                    journal.append(record)
                    progress(1)
                if part == 0:
                    bag.problems.write(task.folder / PROBLEMS_FILE)
    finally:
        if segmenter is not None:
            segmenter.close()


def segment_frame(frame: BagFrame, segmenter: Segmenter) -> FrameRecord:
    """Decode one frame and find its instances; what goes wrong is in the record."""
    begun_s = time.perf_counter()
    try:
        image_bgr = decode_image(frame).image_bgr
    except FrameFault as fault:
        return _without_result(frame, UNREADABLE, str(fault))
    decode_ms = (time.perf_counter() - begun_s) * 1e3
    height_px, width_px = image_bgr.shape[:2]
    try:
        prediction, times_ms = segmenter.segment(image_bgr)
    except YolactError as error:
        return _without_result(frame, FAILED, str(error))
    except Exception as error:
        return _without_result(frame, FAILED, f"{type(error).__name__}: {error}")
    return FrameRecord(
        index=frame.index,
        stamp_ns=frame.stamp_ns,
        log_time_ns=frame.message.log_time_ns,
        height_px=height_px,
        width_px=width_px,
        bits=frame.bits,
        instances=found_instances(prediction, segmenter.class_names),
        times_ms={"decode": decode_ms, **times_ms},
    )


def _without_result(frame: BagFrame, status: str, reason: str) -> FrameRecord:
    return FrameRecord(
        index=frame.index,
        stamp_ns=frame.stamp_ns,
        log_time_ns=frame.message.log_time_ns,
        status=status,
        reason=reason,
    )
