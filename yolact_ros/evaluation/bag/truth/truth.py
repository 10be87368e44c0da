"""Known instances of a bag's frames, from a COCO file or a topic; kept on disk, read by frame."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from yolact_ros.datasets.categories import match_categories
from yolact_ros.datasets.coco_data import CocoCategory
from yolact_ros.datasets.defects import Defects
from yolact_ros.errors import DataError
from yolact_ros.evaluation.bag.frame import FoundInstance, FrameInstances
from yolact_ros.evaluation.bag.problems import ProblemLog
from yolact_ros.evaluation.bag.reading.messages import INSTANCE_ARRAY, read_instances
from yolact_ros.evaluation.bag.reading.storage import Bag
from yolact_ros.evaluation.bag.temporary_store import TemporaryStore

__all__ = ["Truth", "instance_messages", "read_truth_topic", "truth_from_instances"]

STAMP_TOLERANCE_NS = 1000  # a stamp written as float64 seconds is this coarse


class Truth:
    """Annotations by frame.

    Args:
        frames: key and annotations of each frame; consumed at once, to disk.

    Attributes:
        key: frames are found by ``stamp`` (nanoseconds) or by ``index`` (position on the topic).
        categories: the id of each is the class id of its annotations plus 1.
        defects: what was left out or mended while reading.
        has_masks: an annotation has a mask, or there is none.
        duplicates: keys that came more than once; the first counts.

    Raises:
        DataError: no frame, or no category.
    """

    def __init__(
        self,
        key: str,
        categories: Iterable[CocoCategory],
        frames: Iterable[tuple[int, FrameInstances]],
        defects: Defects | None = None,
    ) -> None:
        self.key = key
        self.defects = defects or Defects()
        self.duplicates: list[int] = []
        self._frames: TemporaryStore[FrameInstances] = TemporaryStore()
        self._used: set[int] = set()
        masks: set[bool] = set()
        for frame_key, frame in frames:
            if self._frames.put(frame_key, frame):
                masks.update(bool(row.counts) for row in frame.instances)
            else:
                self.duplicates.append(frame_key)
        self.has_masks = masks != {False}
        self._sorted = sorted(self._frames)
        # Where they are numbered as the frames come, all are known only now.
        self.categories = list(categories)
        if not self._frames:
            raise DataError("the truth has no frame")
        if not self.categories:
            raise DataError("the truth has no category")

    def of_frame(self, index: int, stamp_ns: int) -> FrameInstances | None:
        """Annotations of a frame; None where it was not annotated."""
        key = index if self.key == "index" else self._nearest_stamp(stamp_ns)
        if key is None or key not in self._frames:
            return None
        self._used.add(key)
        frame = self._frames.get(key)
        kept = {row.id for row in self.categories}
        return replace(
            frame, instances=tuple(row for row in frame.instances if row.class_id + 1 in kept)
        )

    def keep_classes(self, class_names: Sequence[str]) -> None:
        """Forget the categories of other names.

        Raises:
            DataError: a name that the truth does not have.
        """
        there = sorted({row.name for row in self.categories})
        unknown = [name for name in class_names if name not in there]
        if unknown:
            raise DataError(f"the truth has no class {unknown[0]!r}; it has {', '.join(there)}")
        self.categories = [row for row in self.categories if row.name in class_names]

    def keep_known_classes(self, model_class_names: Sequence[str]) -> list[str]:
        """Forget the categories that a model does not know, and return their names.

        Raises:
            DataError: the model knows none of them.
        """
        known = set(match_categories(model_class_names, self.categories))
        forgotten = [row.name for row in self.categories if row.id not in known]
        self.categories = [row for row in self.categories if row.id in known]
        return forgotten

    def _nearest_stamp(self, stamp_ns: int) -> int | None:
        place = bisect.bisect_left(self._sorted, stamp_ns)
        near = self._sorted[max(place - 1, 0) : place + 1]
        nearest = min(near, key=lambda key: abs(key - stamp_ns), default=None)
        if nearest is None or abs(nearest - stamp_ns) > STAMP_TOLERANCE_NS:
            return None
        return nearest

    @property
    def unused(self) -> list[int]:
        """Keys that no frame asked for so far, in order."""
        return [key for key in self._sorted if key not in self._used]

    def __len__(self) -> int:
        return len(self._frames)


def truth_from_instances(frames: Iterable[FrameInstances]) -> Truth:
    """A truth by stamp of frames that name their classes; what is of score 0 is a crowd region.

    Raises:
        DataError: no frame, or no instance in any.
    """
    categories: dict[str, CocoCategory] = {}

    def category_id(row: FoundInstance) -> int:
        new = CocoCategory(len(categories) + 1, row.class_name)
        return int(categories.setdefault(row.class_name, new).id)

    def numbered() -> Iterator[tuple[int, FrameInstances]]:
        for frame in frames:
            rows = tuple(replace(row, class_id=category_id(row) - 1) for row in frame.instances)
            yield frame.stamp_ns, replace(frame, instances=rows)

    return Truth("stamp", categories.values(), numbered())


def read_truth_topic(bag: Bag, topic: str, problems: ProblemLog) -> Truth:
    """The annotations that a topic of InstanceArray holds, one message a frame.

    Raises:
        DataError: no such topic, of another type, or without any class.
    """
    messages = instance_messages(bag, topic, "unreadable truth", problems)
    try:
        return truth_from_instances(frame for _, _, frame in messages)
    except DataError as error:
        raise DataError(f"{bag.path}: {topic}: {error}") from error


def instance_messages(
    bag: Bag, topic: str, unreadable: str, problems: ProblemLog
) -> Iterator[tuple[int, int, FrameInstances]]:
    """The readable messages of an InstanceArray topic; others are a problem, ``unreadable``.

    Returns:
        number on the topic, log time in nanoseconds and content of each.

    Raises:
        DataError: no such topic, or of another type.
    """
    found = bag.topics.get(topic)
    if found is None or found.message_type != INSTANCE_ARRAY:
        there = [row.name for row in bag.topics.values() if row.message_type == INSTANCE_ARRAY]
        raise DataError(
            f"{bag.path}: no topic {topic} of type {INSTANCE_ARRAY}; it has "
            f"{', '.join(there) or 'none'}"
        )

    def readable() -> Iterator[tuple[int, int, FrameInstances]]:
        for number, message in enumerate(bag.messages({topic})):
            try:
                yield number, message.log_time_ns, read_instances(message)
            except DataError as error:
                place = f"{topic} message {number}, log time {message.log_time_ns} ns"
                problems.add(unreadable, place, str(error))

    return readable()
