"""Temporal stability on cases with known answers, and matching against a naive twin."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from bag_samples import HEIGHT_PX, WIDTH_PX, box_instance

from yolact_ros.evaluation.bag.frame import FoundInstance
from yolact_ros.evaluation.bag.scoring.stability import StabilityMeter, match_instances

SHAPE = (HEIGHT_PX, WIDTH_PX)


def naive_iou(first: FoundInstance, second: FoundInstance) -> float:
    masks = []
    for found in (first, second):
        x, y, width, height = (int(v) for v in found.bbox_xywh)
        mask = np.zeros(SHAPE, bool)
        mask[y : y + height, x : x + width] = True
        masks.append(mask)
    return float((masks[0] & masks[1]).sum() / (masks[0] | masks[1]).sum())


def naive_greedy(
    before: list[FoundInstance], now: list[FoundInstance], min_iou: float
) -> list[tuple[int, int, float]]:
    candidates = sorted(
        (
            (naive_iou(a, b), row, column)
            for row, a in enumerate(before)
            for column, b in enumerate(now)
            if a.class_name == b.class_name
        ),
        key=lambda entry: -entry[0],
    )
    pairs: list[tuple[int, int, float]] = []
    for iou, row, column in candidates:
        taken = any(row == r or column == c for r, c, _ in pairs)
        if iou >= min_iou and iou > 0 and not taken:
            pairs.append((row, column, iou))
    return pairs


def random_instances(random: np.random.Generator, count: int) -> list[FoundInstance]:
    return [
        box_instance(
            (int(random.integers(0, 40)), int(random.integers(0, 20)), 30, 25),
            name=str(random.choice(["person", "dog"])),
            score=float(random.random()),
        )
        for _ in range(count)
    ]


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("with_masks", [True, False])
def test_matching_agrees_with_the_naive_twin(seed: int, with_masks: bool) -> None:
    random = np.random.default_rng(seed)
    before, now = random_instances(random, 6), random_instances(random, 5)
    expected = naive_greedy(before, now, 0.3)
    if not with_masks:
        before = [FoundInstance(f.class_id, f.class_name, f.score, f.bbox_xywh) for f in before]
    pairs = match_instances(before, now, SHAPE, 0.3)
    assert [pair[:2] for pair in pairs] == [pair[:2] for pair in expected]
    assert [pair[2] for pair in pairs] == pytest.approx([pair[2] for pair in expected])


def test_a_still_scene_is_perfectly_steady() -> None:
    meter = StabilityMeter()
    scene = [box_instance((5, 5, 20, 20)), box_instance((50, 20, 20, 30), "dog")]
    assert meter.add(scene, SHAPE) == {}
    for order in permutations(scene):
        result = meter.add(order, SHAPE)
        assert (result["matched_pairs"], result["pair_iou_sum"]) == (2, 2.0)
        assert result["score_change_sum"] == 0.0
        assert result["blinks"] == 0
        assert result["steadiness"] == 1.0


def test_a_moving_box_has_the_iou_of_its_shift_and_its_score_flickers() -> None:
    meter = StabilityMeter()
    meter.add([box_instance((10, 10, 20, 20), score=0.9)], SHAPE)
    result = meter.add([box_instance((15, 10, 20, 20), score=0.6)], SHAPE)
    assert result["matched_pairs"] == 1
    assert result["pair_iou_sum"] == pytest.approx(15 / 25)
    assert result["score_change_sum"] == pytest.approx(0.3)
    assert result["steadiness"] == pytest.approx(0.6)


def test_an_object_that_is_gone_for_one_frame_blinks() -> None:
    meter = StabilityMeter()
    scene = [box_instance((10, 10, 20, 20))]
    meter.add(scene, SHAPE)
    gone = meter.add([], SHAPE)
    back = meter.add(scene, SHAPE)
    assert (gone["blinks"], gone["steadiness"]) == (0, 0.0)
    assert (back["blinks"], back["num_before_last"]) == (1, 1)


def test_an_object_that_is_gone_for_good_or_for_two_frames_does_not_blink() -> None:
    meter = StabilityMeter()
    scene = [box_instance((10, 10, 20, 20))]
    results = [meter.add(frame, SHAPE) for frame in (scene, [], [], scene)]
    assert [result["blinks"] for result in results if result] == [0, 0, 0]


def test_another_class_in_the_same_place_is_another_object() -> None:
    meter = StabilityMeter()
    meter.add([box_instance((10, 10, 20, 20), "dog")], SHAPE)
    result = meter.add([box_instance((10, 10, 20, 20), "person")], SHAPE)
    assert result["matched_pairs"] == 0


def test_a_change_of_the_image_size_starts_anew() -> None:
    meter = StabilityMeter()
    meter.add([box_instance((10, 10, 20, 20))], SHAPE)
    assert meter.add([], (480, 640)) == {}
    assert meter.add([], (480, 640))["steadiness"] == 1.0
