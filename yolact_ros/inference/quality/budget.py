"""The frame budget: what each frame gives up so that its result is published in time.

No clock, no ROS and no network in here: the caller says what time it is, in milliseconds of any
monotonic clock. ``docs/budget.md`` has the reasoning.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Hashable, Sequence
from dataclasses import replace

from yolact_ros.errors import ConfigError
from yolact_ros.inference.quality.controller import LevelController, affordable_masks
from yolact_ros.inference.quality.cost import CostModel, quantile
from yolact_ros.inference.quality.levels import MaskDetail, QualityLevel, degradation
from yolact_ros.inference.quality.plan import (
    FrameOutcome,
    FramePlan,
    MaskPlan,
    OpenFrame,
    OverrunPolicy,
)

__all__ = ["Arrivals", "FrameBudget"]

RECENT_FRAMES = 64
SHORT_WAIT_SHARE = 0.05
PREPARE_SMOOTHING = 0.2
PERIOD_SMOOTHING = 0.2


class Arrivals:
    """Smoothed frame periods by camera."""

    def __init__(self) -> None:
        self._received_ms: dict[Hashable, float] = {}
        self._period_ms: dict[Hashable, float] = {}

    def note(self, source: Hashable, received_ms: float, replaced: int) -> None:
        last_ms = self._received_ms.get(source)
        if last_ms is not None and received_ms > last_ms:
            period_ms = (received_ms - last_ms) / (1 + replaced)
            smooth_ms = self._period_ms.get(source, period_ms)
            self._period_ms[source] = smooth_ms + PERIOD_SMOOTHING * (period_ms - smooth_ms)
        self._received_ms[source] = received_ms

    def until_next_ms(self, source: Hashable, now_ms: float) -> float:
        """Time until the camera's next frame is due; infinite while its period is unknown."""
        period_ms = self._period_ms.get(source, float("inf"))
        return self._received_ms.get(source, now_ms) + period_ms - now_ms


