"""What an evaluation needs of a network, and how it keeps what the network found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from yolact_ros.evaluation.bag.frame import FoundInstance
from yolact_ros.evaluation.bag.replay_options import ReplayOptions
from yolact_ros.evaluation.results import prediction_to_results
from yolact_ros.inference.quality.runner import BudgetRunner
from yolact_ros.prediction import Prediction

__all__ = ["Segmenter", "SegmenterSource", "found_instances"]


class Segmenter(Protocol):
    """Finds instances in images, one after the other."""

    @property
    def class_names(self) -> Sequence[str]:
        """The index is the class id."""

    def segment(self, image_bgr: NDArray[np.uint8]) -> tuple[Prediction, Mapping[str, float]]:
        """What is in the image (uint8[H, W, 3]), and milliseconds by stage."""

    def close(self) -> None:
        """Free the network."""


class SegmenterSource(Protocol):
    """Opens a segmenter in this or another process; pickled on the way there."""

    def open(self) -> Segmenter:
        """Load the network.

        Raises:
            YolactError: no such model, or a device that is not there.
        """

    def open_runner(self, replay: ReplayOptions) -> BudgetRunner:
        """Load the network at every input size of the replay, under its budget.

        Raises:
            YolactError: no such model, a size it cannot have, or a device that is not there.
        """

    def describe(self) -> Mapping[str, Any]:
        """What decides the result, in JSON types: equal descriptions give equal results.

        Has ``model`` (a name for people) and ``class_names``.
        """


def found_instances(
    prediction: Prediction, class_names: Sequence[str]
) -> tuple[FoundInstance, ...]:
    """A prediction as an evaluation stores it: rounded like COCO results, so AP is the same."""
    rows = prediction_to_results(prediction, 0, range(len(class_names)))
    return tuple(
        FoundInstance(
            class_id=row["category_id"],
            class_name=class_names[row["category_id"]],
            score=row["score"],
            bbox_xywh=tuple(row["bbox"]),
            counts=row["segmentation"]["counts"] if "segmentation" in row else "",
            track_id=row.get("track_id", 0),
            track_age=row.get("track_age", 0),
        )
        for row in rows
    )
