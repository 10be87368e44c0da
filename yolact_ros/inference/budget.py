"""The frame budget: what each frame gives up so that its result is published in time.

No clock, no ROS and no network in here: the caller says what time it is, in milliseconds of any
monotonic clock. ``docs/budget.md`` has the reasoning.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Hashable
from dataclasses import replace

from yolact_ros.errors import ConfigError
from yolact_ros.inference.arrivals import Arrivals
from yolact_ros.inference.cost import CostModel, quantile
from yolact_ros.inference.frame_plan import (
    FrameOutcome,
    FramePlan,
    MaskPlan,
    OpenFrame,
    OverrunPolicy,
)
from yolact_ros.inference.frame_statistics import DropCause, FrameStatistics, StatisticsSummary
from yolact_ros.inference.ladder import MaskDetail, QualityLadder, Rung
from yolact_ros.inference.mask_choice import affordable_masks
from yolact_ros.inference.rung_choice import RungChoice

__all__ = ["FrameBudget"]

RECENT_FRAMES = 64
SHORT_WAIT_SHARE = 0.05
PREPARE_SMOOTHING = 0.2


class FrameBudget:
    """Chooses the quality of every frame so that it is published within the budget.

    For every frame: :meth:`begin`, work, :meth:`after_inference` once the detections are known,
    mask assembly, :meth:`finish` just before publication. Frames that a plan allows to work on
    together :meth:`join` the one begun and go through the rest in the same order, one after the
    other. Not thread-safe.

    Every frame given to :meth:`begin` ends as published or counted as dropped. A budget or
    ladder changed meanwhile counts from the next frame on.

    Attributes:
        costs: seed it at warm-up with the cost of every input size of the ladder.
        policy: what happens to a late result.
    """

    def __init__(
        self,
        ladder: QualityLadder,
        budget_ms: float,
        policy: OverrunPolicy = OverrunPolicy.PUBLISH,
    ) -> None:
        """Start at the best rung.

        Raises:
            ConfigError: ``budget_ms`` is negative or not finite.
        """
        self.costs = CostModel()
        self.policy = policy
        self._budget_ms = _valid_budget(budget_ms)
        self._choice = RungChoice(ladder, self.costs)
        self._statistics = FrameStatistics()
        self._open: deque[OpenFrame] = deque()
        self._prepare_ms = 0.0
        self._found: deque[int] = deque(maxlen=RECENT_FRAMES)
        self._arrivals = Arrivals()
        self._last_source: Hashable = None
        self._gave_way = False

    @property
    def budget_ms(self) -> float:
        """Deadline from reception to publication; 0 means no budget."""
        return self._budget_ms

    @property
    def ladder(self) -> QualityLadder:
        """The rungs in force."""
        return self._choice.ladder

    @property
    def rung(self) -> Rung:
        """The rung in use."""
        return self.ladder.rungs[self._choice.current]

    def set_budget(self, budget_ms: float) -> None:
        """Change the budget; 0 turns it off.

        Raises:
            ConfigError: ``budget_ms`` is negative or not finite; the old one stays.
        """
        self._budget_ms = _valid_budget(budget_ms)
        self._choice.forget()

    def set_ladder(self, ladder: QualityLadder) -> None:
        """Change the rungs; seed new input sizes before."""
        self._choice.set_ladder(ladder)

    def count_drop(self, cause: DropCause, frames: int = 1) -> None:
        """Count received frames that never reached :meth:`begin`."""
        self._statistics.count_drop(cause, frames)

    def statistics(self) -> StatisticsSummary:
        """What became of all frames so far."""
        return self._statistics.summary()

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
            now_ms: current time.
            received_ms: when the frame arrived.
            source: camera it came from.
            queued: frames of other cameras that wait meanwhile. Where batches pay, the plan says
                how many of them may :meth:`join`.
            replaced: older frames of this camera that this one replaced; they are counted.
        """
        self.abandon(now_ms)
        alone = source == self._last_source and queued == 0
        self._note_arrival(source, received_ms, replaced)
        wait_ms = max(now_ms - received_ms, 0.0)
        choice = self._choice
        together, worth = self.costs.best_batch(self.ladder, 1 + queued)
        if self._budget_ms == 0.0:
            choice.take_best(now_ms)
            plan = FramePlan(True, self.rung, wait_ms, together)
            return self._open_frame(plan, now_ms, received_ms, avoidable=False)

        instances = int(quantile(self._found, 0.95))
        # What frames in one run of the network do not share is there once for each.
        unshared_ms = (1 + queued - worth) * self._unshared_ms(instances) if together > 1 else 0.0
        remaining_ms = (self._budget_ms - wait_ms - unshared_ms) / worth
        if self._has_waited(wait_ms):
            remaining_ms /= 1.0 + choice.caution.margin
        if not alone:
            choice.note_shared_time(now_ms, remaining_ms)
        fits = choice.choose(
            now_ms, budget_ms=self._budget_ms, remaining_ms=remaining_ms, instances=instances
        )
        if fits is None or fits > choice.current:
            cost_ms = choice.cost_ms(choice.current, instances)
            # Waiting for the next frame must cost less than working on this one, and never
            # more than one frame in a row may give way, or a fast camera would starve.
            next_is_due = self._arrivals.until_next_ms(source, now_ms) <= cost_ms
            usual_ms = choice.usual_ms(instances)
            # By the p95 alone, one frame dearer than the budget kept its successors late, each
            # of which waited for the one before (131 frames for 77 such in simulation, now 0).
            worth_it = cost_ms <= self._budget_ms or remaining_ms < usual_ms <= self._budget_ms
            if alone and next_is_due and worth_it and not self._gave_way:
                self._gave_way = True
                self.count_drop(DropCause.GAVE_WAY)
                return FramePlan(False, self.rung, wait_ms)
            choice.descend(now_ms, fits)
        self._gave_way = False
        rung = choice.rung_for(now_ms, fits, instances)
        avoidable = fits is not None and choice.current < len(self.ladder) - 1
        plan = FramePlan(True, rung, wait_ms, 1 if fits is None else together)
        return self._open_frame(plan, now_ms, received_ms, avoidable=avoidable)

    def join(
        self, now_ms: float, received_ms: float, *, source: Hashable = None, replaced: int = 0
    ) -> FramePlan:
        """Plan one more frame of the batch whose first one is open; it has the same rung.

        Call it before :meth:`run_network`, at most as often as the first frame's plan allows.

        Args:
            As :meth:`begin`.

        Raises:
            RuntimeError: no frame is open.
        """
        first = self._require_open()
        self._note_arrival(source, received_ms, replaced)
        wait_ms = max(now_ms - received_ms, 0.0)
        plan = replace(first.plan, wait_ms=wait_ms)
        self._open.append(replace(first, plan=plan, received_ms=received_ms, worth=0.0))
        return plan

    def run_network(self, now_ms: float) -> None:
        """Say that a batch is decoded and its run of the network begins.

        A frame alone needs no such call. From it the budget knows what the frames do not share.

        Raises:
            RuntimeError: no frame is open.
        """
        first = self._require_open()
        frames = len(self._open)
        own_ms = max(now_ms - first.begun_ms, 0.0) / frames
        known_ms = self._prepare_ms or own_ms
        self._prepare_ms = known_ms + PREPARE_SMOOTHING * (own_ms - known_ms)
        first.worth = self.costs.batch_worth(first.plan.rung.input_size_px, frames)
        first.begun_ms = now_ms - own_ms * first.worth

    def after_inference(self, now_ms: float, instances_found: int) -> MaskPlan:
        """Plan the masks, once the detections of the open frame are known.

        Of a batch the frame begun or joined first is meant that is still open.

        Gives up instances first, then mask detail, then masks; each only where it helps.

        Raises:
            RuntimeError: no frame is open.
        """
        frame = self._require_open()
        rung = frame.plan.rung
        frame.inferred_ms, frame.found = now_ms, instances_found
        self._found.append(instances_found)
        if frame.worth:
            alone_ms = max(now_ms - frame.begun_ms, 0.0) / frame.worth
            self.costs.observe_network(rung.input_size_px, now_ms, alone_ms)
        plan = MaskPlan(True, min(instances_found, rung.max_instances), rung.mask_detail)
        if frame.budget_ms > 0.0:
            spent_ms = max(now_ms - frame.received_ms, 0.0)
            if spent_ms > frame.budget_ms and self.policy is OverrunPolicy.DROP:
                plan = MaskPlan(False, 0, MaskDetail.NONE)
                self._close(frame, spent_ms, plan)
                return plan
            plan = affordable_masks(
                self.costs,
                rung,
                instances_found,
                remaining_ms=(frame.budget_ms - spent_ms) / len(self._open),
                spent_ms=spent_ms,
            )
        frame.masks = plan
        return plan

    def finish(self, now_ms: float) -> FrameOutcome:
        """Close the open frame, just before publication.

        Raises:
            RuntimeError: no frame is open, or :meth:`after_inference` was not called for it.
        """
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
        """Close a frame, if it is open, as dropped because work on it failed.

        Args:
            now_ms: current time.
            plan: of the frame; None closes all that are open.
            bar_input_for_ms: keep off this frame's input size and all larger ones for so long,
                for example after the device ran out of memory. The smallest is never barred.
        """
        for frame in [frame for frame in self._open if plan is None or frame.plan is plan]:
            self._open.remove(frame)
            self.count_drop(DropCause.FAILED)
            if bar_input_for_ms > 0.0:
                self._choice.bar(frame.plan.rung.input_size_px, now_ms + bar_input_for_ms)

    def _note_arrival(self, source: Hashable, received_ms: float, replaced: int) -> None:
        if replaced:
            self.count_drop(DropCause.REPLACED, replaced)
        self._last_source = source
        self._arrivals.note(source, received_ms, replaced)

    def _unshared_ms(self, instances: int) -> float:
        """What a frame of a batch costs besides its part of the network."""
        shown = min(instances, self.rung.max_instances)
        return self._prepare_ms + self.costs.masks_ms(self.rung.mask_detail, shown)

    def _has_waited(self, wait_ms: float) -> bool:
        return wait_ms > SHORT_WAIT_SHARE * self._budget_ms

    def _open_frame(
        self, plan: FramePlan, now_ms: float, received_ms: float, *, avoidable: bool
    ) -> FramePlan:
        frame = OpenFrame(plan, self.ladder, self._budget_ms, received_ms, now_ms, avoidable)
        self._open.append(frame)
        return plan

    def _require_open(self) -> OpenFrame:
        if not self._open:
            raise RuntimeError("FrameBudget: no frame is open, call begin first")
        return self._open[0]

    def _close(self, frame: OpenFrame, total_ms: float, masks: MaskPlan) -> FrameOutcome:
        self._open.remove(frame)
        rung = frame.plan.rung
        most = min(frame.found, frame.ladder.rungs[0].max_instances)
        given_up = frame.ladder.degradation(
            rung, masks.mask_detail, instances_cut=masks.max_instances < most
        )
        lateness_ms = max(total_ms - frame.budget_ms, 0.0) if frame.budget_ms > 0.0 else 0.0
        missed = lateness_ms > 0.0
        publish = not missed or self.policy is OverrunPolicy.PUBLISH
        if not publish:
            self.count_drop(DropCause.LATE)
        self._statistics.count_frame(rung, total_ms, missed=missed, given_up=given_up)
        cut = masks.mask_detail < rung.mask_detail or masks.max_instances < most
        wait_ms = frame.plan.wait_ms
        by_waiting = self._has_waited(wait_ms) and total_ms - wait_ms <= frame.budget_ms
        self._choice.caution.note_finish(
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
