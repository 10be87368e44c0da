"""One bag of an evaluation and its work units; found out before any work."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from yolact_ros.errors import DataError
from yolact_ros.evaluation.bag.options import EvaluationOptions
from yolact_ros.evaluation.bag.reading.image_topic import choose_image_topic
from yolact_ros.evaluation.bag.reading.location import BagPath
from yolact_ros.evaluation.bag.reading.messages import WHOLE, BagTopic, Segment
from yolact_ros.evaluation.bag.reading.sources import BagSource
from yolact_ros.evaluation.bag.reading.storage import Bag
from yolact_ros.evaluation.bag.units.records import read_header, unit_files

__all__ = ["BagTask", "Unit", "cut", "plan_bag", "unique_names"]

# A segment takes a few milliseconds of its own, and what a dead worker had done of it is lost.
LEAST_FRAMES = 50
MOST_SEGMENTS = 100


@dataclass(frozen=True)
class BagTask:
    """The frames of one bag's image topic, and where what is found out about them goes.

    Attributes:
        options: of the evaluation of this bag alone.
        topic: of images.
        header: of the records: what decides the results.
        segments: that are evaluated one by one, in their order.
        has_images: False where only results were recorded.
        num_frames: that will be taken, None if unknown.
    """

    options: EvaluationOptions
    topic: str
    header: Mapping[str, Any]
    segments: tuple[Segment, ...]
    has_images: bool = True
    num_frames: int | None = None

    @property
    def name(self) -> str:
        """Of the bag among the results."""
        return self.options.name

    @property
    def source(self) -> BagSource:
        """The bag, its truth and tags."""
        return self.options.bags[0]

    @property
    def folder(self) -> Path:
        """Of the results."""
        return self.options.output

    @property
    def uncut_unit(self) -> Unit:
        """The whole bag as one work unit."""
        return Unit(self, 0, Segment(limit=self.options.limit))

    def missing(self) -> tuple[list[Unit], int]:
        """The work units that are not done, and how many frames those have that are.

        Files of other segments, from a run with another limit, are removed.

        Raises:
            DataError: the folder holds another evaluation.
        """
        units = {
            unit.file: unit
            for unit in (Unit(self, n, segment) for n, segment in enumerate(self.segments))
        }
        frames = 0
        for file in unit_files(self.folder):
            header, segment, num_frames = read_header(file)
            _check_header(header, self.header, self.folder)
            if segment == self.uncut_unit.segment:
                return [], num_frames
            if file in units and units[file].segment == segment:
                del units[file]
                frames += num_frames
            else:
                file.unlink()
        return list(units.values()), frames


@dataclass(frozen=True)
class Unit:
    """What one worker does at a time: a numbered segment of a bag."""

    task: BagTask
    number: int
    segment: Segment

    @property
    def file(self) -> Path:
        """Where its records go."""
        return self.task.folder / "units" / f"{self.number:05d}.parquet"


def plan_bag(options: EvaluationOptions, described: Mapping[str, Any]) -> BagTask:
    """Open the one bag of ``options``, choose its topic and cut it into segments.

    What decides the results beside the bag is ``described``, for the records' headers.

    Raises:
        DataError: it cannot be read, has no image topic, or has several and none is named.
    """
    (source,) = options.bags
    with Bag(source.path) as bag:
        topic, has_images = _choose_topic(bag, options)
        count = topic.message_count
        # In real time, and where results are tied to images, one frame depends on those before.
        is_cut = not options.is_timed and not options.limit
        segments = cut(bag.time_range_ns, count) if is_cut else (Segment(limit=options.limit),)
    return BagTask(
        options,
        topic=topic.name,
        header={"format": 2, "bag": _fingerprint(source.path), "topic": topic.name, **described},
        segments=segments,
        has_images=has_images,
        num_frames=None if count is None else min(count, options.limit or count),
    )


def cut(time_range_ns: tuple[int, int] | None, num_frames: int | None) -> tuple[Segment, ...]:
    """Segments of equal duration that are the whole bag together.

    Every image of a bag stands for itself, so any time will do. The result depends on the bag
    alone: whoever goes on with an evaluation finds the same segments.

    Args:
        time_range_ns: of the bag; None where it cannot be cut.
        num_frames: of the topic; None likewise.
    """
    count = min(MOST_SEGMENTS, (num_frames or 0) // LEAST_FRAMES)
    if time_range_ns is None or count < 2:
        return (WHOLE,)
    first_ns, last_ns = time_range_ns
    times = sorted({first_ns + (last_ns - first_ns) * n // count for n in range(1, count)})
    return tuple(Segment(start, stop) for start, stop in pairwise([None, *times, None]))


def _choose_topic(bag: Bag, options: EvaluationOptions) -> tuple[BagTopic, bool]:
    """The topic of the frames, and whether it is one of images."""
    name = options.bags[0].topic
    try:
        return choose_image_topic(bag, name), True
    except DataError:
        # A bag of results alone can still be scored against a truth with stamps.
        recorded = options.predictions
        alone = recorded is not None and recorded.bag is None and not name
        if recorded is not None and alone and recorded.topic in bag.topics:
            return bag.topics[recorded.topic], False
        raise


def _fingerprint(path: BagPath) -> dict[str, int]:
    """Names and sizes of the bag's files: the same bag elsewhere is the same bag."""
    files: list[Any] = sorted(path.iterdir()) if path.is_dir() else [path]
    return {
        file.name: file.stat().st_size
        for file in files
        if file.is_file() and file.suffix in (".mcap", ".db3", ".zstd")
    }


def _check_header(found: Mapping[str, Any], expected: Mapping[str, Any], folder: Path) -> None:
    expected = json.loads(json.dumps(expected))
    changed = sorted(key for key in {*found, *expected} if found.get(key) != expected.get(key))
    if changed:
        raise DataError(
            f"{folder} holds the results of another evaluation (different: {', '.join(changed)}); "
            "choose another --output, or --overwrite"
        )


def unique_names(bags: Sequence[BagSource]) -> list[str]:
    """A name for the results of each bag."""
    stems = [bag.path.resolve().name.removesuffix(".mcap").removesuffix(".db3") for bag in bags]
    taken = Counter(stems)
    names = []
    for stem in stems:
        name, number = stem, 0
        while taken[name] > (number == 0):
            number += 1
            name = f"{stem}_{number}"
        taken[name] += number > 0
        names.append(name)
    return names
