"""Plays a bag at its own pace through the node's newest-frame slot, worker and budget.

Frames come when they came on the robot, wait in :class:`~yolact_ros.inference.slots.FrameSlots`
and are replaced there by newer ones; the worker and the budget are the node's. Times are real:
the network runs on this computer, beside whatever else runs on it.
"""

from __future__ import annotations

import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from yolact_ros.errors import DataError, FrameFault, YolactError
from yolact_ros.evaluation.bag.frame import (
    DROPPED,
    FAILED,
    PROCESSED,
    UNREADABLE,
    FrameRecord,
    FrameTiming,
)
from yolact_ros.evaluation.bag.images import BagFrame, decode_image, image_frames
from yolact_ros.evaluation.bag.journal import JournalWriter
from yolact_ros.evaluation.bag.load import CompetingLoad
from yolact_ros.evaluation.bag.process import PROBLEMS_FILE, BagTask
from yolact_ros.evaluation.bag.replay_options import ReplayOptions
from yolact_ros.evaluation.bag.segmenter import SegmenterSource
from yolact_ros.evaluation.bag.storage import Bag
from yolact_ros.evaluation.bag.tape import Tape
from yolact_ros.inference.budgeted import BudgetedPredictor, monotonic_ms
from yolact_ros.inference.frame_plan import FrameOutcome, FramePlan
from yolact_ros.inference.slots import TakenItem
from yolact_ros.inference.worker import SlotWorker

__all__ = ["replay_bag"]

CAMERA = "camera"
PREFETCHED_FRAMES = 32
START_AFTER_MS = 200.0
LATE_FEED_MS = 5.0
POLL_S = 0.05
# As the node has it: a thread that computes hands over to the receiving one this often.
SWITCH_INTERVAL_S = 0.0005
MAX_PLAUSIBLE_AGE_MS = 60_000.0


@dataclass(frozen=True)
class _Received:
    """A frame on its way: the message and when it came, milliseconds of the monotonic clock."""

    frame: BagFrame
    received_ms: float


def replay_bag(
    task: BagTask,
    source: SegmenterSource,
    options: ReplayOptions,
    progress: Callable[[int], None],
) -> None:
    """Replay one bag and write a record of every frame.

    Args:
        task: the bag; ``task.stop`` ends it early.
        source: of the network.
        options: rate, load, budget.
        progress: told of frames that are done.

    Raises:
        DataError: the bag has no frame that can be decoded, or its folder cannot be written.
        YolactError: the network cannot be opened.
    """
    with Bag(task.bag) as bag, Tape() as tape:
        budgeted = source.open_budgeted(options)
        try:
            budgeted.warm_up(_first_image(task))
            replay = _Replay(tape, budgeted, options, progress)
            with CompetingLoad(options.load), _switching_often():
                replay.run(_frames(bag, task))
            with JournalWriter(task.folder, 0, task.header) as journal:
                for record in tape.records(budgeted.class_names):
                    journal.append(record)
        finally:
            budgeted.close()
        replay.report_feed(bag)
        bag.problems.write(task.folder / PROBLEMS_FILE)


