"""The predictors of all input sizes under one frame budget: what the node and the replay run."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from yolact_ros.inference.predictor import DetectedFrame, Predictor, StageTimes
from yolact_ros.inference.quality.budget import FrameBudget
from yolact_ros.inference.quality.cost import MaskCost
from yolact_ros.inference.quality.levels import MaskDetail, QualityLevel, quality_levels
from yolact_ros.inference.quality.plan import FrameOutcome, FramePlan, MaskPlan, OverrunPolicy
from yolact_ros.inference.settings import PredictionSettings
from yolact_ros.inference.tracking import (
    Follow,
    detection_settings,
    follow_objects,
    with_tracks,
)
from yolact_ros.prediction import Prediction
from yolact_ros.tracking import TrackerSettings

__all__ = ["BudgetRunner", "monotonic_ms"]

# A coarse mask changes every fourth pixel and costs a sixteenth of the evaluations.
MASK_STRIDES: Mapping[MaskDetail, int] = {MaskDetail.FULL: 1, MaskDetail.COARSE: 4}
WARM_UP_FRAMES = 8
# More make the first frame wait for longer than the last one gains.
MOST_IN_BATCH = 4
BATCH_WARM_UP_RUNS = 3
SLOWEST_SHARE = 0.95


def monotonic_ms() -> float:
    """Milliseconds of a clock that never runs backwards."""
    return time.monotonic_ns() / 1e6


class BudgetRunner:
    """Works on one frame at a time, at the quality that its deadline allows.

    For every frame: :meth:`begin`; if the plan says run, decode the image and :meth:`predict`;
    build the message; :meth:`finish`, and publish if the outcome says so. After an exception
    :meth:`abandon`. Frames of other cameras may :meth:`join` a frame whose plan says so; then
    :meth:`detect_together`, and the rest of each frame in the same order. One thread only.

    Args:
        predictors: by side of their network input in pixels, best first; at least one.
        clock_ms: monotonic milliseconds, the same as those of ``received_ms``.

    Raises:
        ConfigError: the input sizes do not fall, or the budget is negative.
    """

    def __init__(
        self,
        predictors: Mapping[int, Predictor],
        settings: PredictionSettings,
        *,
        budget_ms: float,
        policy: OverrunPolicy = OverrunPolicy.PUBLISH,
        tracker: TrackerSettings | None = None,
        clock_ms: Callable[[], float] = monotonic_ms,
    ) -> None:
        self._predictors = dict(predictors)
        self._clock_ms = clock_ms
        self.budget = FrameBudget(self._levels(settings), budget_ms, policy)
        self.configure(settings, budget_ms=budget_ms, policy=policy, tracker=tracker)

    @property
    def input_sizes_px(self) -> tuple[int, ...]:
        return tuple(self._predictors)

    @property
    def best_predictor(self) -> Predictor:
        return next(iter(self._predictors.values()))

    def configure(
        self,
        settings: PredictionSettings,
        *,
        budget_ms: float,
        policy: OverrunPolicy,
        tracker: TrackerSettings | None = None,
    ) -> None:
        """Work like this from the next frame on.

        Args:
            settings: what is reported; without ``masks`` no quality level has any.
            tracker: of the frames that are given one to :meth:`predict`; the network detects
                what it needs.

        Raises:
            ConfigError: the budget is negative.
        """
        self.budget.policy = policy
        if budget_ms != self.budget.budget_ms:
            self.budget.set_budget(budget_ms)
        levels = self._levels(settings)
        if levels != self.budget.levels:
            self.budget.set_levels(levels)
        for predictor in self._predictors.values():
            predictor.settings = detection_settings(
                settings, tracker, rescores_masks=predictor.rescores_masks
            )
        self._settings = settings

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.best_predictor.class_names

    def warm_up(self, image_bgr: NDArray[np.uint8] | None = None, *, cameras: int = 1) -> None:
        """Run every input size several times and tell the budget what it costs.

        Args:
            image_bgr (uint8[H, W, 3]): of the camera's size, best with something to find, so
                that the cost of masks is measured too; None takes an empty one of 640x480.
            cameras: that share the network; with several, batches are measured where the runtime
                holds them.
        """
        image = np.zeros((480, 640, 3), np.uint8) if image_bgr is None else image_bgr
        for size_px, predictor in sorted(self._predictors.items()):
            predictor.warm_up()
            costs_ms: list[float] = []
            frame: DetectedFrame | None = None
            for _ in range(WARM_UP_FRAMES):
                begun_ms = self._clock_ms()
                frame = predictor.detect(image)
                instances = len(frame.detections)
                costs_ms.append(self._clock_ms() - begun_ms)
                predictor.finish(frame)
            slow_ms = float(np.quantile(costs_ms, SLOWEST_SHARE))
            self.budget.costs.seed_network(size_px, slow_ms)
            if frame is not None and instances > 0:
                self._seed_masks(predictor, frame, instances)
            if cameras > 1:
                self._seed_batches(size_px, image, min(cameras, MOST_IN_BATCH))

    def _seed_batches(self, size_px: int, image_bgr: NDArray[np.uint8], most: int) -> None:
        """Measure batches of 2, 3, ... frames up to the first that does not pay."""
        predictor = self._predictors[size_px]
        alone = partial(predictor.detect, image_bgr)
        for frames in range(2, min(most, predictor.max_batch) + 1):
            together = partial(predictor.detect_batch, [image_bgr] * frames)
            together()
            # Each beside a frame alone, so that another load hardly changes their ratio.
            costs = [
                self._taken_ms(together) / max(self._taken_ms(alone), 1e-3)
                for _ in range(BATCH_WARM_UP_RUNS)
            ]
            if not self.budget.costs.seed_batch(size_px, frames, float(np.median(costs))):
                return

    def _taken_ms(self, work: Callable[[], object]) -> float:
        begun_ms = self._clock_ms()
        work()
        return self._clock_ms() - begun_ms

    def _seed_masks(self, predictor: Predictor, frame: DetectedFrame, instances: int) -> None:
        for detail in MaskDetail:
            none_ms = self._mask_cost_ms(predictor, frame, detail, 0)
            all_ms = self._mask_cost_ms(predictor, frame, detail, instances)
            each_ms = max(all_ms - none_ms, 0.0) / instances
            self.budget.costs.seed_masks(detail, MaskCost(none_ms, each_ms))

    def _mask_cost_ms(
        self, predictor: Predictor, frame: DetectedFrame, detail: MaskDetail, instances: int
    ) -> float:
        work = partial(_finish, predictor, frame, MaskPlan(True, instances, detail))
        costs_ms = [self._taken_ms(work) for _ in range(WARM_UP_FRAMES)]
        # The median: masks take so little that one interruption would decide a p95 of eight.
        return float(np.median(costs_ms))

    def begin(
        self, received_ms: float, *, source: Hashable = None, queued: int = 0, replaced: int = 0
    ) -> FramePlan:
        """Plan a frame before any work on it; see :meth:`FrameBudget.begin`."""
        return self.budget.begin(
            self._clock_ms(), received_ms, source=source, queued=queued, replaced=replaced
        )

    def join(self, received_ms: float, *, source: Hashable = None, replaced: int = 0) -> FramePlan:
        """Plan one more frame of a batch; see :meth:`FrameBudget.join`."""
        return self.budget.join(self._clock_ms(), received_ms, source=source, replaced=replaced)

    def detect_together(
        self, plan: FramePlan, images_bgr: Sequence[NDArray[np.uint8]]
    ) -> list[DetectedFrame]:
        """Run the network on the frame begun and on those that joined it, in this order.

        Raises as :meth:`Predictor.detect_batch`.
        """
        self.budget.run_network(self._clock_ms())
        return self._predictors[plan.level.input_size_px].detect_batch(images_bgr)

    def predict(
        self,
        plan: FramePlan,
        image_bgr: NDArray[np.uint8],
        detected: DetectedFrame | None = None,
        follow: Follow | None = None,
    ) -> tuple[Prediction, StageTimes] | None:
        """Find the instances as planned; None if the frame was dropped for being late already.

        Args:
            detected: of the image, from :meth:`detect_together`; None runs the network now.
            follow: gives the objects their ids; its time counts before the masks are planned.

        Raises:
            As :meth:`Predictor.predict`; call :meth:`abandon` then.
        """
        predictor = self._predictors[plan.level.input_size_px]
        frame = predictor.detect(image_bgr) if detected is None else detected
        tracks = None
        if follow is not None:
            frame, tracks = follow_objects(frame, self._settings, follow)
        masks = self.budget.after_inference(self._clock_ms(), len(frame.detections))
        if not masks.run:
            return None
        prediction, times = _finish(predictor, frame, masks)
        if tracks is not None:
            prediction = with_tracks(prediction, tracks)
        return prediction, times

    def finish(self) -> FrameOutcome:
        """Close the frame, just before its publication; see :meth:`FrameBudget.finish`."""
        return self.budget.finish(self._clock_ms())

    def abandon(self, plan: FramePlan | None = None, *, bar_input_for_ms: float = 0.0) -> None:
        """Count a frame as dropped because work on it failed; see :meth:`FrameBudget.abandon`.

        No such frame open is no error.
        """
        self.budget.abandon(self._clock_ms(), plan, bar_input_for_ms=bar_input_for_ms)

    def close(self) -> None:
        """Let go of the networks."""
        for predictor in self._predictors.values():
            predictor.close()
        self._predictors.clear()

    def _levels(self, settings: PredictionSettings) -> tuple[QualityLevel, ...]:
        return quality_levels(self.input_sizes_px, settings.top_k, masks=settings.masks)


def _finish(
    predictor: Predictor, frame: DetectedFrame, masks: MaskPlan
) -> tuple[Prediction, StageTimes]:
    return predictor.finish(
        frame,
        masks=masks.mask_detail is not MaskDetail.NONE,
        max_instances=masks.max_instances,
        mask_stride=MASK_STRIDES.get(masks.mask_detail, 1),
    )
