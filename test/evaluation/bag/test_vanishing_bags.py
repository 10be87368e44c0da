"""A bag that is deleted during an evaluation is left out, and the others are scored."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from bag_samples import ShapeSource, image_messages, sources, truth_messages, write_bag

from yolact_ros.evaluation.bag.evaluate import evaluate_bags
from yolact_ros.evaluation.bag.options import EvaluationOptions


class Deleting:
    """Deletes a folder when a kind of work begins."""

    def __init__(self, folder: Path, work: str) -> None:
        self._folder = folder
        self._work = work

    def start(self, title: str, total: int | None) -> Callable[[int], None]:
        if title == self._work:
            shutil.rmtree(self._folder)
        return lambda count: None


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("work", ["2 bags", "scoring"])
def test_a_bag_that_vanishes_is_left_out(tmp_path: Path, work: str, jobs: int) -> None:
    messages = image_messages(4) + truth_messages(4)
    stays, goes = (write_bag(tmp_path / name, messages) for name in ("stays", "goes"))
    options = EvaluationOptions(
        bags=sources(stays, goes), output=tmp_path / "out", source=ShapeSource(), jobs=jobs
    )
    metrics = evaluate_bags(options, Deleting(goes, work))
    assert metrics["bags"] == ["stays"]
    assert metrics["accuracy"]["segm"]["ap"] == 1.0
    (left_out,) = metrics["bags_failed"]
    assert left_out["reason"].startswith(f"{goes}: no such bag; expected a folder")
    assert str(goes) in (tmp_path / "out" / "report.html").read_text()
