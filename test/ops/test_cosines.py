"""The coarse shape of an instance in its box: against its definition, term by term."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from yolact_ros.ops.cosines import SCALE, box_cosines, shape_logits
from yolact_ros.ops.masks import mask_logits

BOX = torch.tensor([[0.25, 0.1, 0.75, 0.9]])


def slow_series(terms: list[float], box: list[float], y: float, x: float) -> float:
    order = math.isqrt(len(terms))
    left, top, right, bottom = box
    v, u = (y - top) / (bottom - top), (x - left) / (right - left)
    return SCALE * sum(
        terms[i * order + j] * math.cos(math.pi * i * v) * math.cos(math.pi * j * u)
        for i in range(order)
        for j in range(order)
    )


@pytest.mark.parametrize("order", [1, 2, 4])
def test_every_pixel_has_the_sum_of_all_terms(order: int) -> None:
    random = np.random.default_rng(order)
    terms = torch.from_numpy(random.uniform(-1, 1, (2, order**2)))
    boxes = torch.tensor([[0.2, 0.1, 0.7, 0.5], [-0.1, 0.3, 1.2, 0.35]], dtype=torch.float64)
    logits = shape_logits(terms, boxes, 6, 9)
    for n, y, x in np.ndindex(2, 6, 9):
        expected = slow_series(terms[n].tolist(), boxes[n].tolist(), (y + 0.5) / 6, (x + 0.5) / 9)
        assert float(logits[n, y, x]) == pytest.approx(expected)


def test_the_hosts_cosines_are_those_of_the_device() -> None:
    positions = (np.arange(9, dtype=np.float32) + 0.5) / 9
    edges = np.array([[0.1, 0.6], [0.3, 0.3]], np.float32)
    across = torch.from_numpy(box_cosines(edges, positions, 3))
    boxes = torch.tensor([[0.1, 0.0, 0.6, 1.0], [0.3, 0.0, 0.3, 1.0]])
    for j in range(3):
        terms = torch.zeros(2, 9)
        terms[:, j] = 1 / SCALE  # constant down the box
        torch.testing.assert_close(
            shape_logits(terms, boxes, 1, 9)[:, 0], across[:, j], atol=1e-2, rtol=0
        )


def test_the_first_term_is_the_same_everywhere() -> None:
    terms = torch.zeros(1, 16)
    terms[0, 0] = -0.5
    assert (shape_logits(terms, BOX, 4, 5) == -2).all()


def test_a_shape_keeps_its_place_in_the_box_whatever_the_boxs_size() -> None:
    """A wave down the box: + at its upper edge, 0 at its middle, - at its lower edge."""
    terms = torch.zeros(1, 4)
    terms[0, 2] = 1
    for top, bottom in ((0.0, 1.0), (0.25, 0.75)):
        box = torch.tensor([[0.0, top, 1.0, bottom]])
        values = shape_logits(terms, box, 101, 1)[0, :, 0]
        middle = values[50]
        assert float(middle) == pytest.approx(0, abs=1e-4)
        assert float(values[round(top * 100)]) > 3.9
        assert float(values[round(bottom * 100)]) < -3.9


def test_corners_in_either_order_are_one_box() -> None:
    terms = torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, (1, 9)).astype("f4"))
    turned = BOX[:, [2, 3, 0, 1]]
    assert torch.equal(shape_logits(terms, BOX, 8, 8), shape_logits(terms, turned, 8, 8))


def test_a_box_without_an_extent_and_a_huge_one_give_finite_logits() -> None:
    boxes = torch.tensor([[0.5, 0.5, 0.5, 0.5], [-1e30, -1e30, 1e30, 1e30]])
    assert shape_logits(torch.ones(2, 16), boxes, 8, 8).isfinite().all()


def test_without_further_coefficients_the_logits_are_those_of_the_prototypes() -> None:
    prototypes, coefficients = torch.randn(3, 4, 2), torch.randn(1, 2)
    expected = (prototypes @ coefficients[0])[None]
    torch.testing.assert_close(mask_logits(prototypes, coefficients, BOX), expected)


def test_the_shape_is_added_to_the_prototypes_logits() -> None:
    prototypes, coefficients = torch.randn(3, 4, 2), torch.randn(1, 6)
    expected = (prototypes @ coefficients[0, :2])[None]
    expected = expected + shape_logits(coefficients[:, 2:], BOX, 3, 4)
    torch.testing.assert_close(mask_logits(prototypes, coefficients, BOX), expected)


def test_gradients_reach_the_terms() -> None:
    terms = torch.zeros(1, 16, requires_grad=True)
    shape_logits(terms, BOX, 8, 8)[0, 4, 4].backward()
    assert terms.grad is not None
    assert float(terms.grad[0, 0]) == SCALE
