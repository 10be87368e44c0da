"""Opens what ``--truth`` names: a COCO file, or a topic of this bag or another."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from yolact_ros.evaluation.bag.options import TopicAddress
from yolact_ros.evaluation.bag.problems import ProblemLog
from yolact_ros.evaluation.bag.reading.local_copy import local_copies
from yolact_ros.evaluation.bag.reading.location import RemotePath, location, without_secrets
from yolact_ros.evaluation.bag.reading.sources import BagSource
from yolact_ros.evaluation.bag.reading.storage import Bag
from yolact_ros.evaluation.bag.truth.truth import Truth, read_truth_topic
from yolact_ros.evaluation.bag.truth.truth_file import read_truth_file
from yolact_ros.evaluation.bag.truth.truth_text import read_truth_text

__all__ = ["open_truth"]


def open_truth(
    source: BagSource,
    problems: ProblemLog,
    *,
    key: str = "auto",
    classes: Sequence[str] = (),
    model_classes: Sequence[str] = (),
) -> Truth | None:
    """The truth of one bag's frames; None where the source names none.

    Args:
        source: with a truth that is the path of a COCO, MOT or MOTS file, ``/topic`` or
            ``/topic@bag``.
        problems: receives unreadable messages and classes that are left out.
        key: what ties an image of the file to a frame.
        classes: keep these only.
        model_classes: without ``classes``, keep those that the model knows; empty keeps all.

    Raises:
        DataError: the truth cannot be read or has none of the classes.
        ConfigError: it is neither a file nor a topic.
    """
    text = source.truth
    if not text:
        return None
    if text.startswith("/") and not Path(text).is_file():
        address = TopicAddress.parse(text)
        with Bag(address.bag or source.path) as bag:
            # The bag's own damage is listed by whoever reads its images.
            truth = read_truth_topic(bag, address.topic, problems)
    else:
        with ExitStack() as stack:
            path = location(text)
            if isinstance(path, RemotePath):
                path = stack.enter_context(local_copies([path])) / path.name
            is_text = path.suffix == ".txt"
            truth = read_truth_text(path) if is_text else read_truth_file(path, key)
        problems.add_defects(truth.defects, without_secrets(text))
    if classes:
        truth.keep_classes(classes)
    elif model_classes:
        for name in truth.keep_known_classes(model_classes):
            problems.add("class unknown to the model", name, "its objects are not part of AP")
    return truth
