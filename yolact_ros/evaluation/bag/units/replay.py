"""Plays a bag at its own pace through the node's newest-frame slot, worker and frame processor.

Frames come when they came on the robot, wait in :class:`~yolact_ros.inference.slots.FrameSlots`
and are replaced there by newer ones. Times are real: the network runs on this computer, beside
whatever else runs on it.
"""

from __future__ import annotations

import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from yolact_ros.errors import DataError, FrameFault
from yolact_ros.evaluation.bag.frame import (
    DROPPED,
    FAILED,
    UNREADABLE,
    FrameRecord,
    FrameTiming,
    found_instances,
)
from yolact_ros.evaluation.bag.options import ReplayOptions
from yolact_ros.evaluation.bag.reading.image_topic import BagFrame, decode_image, image_frames
from yolact_ros.evaluation.bag.reading.storage import Bag
from yolact_ros.evaluation.bag.temporary_store import TemporaryStore
from yolact_ros.evaluation.bag.units.competing_load import competing_load
from yolact_ros.evaluation.bag.units.model_source import ModelSource
from yolact_ros.evaluation.bag.units.records import PackedRecords, pack_records
from yolact_ros.evaluation.bag.units.task import Unit
from yolact_ros.inference.frame_processor import DecodedFrame, FrameProcessor, FrameResult
from yolact_ros.inference.quality.runner import BudgetRunner, monotonic_ms
from yolact_ros.inference.slots import TakenItem
from yolact_ros.inference.worker import SlotWorker
from yolact_ros.prediction import Prediction
from yolact_ros.tracking import TrackerSettings

__all__ = ["replay_unit"]

PREFETCHED_FRAMES = 32
START_AFTER_MS = 200.0
LATE_FEED_MS = 5.0
POLL_S = 0.05
# As the node has it: a thread that computes hands over to the receiving one this often.
SWITCH_INTERVAL_S = 0.0005
MAX_PLAUSIBLE_AGE_MS = 60_000.0

# Encoding masks for the records takes longer than the network may have: in the worker it would
# make every frame late, in another thread it would be a load that a robot does not have. So
# predictions are put aside and encoded once the bag has been played.
Replayed = tuple[FrameRecord, Prediction | None]


@dataclass(frozen=True)
class _Received:
    """A frame on its way: the message and when it came, milliseconds of the monotonic clock."""

    frame: BagFrame
    received_ms: float


def replay_unit(
    unit: Unit, source: ModelSource, options: ReplayOptions, told: Callable[[int], None]
) -> PackedRecords:
    """Replay one bag, or its first frames; a record of every frame.

    Raises:
        DataError: the bag has no frame that can be decoded.
        YolactError: the network cannot be opened.
    """
    task = unit.task
    results = TemporaryStore[Replayed]()
    with Bag(task.source.path) as bag:
        runner = source.open_runner(options, task.options.tracker)
        try:
            runner.warm_up(_first_image(unit))
            replay = _Replay(results, runner, options, task.options.tracker, told)
            with competing_load(options.load), _switching_often():
                replay.run(image_frames(bag, task.topic, unit.segment))
            replay.report_feed(bag)
            records = _encoded(results, runner.class_names)
            return pack_records(records, task.header, unit.segment, bag.problems)
        finally:
            runner.close()


def _encoded(
    results: TemporaryStore[Replayed], class_names: Sequence[str]
) -> Iterator[FrameRecord]:
    for index in sorted(results):
        record, prediction = results.get(index)
        if prediction is not None:
            record = replace(record, instances=found_instances(prediction, class_names))
        yield record


