"""Predictors under a budget: full quality with time, less without, and nothing forgotten."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch

from yolact_ros.config import YolactConfig
from yolact_ros.errors import ConfigError
from yolact_ros.inference.predictor import DetectedFrame, Predictor
from yolact_ros.inference.quality.budget import FrameBudget
from yolact_ros.inference.quality.levels import Degradation, MaskDetail, quality_levels
from yolact_ros.inference.quality.plan import MaskPlan, OverrunPolicy
from yolact_ros.inference.quality.runner import BudgetRunner, monotonic_ms
from yolact_ros.inference.settings import PredictionSettings
from yolact_ros.models import build_network
from yolact_ros.prediction import Prediction

TOP_K = 10
SIZES_PX = (96, 64)
# Random weights give every class of every prior nearly the same score: low, and many.
SETTINGS = PredictionSettings(score_threshold=0.05, top_k=TOP_K, nms_threshold=0.9)
IMAGE_BGR = np.random.default_rng(0).integers(0, 255, (120, 160, 3)).astype(np.uint8)


class StepClock:
    """Stands still unless told to go."""

    def __init__(self) -> None:
        self.now_ms = 1000.0

    def __call__(self) -> float:
        return self.now_ms


@contextmanager
def open_predictors(on_device: bool) -> Iterator[dict[int, Predictor]]:
    built = {}
    for size_px in SIZES_PX:
        torch.manual_seed(3)
        config = YolactConfig(
            name="tiny",
            backbone="efficientnet_lite0",
            input_size_px=size_px,
            class_names=("a", "b", "c"),
            num_prototypes=4,
            fpn_channels=16,
            proto_channels=16,
        )
        built[size_px] = Predictor(
            build_network(config), device="cpu", settings=SETTINGS, on_device=on_device
        )
    yield built
    for predictor in built.values():
        predictor.close()


@pytest.fixture(scope="module", params=[False, True], ids=["host", "device"])
def predictors(request: pytest.FixtureRequest) -> Iterator[dict[int, Predictor]]:
    with open_predictors(request.param) as opened:
        yield opened


@pytest.fixture(scope="module")
def host_predictors() -> Iterator[dict[int, Predictor]]:
    with open_predictors(False) as opened:
        yield opened


def make(
    predictors: dict[int, Predictor],
    budget_ms: float,
    policy: OverrunPolicy = OverrunPolicy.PUBLISH,
) -> tuple[BudgetRunner, StepClock]:
    clock = StepClock()
    runner = BudgetRunner(predictors, SETTINGS, budget_ms=budget_ms, policy=policy, clock_ms=clock)
    for size_px in SIZES_PX:
        runner.budget.costs.seed_network(size_px, 10.0 * (size_px / SIZES_PX[0]) ** 2)
    return runner, clock


def assert_same(first: Prediction, second: Prediction) -> None:
    np.testing.assert_array_equal(first.scores, second.scores)
    np.testing.assert_array_equal(first.boxes_xyxy, second.boxes_xyxy)
    assert len(first.mask_crops) == len(second.mask_crops)
    for ours, theirs in zip(first.mask_crops, second.mask_crops, strict=True):
        np.testing.assert_array_equal(ours.bits, theirs.bits)


@pytest.mark.parametrize("budget_ms", [0.0, 1000.0])
def test_with_time_enough_the_result_is_the_predictors(
    predictors: dict[int, Predictor], budget_ms: float
) -> None:
    runner, clock = make(predictors, budget_ms)
    plan = runner.begin(clock.now_ms)
    assert plan.level.input_size_px == SIZES_PX[0]
    result = runner.predict(plan, IMAGE_BGR)
    clock.now_ms += 12.0
    outcome = runner.finish()
    assert result is not None
    assert len(result[0]) == TOP_K
    assert_same(result[0], predictors[SIZES_PX[0]].predict(IMAGE_BGR))
    assert outcome.publish
    assert outcome.deadline_met
    assert outcome.degradation is Degradation.NONE
    assert outcome.total_ms == pytest.approx(12.0)


def test_a_budget_that_fits_the_smaller_input_only_takes_it(
    predictors: dict[int, Predictor],
) -> None:
    runner, clock = make(predictors, 8.0)
    for _ in range(3):
        plan = runner.begin(clock.now_ms)
        if plan.run:
            break
        clock.now_ms += 1.0
    result = runner.predict(plan, IMAGE_BGR)
    assert result is not None
    assert_same(result[0], predictors[64].predict(IMAGE_BGR))
    assert runner.finish().degradation & Degradation.INPUT


def test_a_network_that_took_the_time_of_the_masks_leaves_boxes(
    predictors: dict[int, Predictor], monkeypatch: pytest.MonkeyPatch
) -> None:
    runner, clock = make(predictors, 20.0)
    detect = Predictor.detect

    def slow(self: Predictor, image_bgr: np.ndarray) -> object:
        clock.now_ms += 19.4
        return detect(self, image_bgr)

    monkeypatch.setattr(Predictor, "detect", slow)
    result = runner.predict(runner.begin(clock.now_ms), IMAGE_BGR)
    assert result is not None
    assert result[0].mask_crops == ()
    assert len(result[0]) > 0
    assert runner.finish().degradation & Degradation.BOXES


def test_a_frame_that_is_late_already_is_dropped_if_so_wished(
    predictors: dict[int, Predictor], monkeypatch: pytest.MonkeyPatch
) -> None:
    runner, clock = make(predictors, 20.0, OverrunPolicy.DROP)
    detect = Predictor.detect

    def slow(self: Predictor, image_bgr: np.ndarray) -> object:
        clock.now_ms += 50.0
        return detect(self, image_bgr)

    monkeypatch.setattr(Predictor, "detect", slow)
    assert runner.predict(runner.begin(clock.now_ms), IMAGE_BGR) is None


def test_less_detail_is_what_the_predictor_is_asked_for(
    predictors: dict[int, Predictor], monkeypatch: pytest.MonkeyPatch
) -> None:
    runner, clock = make(predictors, 0.0)
    asked: list[dict[str, object]] = []
    finish = Predictor.finish

    def spy(self: Predictor, frame: DetectedFrame, **arguments: object) -> object:
        asked.append(arguments)
        return finish(self, frame, **arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Predictor, "finish", spy)
    for detail in MaskDetail:
        plan = MaskPlan(True, 4, detail)
        monkeypatch.setattr(runner.budget, "after_inference", lambda *_, plan=plan: plan)
        result = runner.predict(runner.begin(clock.now_ms), IMAGE_BGR)
        assert result is not None
        assert len(result[0]) == 4
        assert len(result[0].mask_crops) == (0 if detail is MaskDetail.NONE else 4)
    assert [(arguments["masks"], arguments["mask_stride"]) for arguments in asked] == [
        (False, 1),
        (True, 4),
        (True, 1),
    ]


def test_a_failed_frame_is_counted_and_the_next_one_works(
    predictors: dict[int, Predictor],
) -> None:
    runner, clock = make(predictors, 0.0)
    plan = runner.begin(clock.now_ms)
    with pytest.raises(Exception, match="image"):
        runner.predict(plan, np.zeros((0, 0, 3), np.uint8))
    runner.abandon()
    assert runner.predict(runner.begin(clock.now_ms), IMAGE_BGR) is not None
    assert runner.finish().publish


def test_warming_up_tells_the_budget_what_every_size_costs(
    predictors: dict[int, Predictor],
) -> None:
    runner = BudgetRunner(predictors, SETTINGS, budget_ms=33.3)
    budget = runner.budget
    assert budget.costs.network_warm_up_ms(SIZES_PX[0]) == 0.0
    begun_ms = monotonic_ms()
    runner.warm_up(IMAGE_BGR)
    taken_ms = monotonic_ms() - begun_ms
    for size_px in SIZES_PX:
        assert 0.0 < budget.costs.network_warm_up_ms(size_px) < taken_ms
    unmeasured = FrameBudget(quality_levels(SIZES_PX, TOP_K), 33.3).costs
    for detail in MaskDetail:
        measured_ms = budget.costs.masks_ms(detail, TOP_K)
        assert 0.0 < measured_ms < taken_ms
        assert measured_ms != unmeasured.masks_ms(detail, TOP_K)


def let_batches_take(
    monkeypatch: pytest.MonkeyPatch, clock: StepClock, first_ms: float, each_ms: float
) -> list[int]:
    """Networks take so long for an image and so much more for each other; returns the batches."""
    detect_batch = Predictor.detect_batch
    batches: list[int] = []

    def slow(self: Predictor, images_bgr: Sequence[np.ndarray]) -> list[DetectedFrame]:
        batches.append(len(images_bgr))
        clock.now_ms += first_ms + each_ms * (len(images_bgr) - 1)
        return detect_batch(self, images_bgr)

    monkeypatch.setattr(Predictor, "detect_batch", slow)
    return batches


def test_warming_up_for_several_cameras_measures_batches_as_large_as_pay(
    host_predictors: dict[int, Predictor], monkeypatch: pytest.MonkeyPatch
) -> None:
    runner, clock = make(host_predictors, 33.3)
    batches = let_batches_take(monkeypatch, clock, 10.0, 2.0)
    runner.warm_up(IMAGE_BGR)
    assert set(batches) == {1}
    runner.warm_up(IMAGE_BGR, cameras=3)
    assert set(batches) == {1, 2, 3}
    for size_px in SIZES_PX:
        assert runner.budget.costs.batch_cost(size_px, 2) == pytest.approx(1.2)
        assert runner.budget.costs.batch_cost(size_px, 3) == pytest.approx(1.4)
    assert runner.budget.costs.network_ms(SIZES_PX[0]) == pytest.approx(10.0)


def test_warming_up_stops_at_the_first_batch_that_does_not_pay(
    host_predictors: dict[int, Predictor], monkeypatch: pytest.MonkeyPatch
) -> None:
    runner, clock = make(host_predictors, 33.3)
    batches = let_batches_take(monkeypatch, clock, 10.0, 9.5)
    runner.warm_up(IMAGE_BGR, cameras=4)
    assert set(batches) == {1, 2}
    assert runner.begin(clock.now_ms, queued=1).batch_size == 1


def test_the_frames_of_several_cameras_are_predicted_in_one_run(
    host_predictors: dict[int, Predictor], monkeypatch: pytest.MonkeyPatch
) -> None:
    runner, clock = make(host_predictors, 100.0)
    images = [IMAGE_BGR, IMAGE_BGR[:, ::-1], IMAGE_BGR[:60]]
    expected = [host_predictors[SIZES_PX[0]].predict(image) for image in images]
    for size_px in SIZES_PX:
        runner.budget.costs.seed_batch(size_px, 3, 1.4)
    batches = let_batches_take(monkeypatch, clock, 10.0, 2.0)
    plans = [runner.begin(clock.now_ms - 5.0, source=0, queued=2)]
    assert plans[0].batch_size == 3
    plans += [runner.join(clock.now_ms - 5.0 + source, source=source) for source in (1, 2)]
    frames = runner.detect_together(plans[0], images)
    assert batches == [3]
    for index, (plan, image, frame) in enumerate(zip(plans, images, frames, strict=True)):
        result = runner.predict(plan, image, frame)
        clock.now_ms += 1.0
        outcome = runner.finish()
        assert result is not None
        np.testing.assert_allclose(result[0].scores, expected[index].scores, rtol=0, atol=1e-5)
        assert result[1].inference_ms == frames[0].times.inference_ms
        assert plan.wait_ms == pytest.approx(5.0 - index)
        # Waiting, the run of the batch, and the masks of the frames before.
        assert outcome.total_ms == pytest.approx(5.0 - index + 14.0 + index + 1.0)
        assert outcome.deadline_met
    assert batches == [3]


def test_settings_without_masks_leave_no_level_that_has_some(
    predictors: dict[int, Predictor],
) -> None:
    runner, clock = make(predictors, 0.0)
    boxes_only = replace(SETTINGS, masks=False, top_k=3)
    runner.configure(boxes_only, budget_ms=0.0, policy=OverrunPolicy.PUBLISH)
    assert [level.mask_detail for level in runner.budget.levels] == [MaskDetail.NONE] * 2
    result = runner.predict(runner.begin(clock.now_ms), IMAGE_BGR)
    assert result is not None
    assert len(result[0]) == 3
    assert result[0].mask_crops == ()


def test_input_sizes_that_do_not_fall_are_refused(predictors: dict[int, Predictor]) -> None:
    rising = dict(reversed(predictors.items()))
    with pytest.raises(ConfigError, match="expected the largest first"):
        BudgetRunner(rising, SETTINGS, budget_ms=33.3)
