"""Softmax by class."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from yolact_ros.inference.softmax import softmax_by_class


def compute(
    logits: np.ndarray, class_ids: tuple[int, ...] | None = None
) -> tuple[np.ndarray, ...]:
    odds = np.empty(logits.shape[::-1], np.float32)
    softmax = softmax_by_class(logits, class_ids, odds)
    return (
        (softmax.by_class / softmax.totals).T,
        softmax.best / softmax.totals,
        softmax.background / softmax.totals,
    )


@pytest.mark.parametrize("scale", [1, 10, 1000])
@pytest.mark.parametrize("class_ids", [None, (0,), (2, 7)])
def test_probabilities_are_those_of_the_whole_softmax(
    scale: float, class_ids: tuple[int, ...] | None
) -> None:
    logits = np.random.default_rng(0).normal(size=(500, 10)).astype(np.float32) * scale
    expected = torch.from_numpy(logits).softmax(dim=1).numpy()
    scores, best, background = compute(logits, class_ids)
    columns = [class_id + 1 for class_id in class_ids or range(9)]
    np.testing.assert_allclose(scores, expected[:, columns], rtol=2e-6, atol=3e-35)
    np.testing.assert_array_equal(best, scores.max(axis=1))
    np.testing.assert_allclose(background, expected[:, 0], rtol=2e-6, atol=3e-35)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 64, 101])
def test_equal_logits_have_equal_bits_wherever_they_stand(count: int) -> None:
    """NMS ranks equal scores by class and row, and takes some of them before others."""
    logits = np.random.default_rng(1).normal(size=(101, 81)).astype(np.float32) * 5
    everything, best, _ = compute(logits)
    part, part_best, _ = compute(np.ascontiguousarray(logits[-count:]))
    np.testing.assert_array_equal(part, everything[-count:])
    np.testing.assert_array_equal(part_best, best[-count:])