class FrameBudget:
    """Chooses the quality of every frame so that it is published within the budget.

    For every frame: :meth:`begin`, work, :meth:`after_inference` once the detections are known,
    mask assembly, :meth:`finish` just before publication. Frames that a plan allows to work on
    together :meth:`join` the one begun and go through the rest in the same order, one after the
    other. Not thread-safe.

    Every frame given to :meth:`begin` ends as skipped by its plan, as late by its mask plan or its
    outcome, as abandoned or as published. A budget or levels changed meanwhile count from the
    next frame on.

    Attributes:
        costs: seed it at warm-up with the cost of every input size of the levels.
        policy: what happens to a late result.
    """

    def __init__(
        self,
        levels: Sequence[QualityLevel],
        budget_ms: float,
        policy: OverrunPolicy = OverrunPolicy.PUBLISH,
    ) -> None:
        """Start at the best level.

        Raises:
            ConfigError: ``budget_ms`` is negative or not finite.
        """
        self.costs = CostModel()
        self.policy = policy
        self._budget_ms = _valid_budget(budget_ms)
        self._controller = LevelController(levels, self.costs)
        self._open: deque[OpenFrame] = deque()
        self._prepare_ms = 0.0
        self._found: deque[int] = deque(maxlen=RECENT_FRAMES)
        self._arrivals = Arrivals()
        self._last_source: Hashable = None
        self._skipped_last = False

    @property
    def budget_ms(self) -> float:
        """Deadline from reception to publication; 0 means no budget."""
        return self._budget_ms

    @property
    def levels(self) -> tuple[QualityLevel, ...]:
        """The levels in force, best first."""
        return self._controller.levels

    @property
    def level(self) -> QualityLevel:
        return self._controller.level

    def set_budget(self, budget_ms: float) -> None:
        """Change the budget; 0 turns it off.

        Raises ConfigError as the constructor; the old one stays.
        """
        self._budget_ms = _valid_budget(budget_ms)
        self._controller.forget()

    def set_levels(self, levels: Sequence[QualityLevel]) -> None:
        """Change the levels; seed new input sizes before."""
        self._controller.set_levels(levels)

    def begin(
        self,
        now_ms: float,
        received_ms: float,
        *,
        source: Hashable = None,
        queued: int = 0,
        replaced: int = 0,
    ) -> FramePlan:
        """Plan a frame before any work on it.

        Args:
            received_ms: when the frame arrived.
            queued: frames of other cameras that wait meanwhile. Where batches pay, the plan says
                how many of them may :meth:`join`.
            replaced: older frames of this camera that this one replaced.
        """
        self.abandon(now_ms)
        alone = source == self._last_source and queued == 0
        self._note_arrival(source, received_ms, replaced)
        wait_ms = max(now_ms - received_ms, 0.0)
        controller = self._controller
        batch_size, network_cost = self.costs.best_batch(self.levels, 1 + queued)
        if self._budget_ms == 0.0:
            controller.take_best(now_ms)
            plan = FramePlan(True, self.level, wait_ms, batch_size)
            return self._open_frame(plan, now_ms, received_ms, avoidable=False)

        instances = int(quantile(self._found, 0.95))
        # What frames in one run of the network do not share is there once for each.
        unshared_ms = 0.0
        if batch_size > 1:
            unshared_ms = (1 + queued - network_cost) * self._unshared_ms(instances)
        remaining_ms = (self._budget_ms - wait_ms - unshared_ms) / network_cost
        if self._has_waited(wait_ms):
            remaining_ms /= 1.0 + controller.backoff.margin
        if not alone:
            controller.note_shared_time(now_ms, remaining_ms)
        fits = controller.choose(
            now_ms, budget_ms=self._budget_ms, remaining_ms=remaining_ms, instances=instances
        )
        if fits is None or fits > controller.current:
            cost_ms = controller.cost_ms(controller.current, instances)
            # Waiting for the next frame must cost less than working on this one, and never
            # more than one frame in a row may be skipped, or a fast camera would starve.
            next_is_due = self._arrivals.until_next_ms(source, now_ms) <= cost_ms
            usual_ms = controller.usual_ms(instances)
            # By the p95 alone, one frame dearer than the budget kept its successors late, each
            # of which waited for the one before (131 frames for 77 such in simulation, now 0).
            worth_it = cost_ms <= self._budget_ms or remaining_ms < usual_ms <= self._budget_ms
            if alone and next_is_due and worth_it and not self._skipped_last:
                self._skipped_last = True
                return FramePlan(False, self.level, wait_ms)
            controller.descend(now_ms, fits)
        self._skipped_last = False
        level = controller.level_for(now_ms, fits, instances)
        avoidable = fits is not None and controller.current < len(self.levels) - 1
        plan = FramePlan(True, level, wait_ms, 1 if fits is None else batch_size)
        return self._open_frame(plan, now_ms, received_ms, avoidable=avoidable)

    def join(
        self, now_ms: float, received_ms: float, *, source: Hashable = None, replaced: int = 0
    ) -> FramePlan:
        """Plan one more frame of the batch whose first one is open; it has the same level.

        Call it before :meth:`run_network`, at most as often as the first frame's plan allows.
        """
        first = self._require_open()
        self._note_arrival(source, received_ms, replaced)
        wait_ms = max(now_ms - received_ms, 0.0)
        plan = replace(first.plan, wait_ms=wait_ms)
        self._open.append(replace(first, plan=plan, received_ms=received_ms, network_cost=0.0))
        return plan

    def run_network(self, now_ms: float) -> None:
        """Say that a batch is decoded and its run of the network begins.

        A frame alone needs no such call. From it the budget knows what the frames do not share.
        """
        first = self._require_open()
        frames = len(self._open)
        own_ms = max(now_ms - first.begun_ms, 0.0) / frames
        known_ms = self._prepare_ms or own_ms
        self._prepare_ms = known_ms + PREPARE_SMOOTHING * (own_ms - known_ms)
        first.network_cost = self.costs.batch_cost(first.plan.level.input_size_px, frames)
        first.begun_ms = now_ms - own_ms * first.network_cost

    def after_inference(self, now_ms: float, instances_found: int) -> MaskPlan:
        """Plan the masks, once the detections of the open frame are known.

        Of a batch the frame begun or joined first is meant that is still open.

        Gives up instances first, then mask detail, then masks; each only where it helps.
        """
        frame = self._require_open()
        level = frame.plan.level
        frame.inferred_ms, frame.found = now_ms, instances_found
        self._found.append(instances_found)
        if frame.network_cost:
            alone_ms = max(now_ms - frame.begun_ms, 0.0) / frame.network_cost
            self.costs.observe_network(level.input_size_px, now_ms, alone_ms)
        plan = MaskPlan(True, min(instances_found, level.max_instances), level.mask_detail)
        if frame.budget_ms > 0.0:
            spent_ms = max(now_ms - frame.received_ms, 0.0)
            if spent_ms > frame.budget_ms and self.policy is OverrunPolicy.DROP:
                plan = MaskPlan(False, 0, MaskDetail.NONE)
                self._close(frame, spent_ms, plan)
                return plan
            plan = affordable_masks(
                self.costs,
                level,
                instances_found,
                remaining_ms=(frame.budget_ms - spent_ms) / len(self._open),
                spent_ms=spent_ms,
            )
        frame.masks = plan
        return plan

    def finish(self, now_ms: float) -> FrameOutcome:
        """Close the open frame, just before publication."""
        frame = self._require_open()
        masks = frame.masks
        if masks is None or frame.inferred_ms is None:
            raise RuntimeError("FrameBudget.finish: call after_inference for this frame first")
        masks_ms = max(now_ms - frame.inferred_ms, 0.0)
        self.costs.observe_masks(masks.mask_detail, masks.max_instances, now_ms, masks_ms)
        return self._close(frame, max(now_ms - frame.received_ms, 0.0), masks)

    def abandon(
        self, now_ms: float, plan: FramePlan | None = None, *, bar_input_for_ms: float = 0.0
    ) -> None:
        """Close a frame, if it is open, because work on it failed.

        Args:
            plan: of the frame; None closes all that are open.
            bar_input_for_ms: keep off this frame's input size and all larger ones for so long,
                for example after the device ran out of memory. The smallest is never barred.
        """
        for frame in [frame for frame in self._open if plan is None or frame.plan is plan]:
            self._open.remove(frame)
            if bar_input_for_ms > 0.0:
                self._controller.bar(frame.plan.level.input_size_px, now_ms + bar_input_for_ms)

    def _note_arrival(self, source: Hashable, received_ms: float, replaced: int) -> None:
        self._last_source = source
        self._arrivals.note(source, received_ms, replaced)

    def _unshared_ms(self, instances: int) -> float:
        """What a frame of a batch costs besides its part of the network."""
        shown = min(instances, self.level.max_instances)
        return self._prepare_ms + self.costs.masks_ms(self.level.mask_detail, shown)

    def _has_waited(self, wait_ms: float) -> bool:
        return wait_ms > SHORT_WAIT_SHARE * self._budget_ms

    def _open_frame(
        self, plan: FramePlan, now_ms: float, received_ms: float, *, avoidable: bool
    ) -> FramePlan:
        frame = OpenFrame(plan, self.levels[0], self._budget_ms, received_ms, now_ms, avoidable)
        self._open.append(frame)
        return plan

    def _require_open(self) -> OpenFrame:
        if not self._open:
            raise RuntimeError("FrameBudget: no frame is open, call begin first")
        return self._open[0]

    def _close(self, frame: OpenFrame, total_ms: float, masks: MaskPlan) -> FrameOutcome:
        self._open.remove(frame)
        level = frame.plan.level
        instances_cut = masks.max_instances < min(frame.found, frame.best.max_instances)
        given_up = degradation(frame.best, level, masks.mask_detail, instances_cut=instances_cut)
        lateness_ms = max(total_ms - frame.budget_ms, 0.0) if frame.budget_ms > 0.0 else 0.0
        missed = lateness_ms > 0.0
        publish = not missed or self.policy is OverrunPolicy.PUBLISH
        cut = masks.mask_detail < level.mask_detail or instances_cut
        wait_ms = frame.plan.wait_ms
        by_waiting = self._has_waited(wait_ms) and total_ms - wait_ms <= frame.budget_ms
        self._controller.backoff.note_finish(
            avoidable_miss=missed and frame.avoidable,
            hurt_by_waiting=frame.avoidable and (missed or cut) and by_waiting,
        )
        return FrameOutcome(publish, not missed, given_up, frame.budget_ms, total_ms, lateness_ms)


def _valid_budget(budget_ms: float) -> float:
    if not math.isfinite(budget_ms) or budget_ms < 0.0:
        raise ConfigError(
            f"frame_budget_ms is {budget_ms}, expected 0 (no budget) or a positive number"
        )
    return float(budget_ms)
