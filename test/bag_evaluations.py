"""Evaluations of made-up bags by a source that knows the shapes in them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from bag_samples import (
    TRUTH_TOPIC,
    ShapeSource,
    sources,
)

from yolact_ros.evaluation.bag.evaluate import evaluate_bags
from yolact_ros.evaluation.bag.options import EvaluationOptions


class Silent:
    """A watcher that counts."""

    def __init__(self) -> None:
        self.done: dict[str, int] = {}
        self.totals: dict[str, int | None] = {}

    def start(self, title: str, total: int | None) -> Callable[[int], None]:
        self.done[title] = 0
        self.totals[title] = total

        def told(count: int) -> None:
            self.done[title] += count

        return told


def options(
    bag: Path, output: Path, truth: str = TRUTH_TOPIC, **changes: Any
) -> EvaluationOptions:
    standard = EvaluationOptions(
        bags=sources(bag, truth=truth), output=output, source=ShapeSource(), command="yolact"
    )
    return replace(standard, **changes)


def evaluate(settings: EvaluationOptions) -> dict[str, Any]:
    return dict(evaluate_bags(settings, Silent()))
