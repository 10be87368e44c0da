"""Records from InstanceArray messages that a robot published, so that no network has to run."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from yolact_ros.errors import DataError
from yolact_ros.evaluation.bag.frame import DROPPED, FrameInstances, FrameRecord, FrameTiming
from yolact_ros.evaluation.bag.options import TopicAddress
from yolact_ros.evaluation.bag.problems import ProblemLog
from yolact_ros.evaluation.bag.reading.image_topic import image_frames
from yolact_ros.evaluation.bag.reading.storage import Bag
from yolact_ros.evaluation.bag.temporary_store import TemporaryStore
from yolact_ros.evaluation.bag.truth.truth import instance_messages
from yolact_ros.evaluation.bag.units.records import PackedRecords, pack_records
from yolact_ros.evaluation.bag.units.task import Unit

__all__ = ["recorded_unit"]

STAGES = ("preprocess", "inference", "postprocess")


def recorded_unit(unit: Unit, address: TopicAddress) -> PackedRecords:
    """A record of every frame with the result that a robot published of it at ``address``.

    Raises:
        DataError: no such topic, of another type, or without a readable message.
    """
    task = unit.task
    problems = ProblemLog()

    def records() -> Iterator[FrameRecord]:
        taken = found.of_images(bag, task.topic) if task.has_images else found.alone()
        yield from islice(taken, task.options.limit or None)
        problems.extend(results_bag.problems)
        if task.has_images:
            problems.extend(bag.problems)
            for stamp_ns in () if task.options.limit else found.unmatched():
                problems.add("result without a frame", f"stamp {stamp_ns} ns", "not scored")

    with Bag(address.bag or task.source.path) as results_bag, Bag(task.source.path) as bag:
        found = _RecordedPredictions(results_bag, address.topic, same_clock=address.bag is None)
        return pack_records(records(), task.header, unit.segment, problems)


class _RecordedPredictions:
    """The results on a topic, found by the stamps of their images; kept on disk.

    With ``same_clock`` the images are in this bag too, so that its log times say when a consumer
    had each result; otherwise reception plus ``report.total_ms`` does.
    """

    def __init__(self, bag: Bag, topic: str, *, same_clock: bool) -> None:
        self._topic = topic
        self._same_clock = same_clock
        # Log time and content by stamp.
        self._messages: TemporaryStore[tuple[int, FrameInstances]] = TemporaryStore()
        self._used: set[int] = set()
        for number, log_time_ns, content in instance_messages(
            bag, topic, "unreadable result", bag.problems
        ):
            if not self._messages:
                # Of the frames without a result too.
                self._budget_ms = float(content.report.get("budget_ms", 0.0))
            if not self._messages.put(content.stamp_ns, (log_time_ns, content)):
                place = f"{topic} message {number}, log time {log_time_ns} ns"
                bag.problems.add("result given twice", place, "its stamp came before; first used")
        if not self._messages:
            raise DataError(f"{bag.path}: {topic} has no readable message")

    def of_images(self, bag: Bag, topic: str) -> Iterator[FrameRecord]:
        """A record for every image of a topic; those without a result are dropped frames."""
        first_ns: int | None = None
        for frame in image_frames(bag, topic):
            log_time_ns = frame.message.log_time_ns
            first_ns = log_time_ns if first_ns is None else first_ns
            received_ms = (log_time_ns - first_ns) / 1e6
            if frame.stamp_ns in self._messages and frame.stamp_ns not in self._used:
                self._used.add(frame.stamp_ns)
                result_ns, content = self._messages.get(frame.stamp_ns)
                total_ms = float(content.report.get("total_ms", 0.0))
                published_ms = received_ms + total_ms
                if self._same_clock:
                    published_ms = (result_ns - first_ns) / 1e6
                yield _record(frame.index, content, log_time_ns, received_ms, published_ms)
            else:
                yield FrameRecord(
                    index=frame.index,
                    stamp_ns=frame.stamp_ns,
                    log_time_ns=log_time_ns,
                    status=DROPPED,
                    reason=f"no message on {self._topic} has its stamp",
                    timing=FrameTiming(received_ms, received_ms, budget_ms=self._budget_ms),
                )

    def alone(self) -> Iterator[FrameRecord]:
        """A record for every message, where no images were recorded; drops cannot be seen."""
        first_ns: int | None = None
        for index, stamp_ns in enumerate(self._messages):
            log_time_ns, content = self._messages.get(stamp_ns)
            first_ns = log_time_ns if first_ns is None else first_ns
            published_ms = (log_time_ns - first_ns) / 1e6
            received_ms = published_ms - float(content.report.get("total_ms", 0.0))
            yield _record(index, content, log_time_ns, received_ms, published_ms)

    def unmatched(self) -> list[int]:
        """Stamps of results that no image asked for."""
        return [stamp_ns for stamp_ns in self._messages if stamp_ns not in self._used]


def _record(
    index: int,
    content: FrameInstances,
    log_time_ns: int,
    received_ms: float,
    published_ms: float,
) -> FrameRecord:
    report = content.report

    def milliseconds(name: str) -> float:
        return float(report.get(f"{name}_ms", 0.0))

    return FrameRecord(
        index=index,
        stamp_ns=content.stamp_ns,
        log_time_ns=log_time_ns,
        height_px=content.height_px,
        width_px=content.width_px,
        instances=content.instances,
        times_ms={stage: milliseconds(stage) for stage in STAGES},
        timing=FrameTiming(
            received_ms=received_ms,
            published_ms=published_ms,
            wait_ms=milliseconds("wait"),
            total_ms=milliseconds("total"),
            image_age_ms=milliseconds("image_age") + milliseconds("total"),
            budget_ms=milliseconds("budget"),
            deadline_met=bool(report.get("deadline_met", True)),
            degradation=int(report.get("degradation", 0)),
            input_size_px=int(report.get("input_size", 0)),
        ),
    )
