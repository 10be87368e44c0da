"""What to evaluate and how."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from yolact_ros.errors import ConfigError
from yolact_ros.evaluation.bag.replay_options import ReplayOptions
from yolact_ros.evaluation.bag.segmenter import SegmenterSource
from yolact_ros.tracking import TrackerSettings

__all__ = ["EvaluationOptions", "TopicAddress"]


@dataclass(frozen=True)
class TopicAddress:
    """A topic, maybe of another bag: ``/topic`` or ``/topic@path/of/bag``.

    Attributes:
        topic: name.
        bag: None for the bag at hand.
    """

    topic: str
    bag: Path | None = None

    @classmethod
    def parse(cls, text: str) -> TopicAddress:
        """Read ``/topic`` or ``/topic@bag``.

        Raises:
            ConfigError: the topic does not start with a slash.
        """
        topic, _, bag = text.partition("@")
        if not topic.startswith("/"):
            raise ConfigError(f"{text!r} is no topic: expected /name or /name@BAG")
        return cls(topic, Path(bag) if bag else None)


@dataclass(frozen=True)
class EvaluationOptions:
    """What ``yolact bag evaluate`` does.

    Attributes:
        bags: to evaluate.
        output: folder of the results; several bags get a folder each inside.
        topic: of images; empty takes the only one.
        source: of the network; None scores recorded predictions.
        predictions: where recorded predictions are; None runs the network.
        truth: a COCO file or a topic for all bags, or one for each; empty for none.
        truth_key: see :func:`yolact_ros.evaluation.bag.truth_json.read_truth_file`.
        classes: score these only; empty takes those that the model knows.
        all_classes: score classes that the model does not know, too.
        operating_threshold: score from which on the robot acts on a detection.
        replay: real time; None takes every frame in its time.
        tracker: follows what was found, afterwards; in real time the replay's does.
        measure_tracks: against the tracks of the truth; recorded ids where there is no tracker.
        jobs: processes.
        limit: frames of each bag; 0 takes all.
        num_worst: frames to show.
        overwrite: throw away what ``output`` holds of another evaluation.
        command: as the user gave it, for the report.
    """

    bags: tuple[Path, ...]
    output: Path
    topic: str = ""
    source: SegmenterSource | None = None
    predictions: TopicAddress | None = None
    truth: tuple[str, ...] = ()
    truth_key: str = "auto"
    classes: tuple[str, ...] = ()
    all_classes: bool = False
    operating_threshold: float = 0.3
    replay: ReplayOptions | None = None
    tracker: TrackerSettings | None = None
    measure_tracks: bool = False
    jobs: int = 1
    limit: int = 0
    num_worst: int = 12
    overwrite: bool = False
    command: str = ""

    def __post_init__(self) -> None:
        if not self.bags:
            raise ConfigError("no bag to evaluate")
        if (self.source is None) == (self.predictions is None):
            raise ConfigError("evaluate a model or recorded predictions, not both or neither")
        if self.predictions is not None and self.replay is not None:
            raise ConfigError("recorded predictions already have their timing: no --real-time")
        if len(self.truth) not in (0, 1, len(self.bags)):
            raise ConfigError(
                f"{len(self.truth)} truths for {len(self.bags)} bags: give one for all or one each"
            )
        if self.measure_tracks and not self.truth:
            raise ConfigError("--track holds tracks against those of a --truth: name one")
        if not 0.0 <= self.operating_threshold <= 1.0:
            raise ConfigError(
                f"operating threshold is {self.operating_threshold}, expected 0 to 1"
            )
        if self.jobs < 1 or self.limit < 0 or self.num_worst < 0:
            raise ConfigError("jobs must be at least 1, limit and worst frames at least 0")
        if self.replay is not None and self.jobs > 1:
            raise ConfigError("real time runs one frame at a time, as the robot does: --jobs 1")
