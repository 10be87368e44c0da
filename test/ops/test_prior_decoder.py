"""The boxes of an image that can be reported."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from made_up_outputs import find_candidates, made_up_priors

from yolact_ros.ops.decoder import LEAST_SCORE
from yolact_ros.ops.scratch import Scratch


@pytest.mark.parametrize("scale", [1, 10, 1000])
@pytest.mark.parametrize("class_ids", [None, (0,), (2, 7)])
def test_probabilities_are_those_of_the_whole_softmax(
    scale: float, class_ids: tuple[int, ...] | None
) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(500, 10, generator=generator) * scale
    columns = [class_id + 1 for class_id in class_ids or range(9)]
    expected = logits.softmax(dim=1)[:, columns].numpy()
    found = find_candidates(logits, torch.zeros(500, 4), made_up_priors(500), 0.05, class_ids)
    reported = found.class_scores.any(axis=1)
    rows = np.flatnonzero(expected.max(axis=1) > 0.05)
    np.testing.assert_array_equal(found.rows[reported], rows)
    scores = np.where(found.class_scores > LEAST_SCORE, found.class_scores, 0)[reported]
    np.testing.assert_allclose(scores, expected[rows], rtol=2e-6, atol=3e-35)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 64, 101])
def test_equal_logits_have_equal_bits_wherever_they_stand(count: int) -> None:
    """NMS ranks equal scores by class and row, and takes some of them before others."""
    logits = torch.randn(101, 81, generator=torch.Generator().manual_seed(1)) * 5
    logits[:, 0] = 0
    offsets, priors = torch.zeros(101, 4), made_up_priors(101)
    everything = find_candidates(logits, offsets, priors, 0.05)
    part = find_candidates(logits[-count:], offsets[-count:], priors[-count:], 0.05)
    assert len(everything.rows) == 101
    np.testing.assert_array_equal(part.class_scores, everything.class_scores[-count:])


def rows_above(floor: float, logits: torch.Tensor) -> np.ndarray:
    found = find_candidates(logits, torch.zeros(2001, 4), made_up_priors(2001), floor)
    return found.rows[found.class_scores.any(axis=1)]


def logits_around(value: float) -> torch.Tensor:
    logits = torch.zeros(2001, 3)
    logits[:, 1] = value + torch.linspace(-0.1, 0.1, 2001)
    logits[:, 2] = -60
    return logits


@pytest.mark.parametrize("floor", [0.05, 0.3, 0.9999])
def test_no_candidate_is_lost_before_the_softmax(floor: float) -> None:
    """Also next to the floor, as near as float32 can tell."""
    logits = logits_around(float(np.log(floor / (1 - floor))))
    above = logits.double().softmax(dim=1)[:, 1].numpy() / floor - 1
    clear = np.abs(above) > 1e-6
    assert clear.sum() > 1500
    found = rows_above(floor, logits)
    np.testing.assert_array_equal(found[clear[found]], np.flatnonzero(clear & (above > 0)))


def test_nothing_is_more_than_certain() -> None:
    assert len(rows_above(1.0, logits_around(30.0))) == 0


@pytest.mark.parametrize("class_ids", [None, (), (1,), (0, 1)])
def test_candidates_are_those_of_this_call_also_in_memory_that_held_more(
    class_ids: tuple[int, ...] | None,
) -> None:
    scratch = Scratch()
    logits = torch.randn(2003, 3, generator=torch.Generator().manual_seed(6)) * 3
    offsets, priors = torch.zeros(2003, 4), made_up_priors(2003)
    everything = torch.tensor([-9.0, 9.0, 9.0]).expand(2003, 3)
    find_candidates(everything, offsets, priors, 0.3, scratch=scratch)
    for part in (logits, logits[:101]):
        found = find_candidates(
            part, offsets[: len(part)], priors[: len(part)], 0.3, class_ids, scratch
        )
        columns = list(range(2) if class_ids is None else class_ids)
        scores = part.softmax(dim=1)[:, 1:][:, columns].numpy()
        expected = np.flatnonzero(scores.max(axis=1, initial=0.0) > 0.3)
        reported = found.class_scores.any(axis=1)
        np.testing.assert_array_equal(found.rows[reported], expected)
        np.testing.assert_allclose(found.class_scores[reported], scores[expected], rtol=1e-6)
