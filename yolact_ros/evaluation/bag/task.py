"""One bag of an evaluation: its frames, and where their records go; found out before any work."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yolact_ros.errors import DataError
from yolact_ros.evaluation.bag.image_topic import choose_image_topic
from yolact_ros.evaluation.bag.messages import BagTopic
from yolact_ros.evaluation.bag.options import EvaluationOptions
from yolact_ros.evaluation.bag.storage import Bag

__all__ = ["PROBLEMS_FILE", "BagTask", "plan_tasks"]

PROBLEMS_FILE = "problems.json"


@dataclass(frozen=True)
class BagTask:
    """The frames of one bag's image topic, and where their records go.

    Attributes:
        bag: path of the bag.
        topic: of images.
        folder: of the evaluation.
        header: of the records: what decides the results.
        truth: file or topic; empty for none.
        has_images: False where only results were recorded.
        stop: index of the first frame not to take; 0 takes all.
        num_frames: that will be taken, None if unknown.
    """

    bag: Path
    topic: str
    folder: Path
    header: Mapping[str, Any]
    truth: str = ""
    has_images: bool = True
    stop: int = 0
    num_frames: int | None = None

    @property
    def problems_file(self) -> Path:
        """What could not be read of the bag."""
        return self.folder / PROBLEMS_FILE


def plan_tasks(options: EvaluationOptions, described: Mapping[str, Any]) -> list[BagTask]:
    """Open every bag once, choose its topic and its folder.

    Args:
        options: of the evaluation.
        described: what decides the results beside the bag, for the records' headers.

    Raises:
        DataError: a bag cannot be read, has no image topic, or has several and none is named.
    """
    names = _unique_names(options.bags)
    tasks = []
    for number, (path, name) in enumerate(zip(options.bags, names, strict=True)):
        with Bag(path) as bag:
            topic, has_images = _choose_topic(bag, options)
        count = topic.message_count
        task = BagTask(
            bag=path,
            topic=topic.name,
            folder=options.output if len(options.bags) == 1 else options.output / name,
            header={"format": 1, "bag": _fingerprint(path), "topic": topic.name, **described},
            truth=options.truth[number % len(options.truth)] if options.truth else "",
            has_images=has_images,
            stop=options.limit,
            num_frames=None if count is None else min(count, options.limit or count),
        )
        tasks.append(task)
    return tasks


def _choose_topic(bag: Bag, options: EvaluationOptions) -> tuple[BagTopic, bool]:
    """The topic of the frames, and whether it is one of images."""
    try:
        return choose_image_topic(bag, options.topic), True
    except DataError:
        # A bag of results alone can still be scored against a truth with stamps.
        recorded = options.predictions
        alone = recorded is not None and recorded.bag is None and not options.topic
        if recorded is not None and alone and recorded.topic in bag.topics:
            return bag.topics[recorded.topic], False
        raise


def _fingerprint(path: Path) -> dict[str, int]:
    """Names and sizes of the bag's files: the same bag elsewhere is the same bag."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    return {
        file.name: file.stat().st_size
        for file in files
        if file.is_file() and file.suffix in (".mcap", ".db3", ".zstd")
    }


def _unique_names(paths: tuple[Path, ...]) -> list[str]:
    stems = [path.resolve().name.removesuffix(".mcap").removesuffix(".db3") for path in paths]
    seen: Counter[str] = Counter()
    names = []
    for stem in stems:
        seen[stem] += 1
        names.append(f"{stem}_{seen[stem]}" if stems.count(stem) > 1 else stem)
    return names
