from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from golden_recipe import unit

from yolact_ros.structures import NetworkOutput
from yolact_ros.training.loss import (
    LossSettings,
    StepCounts,
    TrainedMasks,
    box_loss,
    class_loss,
    image_mask_loss,
    rescoring_loss,
    semantic_loss,
    total_losses,
)
from yolact_ros.training.targets import ImageTarget, Matches

GOLDEN = np.load(Path(__file__).parents[1] / "data" / "unit.npz")
GROUND_TRUTH_OF_PRIOR = torch.arange(384).reshape(2, 192) % 3


def golden(name: str) -> torch.Tensor:
    return torch.from_numpy(GOLDEN[name])


def make_image_target(
    classes: torch.Tensor,
    *,
    boxes: torch.Tensor | None = None,
    class_ids: torch.Tensor | None = None,
    masks: torch.Tensor | None = None,
    object_index: torch.Tensor | None = None,
    labelled: list[bool] | None = None,
    draw: int = 0,
) -> ImageTarget:
    num_priors = classes.shape[0]
    return ImageTarget(
        "image",
        torch.zeros(0, 4) if boxes is None else boxes,
        torch.zeros(0, dtype=torch.int64) if class_ids is None else class_ids,
        torch.zeros(0, 8, 8, dtype=torch.uint8) if masks is None else masks,
        torch.tensor([True] * 6 if labelled is None else labelled),
        torch.zeros(0, 4),
        Matches(
            torch.zeros(num_priors, 4),
            classes,
            torch.zeros(num_priors, dtype=torch.int64) if object_index is None else object_index,
        ),
        draw,
    )


def test_class_loss_equals_the_recorded_reference() -> None:
    loss = class_loss(
        golden("ohem/conf_logits"), golden("ohem/conf_t"), torch.ones(2, 6, dtype=torch.bool)
    )
    assert float(loss) == pytest.approx(float(GOLDEN["ohem/loss_sum"]), rel=1e-5)


def test_semantic_loss_equals_the_recorded_reference() -> None:
    masks, labels = golden("segm/masks"), golden("segm/labels")
    nothing = torch.zeros(1, dtype=torch.int64)
    targets = [
        make_image_target(nothing, class_ids=labels[0], masks=masks, labelled=[True] * 5),
        make_image_target(nothing, class_ids=labels[1], masks=masks.flip(0), labelled=[True] * 5),
    ]
    loss = semantic_loss(golden("segm/logits"), targets)
    assert float(loss) == pytest.approx(float(GOLDEN["segm/loss"]), rel=1e-5)


def mask_loss_targets(num_positives: int) -> list[ImageTarget]:
    masks, boxes = golden("mask_loss/gt_masks"), golden("mask_loss/gt_boxes")
    first, second = torch.zeros(192, dtype=torch.int64), torch.zeros(192, dtype=torch.int64)
    first[:num_positives] = 1
    second[5:9] = 1
    ids = torch.zeros(3, dtype=torch.int64)
    return [
        make_image_target(
            first, boxes=boxes, class_ids=ids, masks=masks, object_index=GROUND_TRUTH_OF_PRIOR[0]
        ),
        make_image_target(
            second,
            boxes=boxes,
            class_ids=ids,
            masks=masks.flip(0),
            object_index=GROUND_TRUTH_OF_PRIOR[1],
        ),
    ]


@pytest.mark.parametrize(
    ("num_positives", "recorded"), [(20, "M_before_num_pos_division"), (130, "M_130pos_seed0")]
)
def test_mask_loss_equals_the_recorded_reference(num_positives: int, recorded: str) -> None:
    coefficients = torch.from_numpy(np.tanh(unit("u.ml.co", (2, 192, 8))).astype(np.float32))
    prototypes = golden("mask_loss/proto")
    targets = mask_loss_targets(num_positives)
    loss = sum(
        float(image_mask_loss(prototypes[row], coefficients[row], targets[row]).loss)
        for row in range(2)
    )
    assert 6.125 * loss == pytest.approx(float(GOLDEN[f"mask_loss/{recorded}"]), rel=1e-4)


def test_the_choice_of_trained_masks_depends_on_the_draw_only() -> None:
    coefficients = torch.from_numpy(np.tanh(unit("u.ml.co", (2, 192, 8))).astype(np.float32))[0]
    prototypes = golden("mask_loss/proto")[0]
    target = mask_loss_targets(130)[0]
    losses = []
    for draw in (5, 5, 6):
        torch.rand(3)
        drawn = replace(target, draw=draw)
        losses.append(float(image_mask_loss(prototypes, coefficients, drawn).loss))
    assert losses[0] == losses[1] != losses[2]


def test_box_loss_is_smooth_l1_of_positives_only() -> None:
    offsets = torch.tensor([[[0.5, 0.0, 0.0, 0.0], [3.0, 0, 0, 0], [9.0, 9, 9, 9]]])
    loss = box_loss(offsets, torch.zeros(1, 3, 4), torch.tensor([[1, 2, 0]]))
    assert float(loss) == pytest.approx(0.5 * 0.25 + 2.5)


def slow_class_loss(logits: np.ndarray, classes: np.ndarray, labelled: np.ndarray) -> float:
    total = 0.0
    for image_logits, image_classes, known in zip(logits, classes, labelled, strict=True):
        probabilities = [np.exp(row) / np.exp(row).sum() for row in image_logits.astype(float)]
        negatives = []
        for p, target in zip(probabilities, image_classes, strict=True):
            if target > 0:
                total -= math.log(p[target])
            elif target == 0:
                background = p[0] + sum(p[c + 1] for c in range(len(known)) if not known[c])
                negatives.append(-math.log(background))
        negatives.sort(reverse=True)
        total += sum(negatives[: 3 * int((image_classes > 0).sum())])
    return total


