"""Writes the results of an evaluation that has just finished into a new bag."""

from __future__ import annotations

from yolact_ros.evaluation.bag.evaluate import Watcher
from yolact_ros.evaluation.bag.export import ExportOptions, export_results
from yolact_ros.evaluation.bag.images import choose_image_topic
from yolact_ros.evaluation.bag.journal import Journal
from yolact_ros.evaluation.bag.options import EvaluationOptions
from yolact_ros.evaluation.bag.problems import ProblemLog
from yolact_ros.evaluation.bag.storage import Bag
from yolact_ros.evaluation.bag.truth_source import open_truth

__all__ = ["export_evaluation"]


def export_evaluation(options: EvaluationOptions, export: ExportOptions, watcher: Watcher) -> None:
    """Write instances, overlay and truth of the one bag that ``options`` evaluated.

    Raises:
        DataError: it has no images, or the new bag exists or cannot be written.
    """
    (path,) = options.bags
    with Bag(path) as bag, Journal(options.output) as journal:
        topic = choose_image_topic(bag, options.topic)
        told = watcher.start(f"writing {export.path.name}", topic.message_count)
        if not options.truth:
            export_results(bag, topic.name, journal, None, export, told)
            return
        truth = open_truth(options.truth[0], path, ProblemLog(), key=options.truth_key)
        with truth:
            export_results(bag, topic.name, journal, truth, export, told)
