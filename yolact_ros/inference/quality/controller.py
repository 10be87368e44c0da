"""Which quality level the next frame can afford, and which masks once its detections are known."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from yolact_ros.inference.quality.backoff import Backoff
from yolact_ros.inference.quality.cost import WINDOW_MS, CostModel
from yolact_ros.inference.quality.levels import MaskDetail, QualityLevel
from yolact_ros.inference.quality.plan import MaskPlan

__all__ = ["LevelController", "affordable_masks"]

RECENT_FRAMES = 64
FALLBACK_AFTER_MS = 2000.0
FEWEST_INSTANCES_SHARE = 3
NEGLIGIBLE_MASK_SHARE = 0.1


class LevelController:
    """The level in use, and the moves from it: down at once, up after a wait.

    Attributes:
        levels: to choose from, best first.
        current: index of the level in use.
        backoff: when a better one may be tried.
    """

    def __init__(self, levels: Sequence[QualityLevel], costs: CostModel) -> None:
        self.current = 0
        self.backoff = Backoff()
        self.levels = tuple(levels)
        self._costs = costs
        self._nothing_fits_since_ms = float("-inf")
        self._barred_until_ms: dict[int, float] = {}
        self._available: deque[tuple[float, float]] = deque(maxlen=RECENT_FRAMES)

    @property
    def level(self) -> QualityLevel:
        return self.levels[self.current]

    def set_levels(self, levels: Sequence[QualityLevel]) -> None:
        """Change the levels; stay at the input size in use where it is among the new ones."""
        sizes_px = [level.input_size_px for level in levels]
        in_use_px = self.level.input_size_px
        was_best = self.current == 0
        self.levels = tuple(levels)
        self.current = 0 if was_best or in_use_px not in sizes_px else sizes_px.index(in_use_px)
        self.forget()

    def forget(self) -> None:
        """Forget what was learnt about when to climb, as under a new budget."""
        self.backoff = Backoff()
        self._available.clear()

    def bar(self, input_size_px: int, until_ms: float) -> None:
        """Keep off this input size and all larger ones; the smallest is never barred."""
        for level in self.levels[:-1]:
            if level.input_size_px >= input_size_px:
                self._barred_until_ms[level.input_size_px] = until_ms

    def take_best(self, now_ms: float) -> None:
        """Use the best level that is not barred."""
        self.current = next(
            index for index in range(len(self.levels)) if not self._is_barred(index, now_ms)
        )

    def note_shared_time(self, now_ms: float, available_ms: float) -> None:
        """Remember the time of a frame that shares the network with other cameras'."""
        self._available.append((now_ms, available_ms))

    def cost_ms(self, index: int, instances: int) -> float:
        return self._costs.level_ms(self.levels[index], instances)

    def usual_ms(self, instances: int) -> float:
        """Median cost of a frame on the level in use."""
        return self._costs.usual_level_ms(self.level, instances)

    def choose(
        self, now_ms: float, *, budget_ms: float, remaining_ms: float, instances: int
    ) -> int | None:
        """The best level that fits a frame, or None if none does.

        The level in use follows what a frame without delay could afford. A worse result is for
        the caller to take (:meth:`descend`) or to avoid by leaving the frame.

        Args:
            budget_ms: time of a frame that did not wait.
            remaining_ms: time of this frame.
        """
        if self.backoff.note_slowdown(self._costs.network.slowdown()):
            self._costs.network.forget_older_half()
            self._costs.masks.forget_older_half()
        too_dear = self.cost_ms(self.current, instances) > budget_ms
        if too_dear or self._is_barred(self.current, now_ms):
            self.descend(now_ms, self._first_fitting(budget_ms, now_ms, instances))
        elif self._climb(now_ms, remaining_ms, instances):
            return self.current
        return self._first_fitting(remaining_ms, now_ms, instances)

    def descend(self, now_ms: float, index: int | None) -> None:
        """Move down to a level; None means the cheapest."""
        target = len(self.levels) - 1 if index is None else index
        if target > self.current:
            self.backoff.note_descent(now_ms, self._costs.network.slowdown())
            self.current = target

    def level_for(self, now_ms: float, fits: int | None, instances: int) -> QualityLevel:
        """The level to work on: the one in use, or, for a frame that will be late, the cheapest.

        Where nothing has fitted for long, giving up masks that cost next to nothing would not
        help, so they are kept.
        """
        if fits is not None:
            self._nothing_fits_since_ms = float("inf")
            return self.level
        self._nothing_fits_since_ms = min(self._nothing_fits_since_ms, now_ms)
        if now_ms - self._nothing_fits_since_ms < FALLBACK_AFTER_MS:
            return self.levels[-1]
        return _fallback_level(self._costs, self.levels, instances)

    def _climb(self, now_ms: float, remaining_ms: float, instances: int) -> bool:
        recent_ms = [ms for at_ms, ms in self._available if at_ms >= now_ms - WINDOW_MS]
        available_ms = min([remaining_ms, *recent_ms])
        if available_ms <= 0.0:
            return False
        for index in range(self.current):
            share = self.cost_ms(index, instances) / available_ms
            if not self._is_barred(index, now_ms) and self.backoff.may_climb(now_ms, share):
                self.backoff.note_climb(now_ms, share)
                self.current = index
                return True
        return False

    def _first_fitting(self, available_ms: float, now_ms: float, instances: int) -> int | None:
        for index in range(self.current, len(self.levels)):
            fits = self.cost_ms(index, instances) <= available_ms
            if fits and not self._is_barred(index, now_ms):
                return index
        return None

    def _is_barred(self, index: int, now_ms: float) -> bool:
        size_px = self.levels[index].input_size_px
        if size_px == self.levels[-1].input_size_px:
            return False
        return now_ms < self._barred_until_ms.get(size_px, float("-inf"))


def affordable_masks(
    costs: CostModel, level: QualityLevel, found: int, *, remaining_ms: float, spent_ms: float
) -> MaskPlan:
    """The best masks that fit ``remaining_ms``.

    Instances are given up first, down to a third of the level's most, then mask detail, then
    masks. A frame that boxes alone would not bring in time either keeps its masks where they
    cost next to nothing against the ``spent_ms`` since its reception.
    """
    shown = min(found, level.max_instances)
    fewest = min(shown, max(level.max_instances // FEWEST_INSTANCES_SHARE, 1))
    for detail in (MaskDetail.FULL, MaskDetail.COARSE):
        if detail > level.mask_detail:
            continue
        for count in range(shown, fewest - 1, -1):
            if costs.masks_ms(detail, count) <= remaining_ms:
                return MaskPlan(True, count, detail)
    too_late = costs.masks_ms(MaskDetail.NONE, shown) > remaining_ms
    finest_ms = costs.masks_ms(level.mask_detail, shown)
    if too_late and finest_ms <= NEGLIGIBLE_MASK_SHARE * spent_ms:
        return MaskPlan(True, shown, level.mask_detail)
    return MaskPlan(True, shown, MaskDetail.NONE)


def _fallback_level(
    costs: CostModel, levels: Sequence[QualityLevel], instances: int
) -> QualityLevel:
    """Where nothing fits: the smallest input, with masks that cost next to nothing."""
    cheapest = levels[-1]
    network_ms = costs.network_ms(cheapest.input_size_px)
    for level in levels:
        if level.input_size_px == cheapest.input_size_px:
            masks_ms = costs.masks_ms(level.mask_detail, min(instances, level.max_instances))
            if masks_ms <= NEGLIGIBLE_MASK_SHARE * network_ms:
                return level
    return cheapest