def test_class_loss_with_unlabelled_classes_equals_a_slow_twin() -> None:
    random = np.random.default_rng(3)
    logits = random.normal(size=(3, 40, 5)).astype(np.float32) * 3
    classes = random.choice([-1, 0, 0, 0, 0, 0, 1, 3], (3, 40))
    labelled = np.array([[True, False, True, False], [True] * 4, [False, False, True, False]])
    loss = class_loss(
        torch.from_numpy(logits), torch.from_numpy(classes), torch.from_numpy(labelled)
    )
    assert float(loss) == pytest.approx(slow_class_loss(logits, classes, labelled), rel=1e-5)


def test_an_unlabelled_class_is_not_pushed_down_on_background() -> None:
    logits = torch.zeros(1, 8, 3, requires_grad=True)
    classes = torch.tensor([[1, 0, 0, 0, 0, 0, 0, 0]])
    class_loss(logits, classes, torch.tensor([[True, False]])).backward()
    assert logits.grad is not None
    trained_negatives = logits.grad[0, 1:][logits.grad[0, 1:].abs().sum(dim=1) > 0]
    assert trained_negatives.shape[0] == 3
    assert (trained_negatives[:, 1] > 0).all()  # the labelled class goes down
    assert (trained_negatives[:, 2] <= 0).all()  # the unlabelled one does not


def test_semantic_loss_skips_unlabelled_classes() -> None:
    logits = torch.randn(1, 2, 4, 4, requires_grad=True)
    target = make_image_target(torch.zeros(1, dtype=torch.int64), labelled=[True, False])
    semantic_loss(logits, [target]).backward()
    assert logits.grad is not None
    assert logits.grad[0, 0].abs().min() > 0
    assert logits.grad[0, 1].abs().max() == 0


def test_rescoring_learns_the_iou_of_masks_that_are_large_enough() -> None:
    true = torch.zeros(3, 10, 10)
    true[0, :6, :5] = 1  # 30 pixels, of which 20 are found
    true[1, :5, :5] = 1  # 25 pixels: not larger than the limit
    true[2, :, :] = 1
    soft = torch.zeros(3, 10, 10)
    soft[0, :4, :5] = 0.9
    soft[0, 9, :] = 0.4  # below one half: not part of the binary mask
    soft[2, :, :] = 0.51
    trained = TrainedMasks(torch.zeros(()), soft, true, torch.tensor([1, 0, 0]))
    asked: list[torch.Size] = []

    def rescore(masks: torch.Tensor) -> torch.Tensor:
        asked.append(masks.shape)
        return torch.tensor([[9.0, 0.5], [0.25, 9.0]])

    loss = rescoring_loss(trained, rescore)
    assert asked == [torch.Size([2, 1, 10, 10])]
    assert float(loss) == pytest.approx(0.5 * (20 / 30 - 0.5) ** 2 + 0.5 * 0.75**2)


def test_a_network_that_diverges_gives_a_loss_that_is_not_finite() -> None:
    target = mask_loss_targets(20)[0]
    prototypes = golden("mask_loss/proto")[0].clone()
    prototypes[3, 3, 0] = torch.nan
    loss = image_mask_loss(prototypes, torch.ones(192, 8), target).loss
    assert not torch.isfinite(loss)


def test_a_batch_cut_in_two_gives_the_losses_of_the_whole() -> None:
    torch.manual_seed(0)
    output = NetworkOutput(
        torch.randn(2, 192, 4),
        torch.randn(2, 192, 7),
        torch.tanh(torch.randn(2, 192, 8)),
        torch.rand(2, 20, 20, 8),
        torch.randn(2, 6, 10, 10),
    )
    targets = mask_loss_targets(20)
    counts = StepCounts(positives=24, images=2)
    whole = total_losses(output, targets, counts, LossSettings())
    parts = [
        total_losses(
            NetworkOutput(*(field[row : row + 1] for field in output)),
            targets[row : row + 1],
            counts,
            LossSettings(),
        )
        for row in range(2)
    ]
    for name, value in whole.items():
        torch.testing.assert_close(value, parts[0][name] + parts[1][name])


def test_a_few_negatives_of_an_image_without_objects_are_trained_on_request() -> None:
    logits = torch.randn(1, 50, 4)
    nothing, labelled = torch.zeros(1, 50, dtype=torch.int64), torch.ones(1, 3, dtype=torch.bool)
    background = -torch.log_softmax(logits[0], dim=-1)[:, 0]
    hardest = background.sort(descending=True).values[:6].sum()
    assert float(class_loss(logits, nothing, labelled)) == 0
    loss = class_loss(logits, nothing, labelled, min_negatives=6)
    assert float(loss) == pytest.approx(float(hardest), rel=1e-5)


def test_an_image_without_objects_trains_nothing_but_the_semantic_maps() -> None:
    output = NetworkOutput(
        torch.randn(1, 192, 4),
        torch.randn(1, 192, 7),
        torch.tanh(torch.randn(1, 192, 8)),
        torch.rand(1, 20, 20, 8),
        torch.randn(1, 6, 10, 10),
    )
    target = make_image_target(torch.zeros(192, dtype=torch.int64))
    losses = total_losses(output, [target], StepCounts(5, 1), LossSettings())
    assert {name: float(value) > 0 for name, value in losses.items()} == {
        "box": False,
        "class": False,
        "mask": False,
        "semantic": True,
    }
