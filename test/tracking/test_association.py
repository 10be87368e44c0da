"""Overlaps and assignments against slow, obvious ones."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from yolact_ros.errors import DependencyError
from yolact_ros.tracking import association
from yolact_ros.tracking.association import Assigner, pairwise_box_iou, shares_inside


def boxes(count: int, seed: int) -> np.ndarray:
    chance = np.random.default_rng(seed)
    first = chance.integers(0, 20, (count, 2))
    return np.concatenate((first, first + chance.integers(0, 12, (count, 2))), axis=1).astype(
        float
    )


def pixels(box: np.ndarray) -> set[tuple[int, int]]:
    left, top, right, bottom = box.astype(int)
    return set(itertools.product(range(left, right), range(top, bottom)))


@pytest.mark.parametrize("seed", range(5))
def test_overlaps_are_those_of_counted_pixels(seed: int) -> None:
    a, b = boxes(6, seed), boxes(7, seed + 100)
    iou, inside = pairwise_box_iou(a, b), shares_inside(a, b)
    for (row, one), (column, other) in itertools.product(enumerate(a), enumerate(b)):
        shared, union = pixels(one) & pixels(other), pixels(one) | pixels(other)
        assert iou[row, column] == pytest.approx(len(shared) / len(union) if union else 0)
        area = len(pixels(other))
        assert inside[row, column] == pytest.approx(len(shared) / area if area else 0)


@pytest.mark.parametrize("seed", range(5))
def test_no_other_pairs_have_a_larger_sum(seed: int) -> None:
    chance = np.random.default_rng(seed)
    gain = chance.random((4, 5))
    allowed = chance.random((4, 5)) < 0.6

    found = Assigner()(gain, allowed)

    best = 0.0
    for columns in itertools.permutations(range(5), 4):
        best = max(best, sum(gain[r, c] for r, c in enumerate(columns) if allowed[r, c]))
    assert gain[found.tracks, found.detections].sum() == pytest.approx(best)
    assert allowed[found.tracks, found.detections].all()
    assert len(set(found.tracks.tolist())) == len(found.tracks)


def test_without_scipy_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str, *, extra: str) -> None:
        raise DependencyError(f"this needs the package scipy: pip install '.[{extra}]'")

    monkeypatch.setattr(association, "require", missing)

    with pytest.raises(DependencyError, match=r"scipy.*\[track\]"):
        Assigner()
