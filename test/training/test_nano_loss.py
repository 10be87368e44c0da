"""Assignment and losses of yolact_nano, against slow twins."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from yolact_ros.models.nano import NanoConfig, YolactNano
from yolact_ros.ops.masks import mask_logits
from yolact_ros.training.nano_loss import (
    CellMatches,
    NanoLossSettings,
    distribution_focal_loss,
    giou_loss,
    mask_loss,
    match_cells,
    matched_mask_logits,
    nano_losses,
    quality_focal_loss,
)
from yolact_ros.training.targets import ImageTarget, make_target


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
def test_cells_of_a_batch_are_those_of_the_slow_twin_for_each_image(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    true = made_up_boxes(9, generator)
    class_ids = torch.tensor([0, 1, 2, 0, 1, 2, 0, 1, 2])
    image_ids = torch.tensor([0, 0, 0, 0, 0, 0, 2, 2, 2])  # nothing in the second image
    near = true[torch.arange(360) % 9].reshape(3, 120, 4)
    predicted = near + torch.randn(3, 120, 4, generator=generator) * 3
    logits = torch.randn(3, 120, 3, generator=generator) * 2
    matches = match_cells(logits, predicted, true, class_ids, image_ids, top=5)
    for image, first, last in ((0, 0, 6), (1, 6, 6), (2, 6, 9)):
        here = matches.images == image
        objects = (matches.objects[here] - first).tolist()
        found = dict(zip(matches.cells[here].tolist(), objects, strict=True))
        own = slice(first, last)
        assert found == slow_match(logits[image], predicted[image], true[own], class_ids[own], 5)
        assert len(found) == len(objects)
    assert 20 < len(matches.cells) <= 45
    assert matches.weights.sum() == pytest.approx(9)


def test_an_object_that_no_box_fits_takes_its_best_cell() -> None:
    predicted = torch.tensor([[[0.0, 0.0, 9.0, 9.0], [50.0, 50.0, 60.0, 60.0]]])
    true = torch.tensor([[5.0, 5.0, 20.0, 20.0]])
    nothing = torch.zeros(1, dtype=torch.int64)
    matches = match_cells(torch.zeros(1, 2, 1), predicted, true, nothing, nothing)
    assert matches.cells.tolist() == [0]
    assert matches.objects.tolist() == [0]


def test_of_equal_objects_the_first_takes_the_cells() -> None:
    box = torch.tensor([[5.0, 5.0, 20.0, 20.0]])
    nothing = torch.zeros(2, dtype=torch.int64)
    matches = match_cells(
        torch.zeros(1, 3, 1), box.expand(1, 3, 4), box.expand(2, 4), nothing, nothing
    )
    assert matches.cells.tolist() == [0, 1, 2]
    assert matches.objects.tolist() == [0, 0, 0]


def test_without_objects_no_cell_learns() -> None:
    nothing = torch.zeros(0, dtype=torch.int64)
    matches = match_cells(
        torch.zeros(2, 3, 2), torch.rand(2, 3, 4), torch.zeros(0, 4), nothing, nothing
    )
    assert len(matches.cells) == len(matches.objects) == len(matches.weights) == 0


def test_masks_of_a_batch_are_those_of_each_image_alone() -> None:
    generator = torch.Generator().manual_seed(6)
    prototypes = torch.randn(3, 5, 7, 4, generator=generator)
    coefficients = torch.randn(6, 4 + 9, generator=generator)
    images = torch.tensor([0, 0, 0, 2, 2, 2])
    boxes = made_up_boxes(6, generator) / 80
    matches = CellMatches(images, torch.arange(6), torch.arange(6), torch.ones(6))
    expected = torch.cat(
        [mask_logits(prototypes[i], coefficients[images == i], boxes[images == i]) for i in (0, 2)]
    )
    torch.testing.assert_close(
        matched_mask_logits(prototypes, coefficients, matches, boxes), expected
    )


def slow_mask_loss(logits: Tensor, mask: Tensor, box: list[float]) -> float:
    """Over the positions whose middles are in the box or one beside it, one by one."""
    entropy, common, both, count = 0.0, 0.0, 0.0, 0
    for row in range(logits.shape[0]):
        for column in range(logits.shape[1]):
            x, y = column + 0.5, row + 0.5
            inside = box[0] - 1 <= x <= box[2] + 1 and box[1] - 1 <= y <= box[3] + 1
            if not inside:
                continue
            p = 1 / (1 + math.exp(-float(logits[row, column])))
            t = float(mask[row, column])
            entropy -= t * math.log(p) + (1 - t) * math.log(1 - p)
            common += p * t
            both += p * p + t * t
            count += 1
    return 0.5 * entropy / count + 1.5 * (1 - (2 * common + 0.1) / (both + 0.1))


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


def test_a_box_beside_the_image_still_counts_one_position() -> None:
    logits = torch.zeros(1, 4, 4)
    loss = mask_loss(logits, torch.ones(1, 4, 4), torch.tensor([[-3.0, 6.0, -2.0, 7.0]]))
    # One position: BCE ln 2 and Dice 1 - (2 * 0.5 + 0.1) / (0.25 + 1 + 0.1).
    torch.testing.assert_close(loss, torch.tensor([0.5 * math.log(2) + 1.5 * (1 - 1.1 / 1.35)]))


def test_nothing_further_outside_the_box_counts() -> None:
    generator = torch.Generator().manual_seed(4)
    logits = torch.randn(1, 8, 8, generator=generator, requires_grad=True)
    mask_loss(logits, torch.ones(1, 8, 8), torch.tensor([[3.0, 3.0, 5.0, 5.0]])).sum().backward()
    gradient = logits.grad
    assert gradient is not None
    assert (gradient[0, 2:6, 2:6] != 0).all()
    assert int((gradient != 0).sum()) == 16


def test_quality_focal_loss_is_that_of_the_slow_twin() -> None:
    for logit, quality in ((-2.0, 0.0), (0.3, 0.8), (4.0, 0.9), (-5.0, 1.0)):
        p = 1 / (1 + math.exp(-logit))
        expected = -(quality * math.log(p) + (1 - quality) * math.log(1 - p)) * (quality - p) ** 2
        found = quality_focal_loss(torch.tensor([logit]), torch.tensor([quality]))
        assert float(found) == pytest.approx(expected, rel=1e-5)


def test_distribution_focal_loss_is_that_of_the_slow_twin() -> None:
    generator = torch.Generator().manual_seed(5)
    logits = torch.randn(3, 32, generator=generator)
    distances = torch.tensor([[0.0, 1.25, 6.5, 3.0], [-1.0, 9.0, 2.75, 0.5], [4.1, 4.9, 7.0, 1.0]])
    expected = []
    for row, wanted in zip(logits.tolist(), distances.tolist(), strict=True):
        terms = []
        for side, distance in enumerate(wanted):
            values = row[8 * side : 8 * side + 8]
            total = math.log(sum(math.exp(v) for v in values))
            distance = min(max(distance, 0.0), 6.999)
            low = int(distance)
            share = distance - low
            terms.append((total - values[low]) * (1 - share) + (total - values[low + 1]) * share)
        expected.append(sum(terms) / 4)
    found = distribution_focal_loss(logits, distances)
    torch.testing.assert_close(found, torch.tensor(expected))


def test_giou_loss_of_equal_apart_and_nested_boxes() -> None:
    predicted = torch.tensor([[0.0, 0, 2, 2], [0, 0, 1, 1], [0, 0, 4, 4]])
    true = torch.tensor([[0.0, 0, 2, 2], [2, 0, 3, 1], [1, 1, 3, 3]])
    # Apart: IoU 0, hull 3, union 2. Nested: IoU 4 / 16, the hull is the union.
    torch.testing.assert_close(giou_loss(predicted, true), torch.tensor([0.0, 1 + 1 / 3, 0.75]))


def made_up_targets(labelled: tuple[bool, ...] = (True, True)) -> list[ImageTarget]:
    """Two objects in the first image, none in the second, and a crowd in each."""
    masks = torch.zeros(3, 64, 64, dtype=torch.uint8)
    masks[0, 4:36, 8:28] = masks[1, 40:60, 30:62] = masks[2, 48:, :16] = 1
    boxes = torch.tensor([[8.0, 4, 28, 36], [30, 40, 62, 60], [0, 48, 16, 64]]) / 64
    whole = make_target("a", boxes, torch.tensor([0, 1, -1]), masks, labelled, None)
    empty = make_target("b", boxes[2:], torch.tensor([-1]), masks[2:], labelled, None)
    return [whole, empty]


def small_network() -> YolactNano:
    torch.manual_seed(2)
    return YolactNano(NanoConfig(input_size_px=64, class_names=("a", "b"), num_prototypes=4))


@pytest.mark.parametrize("most", [100, 3])
def test_the_losses_and_gradients_of_a_batch_are_the_sums_of_its_images(most: int) -> None:
    network = small_network()
    generator = torch.Generator().manual_seed(6)
    targets = []
    for number, count in enumerate((3, 0, 1, 5)):
        boxes = made_up_boxes(count, generator) / 80
        masks = (torch.rand(count, 64, 64, generator=generator) > 0.5).to(torch.uint8)
        class_ids = torch.arange(count) % 2
        class_ids[4:] = -1  # a crowd
        labelled = (True, number != 2)
        targets.append(make_target(str(number), boxes, class_ids, masks, labelled, None))
    assert [target.num_positives for target in targets] == [3, 0, 1, 4]
    settings = NanoLossSettings(max_trained_masks=most)
    images = torch.randn(4, 3, 64, 64, generator=generator)
    outputs = [network(images), *(network(images[i : i + 1]) for i in range(4))]
    for output in outputs:
        for values in output[:4]:
            values.retain_grad()
    whole = nano_losses(outputs[0], targets, 8, settings)
    parts = [nano_losses(outputs[1 + i], targets[i : i + 1], 8, settings) for i in range(4)]
    torch.stack(list(whole.values())).sum().backward()
    torch.stack([value for part in parts for value in part.values()]).sum().backward()
    assert set(whole) == {"box", "distribution", "class", "mask"}
    for name, value in whole.items():
        torch.testing.assert_close(value, torch.stack([part[name] for part in parts]).sum())
    for number, values in enumerate(outputs[0][:4]):
        expected = torch.cat([output[number].grad for output in outputs[1:]])
        assert expected.any()
        torch.testing.assert_close(values.grad, expected, atol=1e-6, rtol=1e-4)


def test_a_few_steps_on_one_image_learn_it() -> None:
    network, targets = small_network(), made_up_targets()
    images = torch.randn(2, 3, 64, 64)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    totals = []
    for _ in range(60):
        losses = nano_losses(network(images), targets, 2, NanoLossSettings())
        total = torch.stack(list(losses.values())).sum()
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        totals.append(float(total.detach()))
    assert totals[-1] < 0.6 * totals[0]


def test_classes_that_an_image_does_not_label_learn_nothing_from_it() -> None:
    network, targets = small_network(), made_up_targets(labelled=(True, False))[1:]
    output = network(torch.randn(1, 3, 64, 64))
    output.class_logits.retain_grad()
    nano_losses(output, targets, 1, NanoLossSettings())["class"].backward()
    gradient = output.class_logits.grad
    assert gradient is not None
    assert gradient[..., 0].any()
    assert not gradient[..., 1].any()


def test_cells_in_a_crowd_do_not_learn_background() -> None:
    network, targets = small_network(), made_up_targets()[1:]
    output = network(torch.randn(1, 3, 64, 64))
    output.class_logits.retain_grad()
    nano_losses(output, targets, 1, NanoLossSettings())["class"].backward()
    gradient = output.class_logits.grad
    assert gradient is not None
    fine = gradient[0, :64].any(dim=1).reshape(8, 8)  # of stride 8: points at 0, 8, ..., 56
    assert not fine[6:, :3].any()
    assert fine[:6].all()
    assert fine[6:, 3:].all()
