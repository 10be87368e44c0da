"""Assignment and losses of yolact_nano, against slow twins."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from yolact_ros.training.nano_loss import mask_loss, match_cells


def slow_iou(a: list[float], b: list[float]) -> float:
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    both = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return width * height / (both - width * height)


def slow_match(
    logits: Tensor, predicted: Tensor, true: Tensor, class_ids: Tensor, top: int
) -> dict[int, int]:
    """Object of each cell that learns one."""
    rating = [
        [
            (float(logits[c, class_ids[o]].sigmoid()) + 0.05)
            * slow_iou(true[o].tolist(), predicted[c].tolist()) ** 2
            for c in range(len(predicted))
        ]
        for o in range(len(true))
    ]
    owner: dict[int, int] = {}
    for o in range(len(true)):
        order = sorted(range(len(predicted)), key=lambda c: -rating[o][c])[:top]
        for place, c in enumerate(order):
            good = slow_iou(true[o].tolist(), predicted[c].tolist()) >= 0.5
            if rating[o][c] == 0 or not (good or place == 0):
                continue
            if c not in owner or rating[owner[c]][c] < rating[o][c]:
                owner[c] = o
    return owner


def made_up_boxes(count: int, generator: torch.Generator) -> Tensor:
    corners = torch.rand(count, 2, generator=generator) * 40
    return torch.cat([corners, corners + 10 + torch.rand(count, 2, generator=generator) * 30], 1)


@pytest.mark.parametrize("seed", range(5))
def test_cells_are_those_of_the_slow_twin(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    true = made_up_boxes(6, generator)
    predicted = true[torch.arange(120) % 6] + torch.randn(120, 4, generator=generator) * 3
    logits = torch.randn(120, 3, generator=generator) * 2
    class_ids = torch.tensor([0, 1, 2, 0, 1, 2])
    matches = match_cells(logits, predicted, true, class_ids, top=5)
    found = dict(zip(matches.cells.tolist(), matches.objects.tolist(), strict=True))
    assert found == slow_match(logits, predicted, true, class_ids, 5)
    assert 10 < len(found) <= 30


def test_an_object_that_no_box_fits_takes_its_best_cell() -> None:
    predicted = torch.tensor([[0.0, 0.0, 9.0, 9.0], [50.0, 50.0, 60.0, 60.0]])
    true = torch.tensor([[5.0, 5.0, 20.0, 20.0]])
    matches = match_cells(torch.zeros(2, 1), predicted, true, torch.tensor([0]))
    assert matches.cells.tolist() == [0]
    assert matches.objects.tolist() == [0]


def test_without_objects_no_cell_learns() -> None:
    matches = match_cells(
        torch.zeros(3, 2), torch.rand(3, 4), torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64)
    )
    assert len(matches.cells) == len(matches.objects) == 0


def slow_mask_loss(logits: Tensor, mask: Tensor, box: list[float]) -> float:
    """Over the positions whose middles are in the box, one by one."""
    entropy, common, both, count = 0.0, 0.0, 0.0, 0
    for row in range(logits.shape[0]):
        for column in range(logits.shape[1]):
            inside = box[0] <= column + 0.5 <= box[2] and box[1] <= row + 0.5 <= box[3]
            if not inside:
                continue
            p = 1 / (1 + math.exp(-float(logits[row, column])))
            t = float(mask[row, column])
            entropy -= t * math.log(p) + (1 - t) * math.log(1 - p)
            common += p * t
            both += p * p + t * t
            count += 1
    return entropy / count + 1 - (2 * common + 1) / (both + 1)


def test_mask_loss_is_that_of_the_slow_twin() -> None:
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(4, 9, 11, generator=generator) * 2
    masks = torch.rand(4, 9, 11, generator=generator)
    boxes = torch.tensor(
        [
            [0.0, 0.0, 11.0, 9.0],
            [2.2, 1.7, 7.9, 6.1],
            [-3.0, -2.0, 4.0, 20.0],
            [3.4, 3.4, 3.6, 3.6],
        ]
    )
    expected = [
        slow_mask_loss(*values, box.tolist())
        for *values, box in zip(logits, masks, boxes, strict=True)
    ]
    torch.testing.assert_close(mask_loss(logits, masks, boxes), torch.tensor(expected))


def test_a_box_between_two_positions_still_counts_one() -> None:
    logits = torch.zeros(1, 4, 4)
    loss = mask_loss(logits, torch.ones(1, 4, 4), torch.tensor([[1.6, 1.6, 2.4, 2.4]]))
    # One position: BCE ln 2 and Dice 1 - (2 * 0.5 + 1) / (0.25 + 1 + 1).
    torch.testing.assert_close(loss, torch.tensor([math.log(2) + 1 - 2 / 2.25]))


def test_nothing_outside_the_box_counts() -> None:
    generator = torch.Generator().manual_seed(4)
    logits = torch.randn(1, 8, 8, generator=generator, requires_grad=True)
    mask_loss(logits, torch.ones(1, 8, 8), torch.tensor([[2.0, 2.0, 6.0, 6.0]])).sum().backward()
    gradient = logits.grad
    assert gradient is not None
    assert (gradient[0, 2:6, 2:6] != 0).all()
    assert int((gradient != 0).sum()) == 16
