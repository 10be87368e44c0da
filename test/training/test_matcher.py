from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from yolact_ros.ops.boxes import encode_boxes
from yolact_ros.training.targets import BACKGROUND, NEUTRAL, match_priors

GOLDEN = np.load(Path(__file__).parents[1] / "data" / "unit.npz")


def golden(name: str) -> torch.Tensor:
    return torch.from_numpy(GOLDEN[f"match/{name}"])


def test_targets_equal_the_recorded_reference() -> None:
    matches = match_priors(golden("priors"), golden("gt"), golden("labels"), golden("crowds"))
    assert torch.equal(matches.classes, golden("conf_t"))
    assert torch.equal(matches.object_index, golden("idx_t"))
    torch.testing.assert_close(matches.box_offsets, golden("loc_t"), rtol=1e-5, atol=1e-6)


def test_targets_without_crowds_equal_the_recorded_reference() -> None:
    matches = match_priors(golden("priors"), golden("gt"), golden("labels"), torch.zeros(0, 4))
    assert torch.equal(matches.classes, golden("conf_t_no_crowd"))


def test_every_object_gets_a_prior_even_when_none_overlaps_enough() -> None:
    priors = torch.tensor([[0.25, 0.25, 0.2, 0.2], [0.75, 0.75, 0.2, 0.2]])
    objects = torch.tensor([[0.16, 0.16, 0.2, 0.2], [0.7, 0.7, 0.72, 0.72]])
    matches = match_priors(priors, objects, torch.tensor([4, 7]), torch.zeros(0, 4))
    assert matches.classes.tolist() == [5, 8]


def test_two_objects_with_the_same_best_prior_get_one_each() -> None:
    priors = torch.tensor([[0.5, 0.5, 0.4, 0.4], [0.52, 0.5, 0.4, 0.4], [0.1, 0.1, 0.1, 0.1]])
    objects = torch.tensor([[0.3, 0.3, 0.7, 0.7], [0.3, 0.3, 0.7, 0.69]])
    matches = match_priors(priors, objects, torch.tensor([0, 1]), torch.zeros(0, 4))
    assert matches.classes.tolist() == [1, 2, BACKGROUND]
    torch.testing.assert_close(matches.box_offsets[:2], encode_boxes(objects, priors[:2]))


def test_overlap_between_the_thresholds_is_neutral() -> None:
    objects = torch.tensor([[0.0, 0.0, 0.4, 0.4]])
    wide = [[0.2, 0.2, 0.4, 0.4 * scale] for scale in (1.0, 1.6, 2.2, 3.0)]
    matches = match_priors(torch.tensor(wide), objects, torch.tensor([2]), torch.zeros(0, 4))
    assert matches.classes.tolist() == [3, 3, NEUTRAL, BACKGROUND]


def test_priors_inside_a_crowd_do_not_learn_background() -> None:
    priors = torch.tensor([[0.5, 0.5, 0.2, 0.2], [0.9, 0.9, 0.1, 0.1]])
    crowd = torch.tensor([[0.3, 0.3, 0.7, 0.7]])
    matches = match_priors(priors, torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), crowd)
    assert matches.classes.tolist() == [NEUTRAL, BACKGROUND]


@pytest.mark.parametrize("seed", range(5))
def test_matching_equals_a_slow_twin(seed: int) -> None:
    random = np.random.default_rng(seed)
    priors = torch.from_numpy(random.uniform(0.05, 0.95, (60, 4)).astype(np.float32))
    corners = (
        np.sort(random.uniform(0, 1, (5, 2, 2)), axis=1)
        + [
            [[0, 0]],
        ]
        * 5
    )
    corners[:, 1] += 0.02
    objects = torch.from_numpy(corners.reshape(5, 4).astype(np.float32))
    labels = torch.arange(5)
    matches = match_priors(priors, objects, labels, torch.zeros(0, 4))
    assert matches.classes.tolist() == slow_classes(priors, objects, labels)


def slow_classes(priors: torch.Tensor, objects: torch.Tensor, labels: torch.Tensor) -> list[int]:
    overlap = {
        (o, p): slow_iou(objects[o].tolist(), prior_corners(priors[p].tolist()))
        for o in range(len(objects))
        for p in range(len(priors))
    }
    owned: dict[int, int] = {}
    waiting = set(range(len(objects)))
    while waiting:
        pairs = [(o, p) for o in waiting for p in range(len(priors)) if p not in owned]
        best = max(pairs, key=lambda pair: overlap[pair])
        owned[best[1]] = best[0]
        waiting.remove(best[0])
    result = []
    for p in range(len(priors)):
        nearest = max(range(len(objects)), key=lambda o: overlap[o, p])
        if p in owned:
            result.append(int(labels[owned[p]]) + 1)
        elif overlap[nearest, p] >= 0.5:
            result.append(int(labels[nearest]) + 1)
        else:
            result.append(NEUTRAL if overlap[nearest, p] >= 0.4 else BACKGROUND)
    return result


def prior_corners(prior: list[float]) -> list[float]:
    cx, cy, w, h = prior
    return [cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2]


def slow_iou(a: list[float], b: list[float]) -> float:
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return width * height / (areas - width * height)
