"""Runs a network over every frame of a bag, in one or several processes; drops none."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Collection, Sequence, Set
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from yolact_ros.errors import DataError, FrameFault, YolactError
from yolact_ros.evaluation.bag.frame import FAILED, UNREADABLE, FrameRecord, found_instances
from yolact_ros.evaluation.bag.image_topic import BagFrame, decode_image, image_frames
from yolact_ros.evaluation.bag.model_source import ModelSource
from yolact_ros.evaluation.bag.record_files import FrameRecords, RecordWriter
from yolact_ros.evaluation.bag.storage import Bag
from yolact_ros.evaluation.bag.task import BagTask
from yolact_ros.inference.predictor import Predictor
from yolact_ros.workers import Workers, end_with_parent

__all__ = ["process_bags"]

# One bad frame is the frame's fault, this many in a row are the model's.
MAX_FAILURES_IN_A_ROW = 10
POLL_S = 0.5

Progress = Callable[[int], None]
"""Called with the number of frames done since the last call."""


def process_bags(
    tasks: Sequence[BagTask], source: ModelSource, jobs: int, progress: Progress
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
    pending: list[tuple[BagTask, Set[int]]] = []
    for task in tasks:
        with FrameRecords(task.folder, task.header) as records:
            done = set(records.indices)
        progress(len(done))
        if not _is_complete(task, done):
            pending.append((task, done))
    if not pending:
        return
    if jobs == 1:
        _process_part(pending, source, 0, 1, progress)
    else:
        _process_in_parallel(pending, source, jobs, progress)


def _is_complete(task: BagTask, done: Collection[int]) -> bool:
    if task.num_frames is None or not task.problems_file.is_file():
        return False
    return len(done) >= task.num_frames


Pending = Sequence[tuple[BagTask, Set[int]]]


def _process_in_parallel(
    pending: Pending, source: ModelSource, jobs: int, progress: Progress
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


def _run_part(pending: Pending, source: ModelSource, part: int, parts: int) -> str:
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
    pending: Pending, source: ModelSource, part: int, parts: int, progress: Progress
) -> None:
    with ExitStack() as stack:
        predictor: Predictor | None = None
        for task, done in pending:
            failures = 0
            with Bag(task.bag) as bag, RecordWriter(task.folder, part, task.header) as records:
                for frame in image_frames(bag, task.topic, task.stop):
                    if frame.index % parts != part or frame.index in done:
                        continue
                    if predictor is None:
                        predictor = source.open()
                        stack.callback(predictor.close)
                    record = _process_frame(frame, predictor)
                    failures = failures + 1 if record.status == FAILED else 0
                    if failures >= MAX_FAILURES_IN_A_ROW:
                        raise DataError(
                            f"{task.bag}: the network failed on {failures} frames in a row, the "
                            f"last is frame {frame.index}: {record.reason}"
                        )
                    records.append(record)
                    progress(1)
                if part == 0:
                    bag.problems.write(task.problems_file)


def _process_frame(frame: BagFrame, predictor: Predictor) -> FrameRecord:
    """Decode one frame and find its instances; what goes wrong is in the record."""
    record = FrameRecord(frame.index, frame.stamp_ns, frame.message.log_time_ns)
    begun_s = time.perf_counter()
    try:
        _, image_bgr = decode_image(frame)
    except FrameFault as fault:
        return replace(record, status=UNREADABLE, reason=str(fault))
    decode_ms = (time.perf_counter() - begun_s) * 1e3
    try:
        prediction, times = predictor.predict_timed(image_bgr)
    except YolactError as error:
        return replace(record, status=FAILED, reason=str(error))
    except Exception as error:
        return replace(record, status=FAILED, reason=f"{type(error).__name__}: {error}")
    return replace(
        record,
        height_px=image_bgr.shape[0],
        width_px=image_bgr.shape[1],
        bits=frame.bits,
        instances=found_instances(prediction, predictor.class_names),
        times_ms={
            "decode": decode_ms,
            "preprocess": times.preprocess_ms,
            "inference": times.inference_ms,
            "postprocess": times.postprocess_ms,
        },
    )
