"""Which rung of the quality ladder the next frame can afford."""

from __future__ import annotations

from collections import deque

from yolact_ros.inference.caution import Caution
from yolact_ros.inference.cost import WINDOW_MS, CostModel
from yolact_ros.inference.ladder import QualityLadder, Rung
from yolact_ros.inference.mask_choice import hopeless_rung

__all__ = ["RungChoice"]

RECENT_FRAMES = 64
HOPELESS_AFTER_MS = 2000.0


class RungChoice:
    """The rung in use, and the moves from it: down at once, up with caution.

    Attributes:
        current: index of the rung in use.
        caution: when a better one may be tried.
    """

    def __init__(self, ladder: QualityLadder, costs: CostModel) -> None:
        self.current = 0
        self.caution = Caution()
        self._ladder = ladder
        self._costs = costs
        self._hopeless_since_ms = float("-inf")
        self._barred_until_ms: dict[int, float] = {}
        self._available: deque[tuple[float, float]] = deque(maxlen=RECENT_FRAMES)

    @property
    def ladder(self) -> QualityLadder:
        """The rungs to choose from."""
        return self._ladder

    def set_ladder(self, ladder: QualityLadder) -> None:
        """Change the rungs; stay at the input size in use where the new ladder has it."""
        sizes_px = [rung.input_size_px for rung in ladder.rungs]
        in_use_px = self._ladder.rungs[self.current].input_size_px
        was_best = self.current == 0
        self._ladder = ladder
        self.current = 0 if was_best or in_use_px not in sizes_px else sizes_px.index(in_use_px)
        self.forget()

    def forget(self) -> None:
        """Start afresh with caution, as under a new budget."""
        self.caution = Caution()
        self._available.clear()

    def bar(self, input_size_px: int, until_ms: float) -> None:
        """Keep off this input size and all larger ones; the smallest is never barred."""
        for rung in self._ladder.rungs[:-1]:
            if rung.input_size_px >= input_size_px:
                self._barred_until_ms[rung.input_size_px] = until_ms

    def take_best(self, now_ms: float) -> None:
        """Use the best rung that is not barred."""
        self.current = next(
            index for index in range(len(self._ladder)) if not self._is_barred(index, now_ms)
        )

    def note_shared_time(self, now_ms: float, available_ms: float) -> None:
        """Remember the time of a frame that shares the network with other cameras'."""
        self._available.append((now_ms, available_ms))

    def cost_ms(self, index: int, instances: int) -> float:
        """Expected cost of a frame on a rung."""
        return self._costs.rung_ms(self._ladder.rungs[index], instances)

    def usual_ms(self, instances: int) -> float:
        """Median cost of a frame on the rung in use."""
        return self._costs.usual_rung_ms(self._ladder.rungs[self.current], instances)

    def choose(
        self, now_ms: float, *, budget_ms: float, remaining_ms: float, instances: int
    ) -> int | None:
        """The best rung that fits a frame, or None if none does.

        The rung in use follows what a frame without delay could afford. A worse result is for
        the caller to take (:meth:`descend`) or to avoid by leaving the frame.

        Args:
            budget_ms: time of a frame that did not wait.
            remaining_ms: time of this frame.
            instances: how many are expected.
        """
        if self.caution.note_level(self._costs.network.level()):
            self._costs.network.forget_older_half()
            self._costs.masks.forget_older_half()
        too_dear = self.cost_ms(self.current, instances) > budget_ms
        if too_dear or self._is_barred(self.current, now_ms):
            self.descend(now_ms, self._first_fitting(budget_ms, now_ms, instances))
        elif self._climb(now_ms, remaining_ms, instances):
            return self.current
        return self._first_fitting(remaining_ms, now_ms, instances)

    def descend(self, now_ms: float, index: int | None) -> None:
        """Move down to a rung; None means the cheapest."""
        target = len(self._ladder) - 1 if index is None else index
        if target > self.current:
            self.caution.note_descent(now_ms, self._costs.network.level())
            self.current = target

    def rung_for(self, now_ms: float, fits: int | None, instances: int) -> Rung:
        """The rung to work on: the one in use, or, for a frame that will be late, the cheapest.

        Where nothing has fitted for long, giving up masks that cost next to nothing would not
        help, so they are kept.
        """
        if fits is not None:
            self._hopeless_since_ms = float("inf")
            return self._ladder.rungs[self.current]
        self._hopeless_since_ms = min(self._hopeless_since_ms, now_ms)
        if now_ms - self._hopeless_since_ms < HOPELESS_AFTER_MS:
            return self._ladder.rungs[-1]
        return hopeless_rung(self._costs, self._ladder, instances)

    def _climb(self, now_ms: float, remaining_ms: float, instances: int) -> bool:
        recent_ms = [ms for at_ms, ms in self._available if at_ms >= now_ms - WINDOW_MS]
        available_ms = min([remaining_ms, *recent_ms])
        if available_ms <= 0.0:
            return False
        for index in range(self.current):
            share = self.cost_ms(index, instances) / available_ms
            if not self._is_barred(index, now_ms) and self.caution.may_climb(now_ms, share):
                self.caution.note_climb(now_ms, share)
                self.current = index
                return True
        return False

    def _first_fitting(self, available_ms: float, now_ms: float, instances: int) -> int | None:
        for index in range(self.current, len(self._ladder)):
            fits = self.cost_ms(index, instances) <= available_ms
            if fits and not self._is_barred(index, now_ms):
                return index
        return None

    def _is_barred(self, index: int, now_ms: float) -> bool:
        size_px = self._ladder.rungs[index].input_size_px
        if size_px == self._ladder.rungs[-1].input_size_px:
            return False
        return now_ms < self._barred_until_ms.get(size_px, float("-inf"))