class _Replay:
    """One run: a thread that reads ahead, this one as the camera, and the node's worker.

    It is the topic that the worker's frame processor takes frames from and gives results to.
    """

    name = "camera"

    def __init__(
        self,
        results: TemporaryStore[Replayed],
        runner: BudgetRunner,
        options: ReplayOptions,
        tracker: TrackerSettings | None,
        progress: Callable[[int], None],
    ) -> None:
        self._results = results
        self._options = options
        self._progress = progress
        self._start_ms = 0.0
        self._late_feeds_ms: list[float] = []
        self._in_work: _Received | None = None
        self._processor: FrameProcessor[_Received, None] = FrameProcessor(
            lambda masks: runner, [self], tracker=lambda: tracker
        )
        self._worker: SlotWorker[_Replay, _Received] = SlotWorker(
            "yolact replay", self._handle, self._stopped_by
        )

    def run(self, frames: Iterator[BagFrame]) -> None:
        """Feed all frames at their times, then wait for the last one."""
        ahead: queue.Queue[BagFrame | Exception | None] = queue.Queue(PREFETCHED_FRAMES)
        threading.Thread(target=_read_ahead, args=(frames, ahead), daemon=True).start()
        self._worker.start()
        fed = 0
        try:
            fed = self._feed(ahead)
            while len(self._results) < fed:
                time.sleep(POLL_S)
        finally:
            self._worker.stop()

    def _feed(self, ahead: queue.Queue[BagFrame | Exception | None]) -> int:
        first_ns: int | None = None
        waiting: _Received | None = None
        fed = 0
        while (frame := ahead.get()) is not None:
            if isinstance(frame, Exception):
                raise frame
            if first_ns is None:
                first_ns = frame.message.log_time_ns
                self._start_ms = monotonic_ms() + START_AFTER_MS
            elapsed_ms = (frame.message.log_time_ns - first_ns) / 1e6 / self._options.rate
            due_ms = self._start_ms + elapsed_ms
            pause_ms = due_ms - monotonic_ms()
            if pause_ms > 0:
                time.sleep(pause_ms / 1e3)
            received = _Received(frame, monotonic_ms())
            if received.received_ms - due_ms > LATE_FEED_MS:
                self._late_feeds_ms.append(received.received_ms - due_ms)
            deadline_ms = received.received_ms + self._options.budget_ms
            if self._worker.slots.put(self, received, deadline_ms) and waiting is not None:
                reason = "a newer frame replaced it before work on it began"
                self._record(waiting, DROPPED, reason)
            waiting = received
            fed += 1
        return fed

    def wants_masks(self) -> bool:
        """Always: the evaluation scores them."""
        return True

    def decode(self, received: _Received) -> DecodedFrame | None:
        """The pixels, as the node has them; None for an image that cannot be read."""
        message = received.frame.message
        try:
            header, image_bgr = decode_image(received.frame)
        except FrameFault as fault:
            self._record(received, UNREADABLE, str(fault))
            return None
        age_ms = (message.log_time_ns - received.frame.stamp_ns) / 1e6
        return DecodedFrame(header, image_bgr, age_ms)

    def encode(self, decoded: DecodedFrame, prediction: Prediction) -> None:
        """Nothing: results are encoded once the bag has been played."""

    def publish(self, result: FrameResult[_Received, None]) -> None:
        """Keep the result of a frame, or that it was late."""
        received = result.received
        if not result.outcome.publish:
            self._record(received, DROPPED, "late, and late results are dropped")
            return
        times_ms = {
            "decode": result.decode_ms,
            "preprocess": result.times.preprocess_ms - result.decode_ms,
            "inference": result.times.inference_ms,
            "postprocess": result.times.postprocess_ms,
        }
        self._put(
            received,
            result.prediction,
            height_px=result.decoded.image_bgr.shape[0],
            width_px=result.decoded.image_bgr.shape[1],
            bits=received.frame.bits,
            times_ms=times_ms,
            timing=self._timing(result),
        )

    def replaced(self, frames: int) -> None:
        """Recorded already, when the newer frame was fed."""

    def skipped(self, received: _Received) -> None:
        """A frame was left out for the next one."""
        self._record(received, DROPPED, "skipped for the next frame, which can be in time")

    def late(self, received: _Received, *, batched: bool) -> None:
        """A frame was dropped before its masks, since it was late already."""
        self._record(received, DROPPED, "late before its masks, and late results are dropped")

    def failed(self, received: _Received, cause: str, text: str) -> None:
        """The network failed on a frame."""
        self._record(received, FAILED, text)

    def warn(self, cause: str, text: str) -> None:
        """Nothing that a replay runs into: only batches warn."""

    def _handle(self, taken: TakenItem[_Replay, _Received]) -> None:
        self._in_work = taken.item
        self._processor.process(self, taken.item, taken.replaced, self._worker.slots)

    def _timing(self, result: FrameResult[_Received, None]) -> FrameTiming:
        age_ms, outcome = result.decoded.age_ms, result.outcome
        plausible = 0.0 <= age_ms <= MAX_PLAUSIBLE_AGE_MS
        received_ms = result.received.received_ms - self._start_ms
        return FrameTiming(
            received_ms=received_ms,
            published_ms=received_ms + outcome.total_ms,
            wait_ms=result.plan.wait_ms,
            total_ms=outcome.total_ms,
            image_age_ms=outcome.total_ms + (age_ms if plausible else 0.0),
            budget_ms=self._options.budget_ms,
            deadline_met=outcome.deadline_met,
            degradation=int(outcome.degradation),
            input_size_px=result.plan.level.input_size_px,
        )

    def _stopped_by(self, error: Exception) -> None:
        if self._in_work is not None:
            self._record(self._in_work, FAILED, f"{type(error).__name__}: {error}")

    def _record(self, received: _Received, status: str, reason: str) -> None:
        received_ms = received.received_ms - self._start_ms
        timing = FrameTiming(received_ms, received_ms, budget_ms=self._options.budget_ms)
        self._put(received, status=status, reason=reason, timing=timing)

    def _put(
        self, received: _Received, prediction: Prediction | None = None, **values: Any
    ) -> None:
        frame = received.frame
        record = FrameRecord(frame.index, frame.stamp_ns, frame.message.log_time_ns, **values)
        self._results.put(record.index, (record, prediction))
        self._progress(1)

    def report_feed(self, bag: Bag) -> None:
        """Say so where the replay itself could not keep the bag's pace."""
        if self._late_feeds_ms:
            late = np.array(self._late_feeds_ms)
            bag.problems.add(
                "frames fed late",
                bag.path.name,
                f"{late.size} frames came to the slot more than {LATE_FEED_MS:g} ms after their "
                f"time (most {late.max():.0f} ms): the processor or the disk is too busy for this "
                "rate; latencies count from their coming",
            )


def _read_ahead(
    frames: Iterator[BagFrame], ahead: queue.Queue[BagFrame | Exception | None]
) -> None:
    try:
        for frame in frames:
            ahead.put(frame)
    except Exception as error:  # the feeding thread raises it
        ahead.put(error)
    else:
        ahead.put(None)


def _first_image(unit: Unit) -> NDArray[np.uint8]:
    reason = "it has no message"
    task = unit.task
    with Bag(task.source.path) as bag:
        for frame in image_frames(bag, task.topic, unit.segment):
            try:
                return decode_image(frame)[1]
            except FrameFault as fault:
                reason = str(fault)
    raise DataError(f"no frame of {task.topic} can be decoded: {reason}")


@contextmanager
def _switching_often() -> Iterator[None]:
    before_s = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    try:
        yield
    finally:
        sys.setswitchinterval(before_s)
