"""The frame budget: what each frame gives up so that its result is published in time.

No clock, no ROS and no network in here: the caller says what time it is, in milliseconds of any
monotonic clock. ``docs/budget.md`` has the reasoning.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass

from yolact_ros.errors import ConfigError
from yolact_ros.inference.arrivals import Arrivals
from yolact_ros.inference.cost import CostModel, quantile
from yolact_ros.inference.frame_plan import FrameOutcome, FramePlan, MaskPlan, OverrunPolicy
from yolact_ros.inference.frame_statistics import DropCause, FrameStatistics, StatisticsSummary
from yolact_ros.inference.ladder import MaskDetail, QualityLadder, Rung
from yolact_ros.inference.mask_choice import affordable_masks
from yolact_ros.inference.rung_choice import RungChoice

__all__ = ["FrameBudget"]

RECENT_FRAMES = 64
SHORT_WAIT_SHARE = 0.05


@dataclass
class _OpenFrame:
    plan: FramePlan
    ladder: QualityLadder
    budget_ms: float
    received_ms: float
    begun_ms: float
    avoidable: bool
    inferred_ms: float | None = None
    found: int = 0
    masks: MaskPlan | None = None


class FrameBudget:
    """Chooses the quality of every frame so that it is published within the budget.

    For every frame: :meth:`begin`, work, :meth:`after_inference` once the detections are known,
    mask assembly, :meth:`finish` just before publication. One frame at a time; not thread-safe.
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
        self._open: _OpenFrame | None = None
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
            queued: frames of other cameras that wait meanwhile.
            replaced: older frames of this camera that this one replaced; they are counted.
        """
        if self._open is not None:
            self.abandon(now_ms)
        if replaced:
            self.count_drop(DropCause.REPLACED, replaced)
        alone = source == self._last_source and queued == 0
        self._last_source = source
        self._arrivals.note(source, received_ms, replaced)
        wait_ms = max(now_ms - received_ms, 0.0)
        choice = self._choice
        if self._budget_ms == 0.0:
            choice.take_best(now_ms)
            return self._open_frame(now_ms, received_ms, self.rung, wait_ms, avoidable=False)

        remaining_ms = (self._budget_ms - wait_ms) / (1 + queued)
        if self._has_waited(wait_ms):
            remaining_ms /= 1.0 + choice.caution.margin
        if not alone:
            choice.note_shared_time(now_ms, remaining_ms)
        instances = int(quantile(self._found, 0.95))
        fits = choice.choose(
            now_ms, budget_ms=self._budget_ms, remaining_ms=remaining_ms, instances=instances
        )
        if fits is None or fits > choice.current:
            cost_ms = choice.cost_ms(choice.current, instances)
            # Waiting for the next frame must cost less than working on this one, and never
            # more than one frame in a row may give way, or a fast camera would starve.
            next_is_due = self._arrivals.until_next_ms(source, now_ms) <= cost_ms
            if alone and next_is_due and cost_ms <= self._budget_ms and not self._gave_way:
                self._gave_way = True
                self.count_drop(DropCause.GAVE_WAY)
                return FramePlan(False, self.rung, wait_ms)
            choice.descend(now_ms, fits)
        self._gave_way = False
        rung = choice.rung_for(now_ms, fits, instances)
        avoidable = fits is not None and choice.current < len(self.ladder) - 1
        return self._open_frame(now_ms, received_ms, rung, wait_ms, avoidable=avoidable)

    def after_inference(self, now_ms: float, instances_found: int) -> MaskPlan:
        """Plan the masks, once the detections of the open frame are known.

        Gives up instances first, then mask detail, then masks; each only where it helps.

        Raises:
            RuntimeError: no frame is open.
        """
        frame = self._require_open()
        rung = frame.plan.rung
        frame.inferred_ms, frame.found = now_ms, instances_found
        self._found.append(instances_found)
        self.costs.observe_network(rung.input_size_px, now_ms, max(now_ms - frame.begun_ms, 0.0))
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
                remaining_ms=frame.budget_ms - spent_ms,
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

    def abandon(self, now_ms: float, *, bar_input_for_ms: float = 0.0) -> None:
        """Close the open frame, if any, as dropped because work on it failed.

        Args:
            now_ms: current time.
            bar_input_for_ms: keep off this frame's input size and all larger ones for so long,
                for example after the device ran out of memory. The smallest is never barred.
        """
        frame = self._open
        if frame is None:
            return
        self._open = None
        self.count_drop(DropCause.FAILED)
        if bar_input_for_ms > 0.0:
            self._choice.bar(frame.plan.rung.input_size_px, now_ms + bar_input_for_ms)

    def _has_waited(self, wait_ms: float) -> bool:
        return wait_ms > SHORT_WAIT_SHARE * self._budget_ms

    def _open_frame(
        self, now_ms: float, received_ms: float, rung: Rung, wait_ms: float, *, avoidable: bool
    ) -> FramePlan:
        plan = FramePlan(True, rung, wait_ms)
        self._open = _OpenFrame(plan, self.ladder, self._budget_ms, received_ms, now_ms, avoidable)
        return plan

    def _require_open(self) -> _OpenFrame:
        if self._open is None:
            raise RuntimeError("FrameBudget: no frame is open, call begin first")
        return self._open

    def _close(self, frame: _OpenFrame, total_ms: float, masks: MaskPlan) -> FrameOutcome:
        self._open = None
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