class _Replay:
    """One run: a thread that reads ahead, this one as the camera, and the node's worker."""

    def __init__(
        self,
        tape: Tape,
        budgeted: BudgetedPredictor,
        options: ReplayOptions,
        progress: Callable[[int], None],
    ) -> None:
        self._tape = tape
        self._budgeted = budgeted
        self._options = options
        self._progress = progress
        self._start_ms = 0.0
        self._late_feeds_ms: list[float] = []
        self._in_work: _Received | None = None
        self._worker: SlotWorker[str, _Received] = SlotWorker(
            "yolact replay", self._handle, self._failed
        )

    def run(self, frames: Iterator[BagFrame]) -> None:
        """Feed all frames at their times, then wait for the last one."""
        ahead: queue.Queue[BagFrame | Exception | None] = queue.Queue(PREFETCHED_FRAMES)
        threading.Thread(target=_read_ahead, args=(frames, ahead), daemon=True).start()
        self._worker.start()
        fed = 0
        try:
            fed = self._feed(ahead)
            while len(self._tape) < fed:
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
            if self._worker.slots.put(CAMERA, received, deadline_ms) and waiting is not None:
                self._drop(waiting, "a newer frame replaced it before work on it began")
            waiting = received
            fed += 1
        return fed

    def _handle(self, taken: TakenItem[str, _Received]) -> None:
        received = taken.item
        self._in_work = received
        plan = self._budgeted.begin(received.received_ms, source=CAMERA, replaced=taken.replaced)
        if not plan.run:
            self._drop(received, "gave way to the next frame, which can be in time")
            return
        begun_ms = monotonic_ms()
        try:
            image_bgr = decode_image(received.frame).image_bgr
        except FrameFault as fault:
            self._budgeted.abandon()
            self._record(received, UNREADABLE, str(fault))
            return
        decode_ms = monotonic_ms() - begun_ms
        result = self._budgeted.predict(plan, image_bgr)
        if result is None:
            self._drop(received, "late before its masks, and late results are dropped")
            return
        outcome = self._budgeted.finish()
        if not outcome.publish:
            self._drop(received, "late, and late results are dropped")
            return
        times = result.times
        record = FrameRecord(
            index=received.frame.index,
            stamp_ns=received.frame.stamp_ns,
            log_time_ns=received.frame.message.log_time_ns,
            height_px=image_bgr.shape[0],
            width_px=image_bgr.shape[1],
            status=PROCESSED,
            bits=received.frame.bits,
            times_ms={
                "decode": decode_ms,
                "preprocess": times.preprocess_ms,
                "inference": times.inference_ms,
                "postprocess": times.postprocess_ms,
            },
            timing=self._timing(received, plan, outcome),
        )
        self._tape.put(record, result.prediction)
        self._progress(1)

    def _timing(self, received: _Received, plan: FramePlan, outcome: FrameOutcome) -> FrameTiming:
        message = received.frame.message
        age_ms = (message.log_time_ns - received.frame.stamp_ns) / 1e6
        plausible = 0.0 <= age_ms <= MAX_PLAUSIBLE_AGE_MS
        received_ms = received.received_ms - self._start_ms
        return FrameTiming(
            received_ms=received_ms,
            published_ms=received_ms + outcome.total_ms,
            wait_ms=plan.wait_ms,
            total_ms=outcome.total_ms,
            image_age_ms=outcome.total_ms + (age_ms if plausible else 0.0),
            budget_ms=self._options.budget_ms,
            deadline_met=outcome.deadline_met,
            degradation=int(outcome.degradation),
            input_size_px=plan.rung.input_size_px,
        )

    def _failed(self, error: Exception) -> None:
        received = self._in_work
        if received is None:
            return
        self._budgeted.abandon()
        reason = (
            str(error) if isinstance(error, YolactError) else f"{type(error).__name__}: {error}"
        )
        self._record(received, FAILED, reason)

    def _drop(self, received: _Received, reason: str) -> None:
        self._record(received, DROPPED, reason)

    def _record(self, received: _Received, status: str, reason: str) -> None:
        received_ms = received.received_ms - self._start_ms
        self._tape.put(
            FrameRecord(
                index=received.frame.index,
                stamp_ns=received.frame.stamp_ns,
                log_time_ns=received.frame.message.log_time_ns,
                status=status,
                reason=reason,
                timing=FrameTiming(
                    received_ms, received_ms, 0.0, 0.0, 0.0, self._options.budget_ms, False, 0, 0
                ),
            )
        )
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


def _frames(bag: Bag, task: BagTask) -> Iterator[BagFrame]:
    for frame in image_frames(bag, task.topic):
        if task.stop and frame.index >= task.stop:
            return
        yield frame


def _first_image(task: BagTask) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    reason = "it has no message"
    with Bag(task.bag) as bag:
        for frame in _frames(bag, task):
            try:
                return decode_image(frame).image_bgr
            except FrameFault as fault:
                reason = str(fault)
    raise DataError(f"{task.bag}: no frame of {task.topic} can be decoded: {reason}")


@contextmanager
def _switching_often() -> Iterator[None]:
    before_s = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    try:
        yield
    finally:
        sys.setswitchinterval(before_s)
