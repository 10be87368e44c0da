"""Opens what ``--truth`` names: a COCO file, or a topic of this bag or another."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from yolact_ros.evaluation.bag.options import TopicAddress
from yolact_ros.evaluation.bag.problems import ProblemLog
from yolact_ros.evaluation.bag.storage import Bag
from yolact_ros.evaluation.bag.truth import Truth
from yolact_ros.evaluation.bag.truth_json import read_truth_file
from yolact_ros.evaluation.bag.truth_text import read_truth_text
from yolact_ros.evaluation.bag.truth_topic import read_truth_topic

__all__ = ["open_truth"]


def open_truth(
    text: str,
    bag_path: Path,
    problems: ProblemLog,
    *,
    key: str = "auto",
    classes: Sequence[str] = (),
    model_classes: Sequence[str] = (),
) -> Truth:
    """The truth of one bag's frames.

    Args:
        text: path of a COCO, MOT or MOTS file, ``/topic`` or ``/topic@bag``.
        bag_path: the bag at hand.
        problems: receives unreadable messages and classes that are left out.
        key: what ties an image of the file to a frame.
        classes: keep these only.
        model_classes: without ``classes``, keep those that the model knows; empty keeps all.

    Raises:
        DataError: the truth cannot be read or has none of the classes.
        ConfigError: ``text`` is neither a file nor a topic.
    """
    if text.startswith("/") and not Path(text).is_file():
        address = TopicAddress.parse(text)
        with Bag(address.bag or bag_path) as bag:
            truth = read_truth_topic(bag, address.topic)
            # The bag's own damage is listed by whoever reads its images.
            for kind in ("unreadable truth",):
                problems.extend(_only(bag.problems, kind))
    elif Path(text).suffix == ".txt":
        truth = read_truth_text(Path(text))
    else:
        truth, _ = read_truth_file(Path(text), key)
        problems.add_defects(truth.defects, text)
    if classes:
        truth.keep_classes(classes)
    elif model_classes:
        for name in truth.keep_known_classes(model_classes):
            problems.add("class unknown to the model", name, "its objects are not part of AP")
    return truth


def _only(log: ProblemLog, kind: str) -> ProblemLog:
    kept = ProblemLog()
    kept.counts = {name: count for name, count in log.counts.items() if name == kind}
    kept.examples = [problem for problem in log.examples if problem.kind == kind]
    return kept
