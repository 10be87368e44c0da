"""What to evaluate and how."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from yolact_ros.errors import ConfigError
from yolact_ros.evaluation.bag.reading.location import BagPath, location
from yolact_ros.evaluation.bag.reading.sources import BagSource
from yolact_ros.tracking import TrackerSettings

if TYPE_CHECKING:
    from yolact_ros.evaluation.bag.units.model_source import ModelSource

__all__ = ["EvaluationOptions", "ReplayOptions", "TopicAddress"]


@dataclass(frozen=True)
class TopicAddress:
    """A topic, maybe of another bag; None for the bag at hand."""

    topic: str
    bag: BagPath | None = None

    @classmethod
    def parse(cls, text: str) -> TopicAddress:
        """Read ``/topic`` or ``/topic@bag``.

        Raises:
            ConfigError: the topic does not start with a slash.
        """
        topic, _, bag = text.partition("@")
        if not topic.startswith("/"):
            raise ConfigError(f"{text!r} is no topic: expected /name or /name@BAG")
        return cls(topic, location(bag) if bag else None)


@dataclass(frozen=True)
class ReplayOptions:
    """How a bag is replayed in real time: a camera, a budget and a competing load.

    Attributes:
        rate: speed against the recording; 2 plays twice as fast.
        load: processes that keep one core busy each while the bag plays.
        budget_ms: deadline from reception to publication; 0 for none.
        overrun_policy: ``publish`` late results or ``drop`` them.
        input_sizes_px: network inputs, best first; empty for the model's own alone.

    Raises:
        ConfigError: a value out of range.
    """

    rate: float = 1.0
    load: int = 0
    budget_ms: float = 33.3
    overrun_policy: str = "publish"
    input_sizes_px: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not math.isfinite(self.rate) or self.rate <= 0:
            raise ConfigError(f"rate is {self.rate}, expected a positive number")
        if self.load < 0:
            raise ConfigError(f"load is {self.load}, expected a number of processes, 0 or more")
        if not math.isfinite(self.budget_ms) or self.budget_ms < 0:
            raise ConfigError(f"budget is {self.budget_ms} ms, expected 0 (none) or more")


@dataclass(frozen=True)
class EvaluationOptions:
    """What ``yolact bag evaluate`` does.

    Attributes:
        bags: to evaluate, each with its topic and truth.
        unusable: why others that were named cannot be, by the place where they are.
        output: folder of the results; several bags get a folder each inside.
        source: of the network; None scores recorded predictions.
        predictions: where recorded predictions are; None runs the network.
        truth_key: see :func:`.read_truth_file`.
        classes: score these only; empty takes those that the model knows.
        all_classes: score classes that the model does not know, too.
        operating_threshold: score from which on the robot acts on a detection.
        replay: real time; None takes every frame in its time.
        tracker: follows what was found: in real time while the bag plays, else afterwards.
        measure_tracks: against the tracks of the truth; recorded ids where there is no tracker.
        jobs: processes.
        ray: address of a Ray cluster that does the work; empty for this machine.
        name: of the one bag among the results; chosen by the evaluation.
        limit: frames of each bag; 0 takes all.
        num_worst: frames to show.
        overwrite: throw away what ``output`` holds of another evaluation.
        command: as the user gave it, for the report.

    Raises:
        ConfigError: values out of range, or that exclude each other.
    """

    bags: tuple[BagSource, ...]
    output: Path
    unusable: Mapping[str, str] = field(default_factory=dict)
    source: ModelSource | None = None
    predictions: TopicAddress | None = None
    truth_key: str = "auto"
    classes: tuple[str, ...] = ()
    all_classes: bool = False
    operating_threshold: float = 0.3
    replay: ReplayOptions | None = None
    tracker: TrackerSettings | None = None
    measure_tracks: bool = False
    jobs: int = 1
    ray: str = ""
    name: str = ""
    limit: int = 0
    num_worst: int = 12
    overwrite: bool = False
    command: str = ""

    def __post_init__(self) -> None:
        if not self.bags:
            raise ConfigError(next(iter(self.unusable.values()), "no bag to evaluate"))
        if (self.source is None) == (self.predictions is None):
            raise ConfigError("evaluate a model or recorded predictions, not both or neither")
        if self.predictions is not None and self.replay is not None:
            raise ConfigError("recorded predictions already have their timing: no --real-time")
        if self.measure_tracks and not any(bag.truth for bag in self.bags):
            raise ConfigError("--track holds tracks against those of a --truth: name one")
        if not 0.0 <= self.operating_threshold <= 1.0:
            raise ConfigError(
                f"operating threshold is {self.operating_threshold}, expected 0 to 1"
            )
        if self.jobs < 1 or self.limit < 0 or self.num_worst < 0:
            raise ConfigError("jobs must be at least 1, limit and worst frames at least 0")
        if self.replay is not None and self.jobs > 1:
            raise ConfigError("real time runs one frame at a time, as the robot does: --jobs 1")
        if self.replay is not None and self.ray:
            raise ConfigError("real time measures this computer: no --ray")
        if self.jobs > 1 and self.ray:
            raise ConfigError("--ray takes the cores of the cluster: no --jobs")

    @property
    def is_alone(self) -> bool:
        """One bag was named: its results are those of the evaluation."""
        return len(self.bags) + len(self.unusable) == 1

    @property
    def is_timed(self) -> bool:
        """Frames may be late or dropped, and then count by another's result."""
        return self.replay is not None or self.predictions is not None
