"""What an evaluation will do with each bag, found out before any work."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yolact_ros.errors import DataError
from yolact_ros.evaluation.bag.images import choose_image_topic
from yolact_ros.evaluation.bag.options import EvaluationOptions
from yolact_ros.evaluation.bag.process import BagTask
from yolact_ros.evaluation.bag.storage import Bag

__all__ = ["BagPlan", "plan_bags"]


@dataclass(frozen=True)
class BagPlan:
    """One bag of an evaluation.

    Attributes:
        task: its frames and the folder of their records.
        truth: file or topic; empty for none.
        has_images: False where only results were recorded.
    """

    task: BagTask
    truth: str
    has_images: bool

    @property
    def name(self) -> str:
        """Of the bag, for people."""
        return self.task.bag.name

    @property
    def num_frames(self) -> int | None:
        """How many will be taken; None if unknown."""
        count = self.task.num_messages
        if count is None or not self.task.stop:
            return count
        return min(count, self.task.stop)


def plan_bags(options: EvaluationOptions, described: Mapping[str, Any]) -> list[BagPlan]:
    """Open every bag once, choose its topic and its folder.

    Args:
        options: of the evaluation.
        described: what decides the results beside the bag, for the journals' headers.

    Raises:
        DataError: a bag cannot be read, has no image topic, or has several and none is named.
    """
    names = _unique_names(options.bags)
    plans = []
    for number, (path, name) in enumerate(zip(options.bags, names, strict=True)):
        with Bag(path) as bag:
            topic, count, has_images = _topic(bag, options)
        folder = options.output if len(options.bags) == 1 else options.output / name
        header = {"format": 1, "bag": _fingerprint(path), "topic": topic, **described}
        truth = options.truth[number % len(options.truth)] if options.truth else ""
        task = BagTask(path, topic, folder, header, options.limit, count)
        plans.append(BagPlan(task, truth, has_images))
    return plans


def _topic(bag: Bag, options: EvaluationOptions) -> tuple[str, int | None, bool]:
    try:
        chosen = choose_image_topic(bag, options.topic)
    except DataError:
        # A bag of results alone can still be scored against a truth with stamps.
        alone = options.predictions is not None and options.predictions.bag is None
        if alone and not options.topic and options.predictions:
            recorded = bag.topics.get(options.predictions.topic)
            if recorded is not None:
                return recorded.name, recorded.message_count, False
        raise
    return chosen.name, chosen.message_count, True


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
    counts = Counter(stems)
    seen: Counter[str] = Counter()
    names = []
    for stem in stems:
        seen[stem] += 1
        names.append(f"{stem}_{seen[stem]}" if counts[stem] > 1 else stem)
    return names
