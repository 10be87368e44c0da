"""The networks of the input sizes in use, and the budget that chooses between them."""

from __future__ import annotations

from collections.abc import Mapping

from yolact_ros.inference.budget import FrameBudget
from yolact_ros.inference.budgeted import BudgetedPredictor
from yolact_ros.inference.frame_plan import OverrunPolicy
from yolact_ros.inference.ladder import QualityLadder
from yolact_ros.inference.predictor import Predictor
from yolact_ros.inference.settings import PostprocessConfig
from yolact_ros.ros.parameters import LiveParameters

__all__ = ["Rungs"]


class Rungs:
    """The predictors of one choice of input sizes, under a budget of their own.

    Args:
        predictors: by input size in pixels, best first.
        live: parameters to start with.
        runtime: what runs them, for people.
        masks: whether masks are made.
    """

    def __init__(
        self,
        predictors: Mapping[int, Predictor],
        live: LiveParameters,
        runtime: str,
        *,
        masks: bool,
    ) -> None:
        self.predictors = dict(predictors)
        self.runtime = runtime
        ladder = QualityLadder.from_settings(tuple(predictors), live.top_k, masks=masks)
        self.budgeted = BudgetedPredictor(predictors, FrameBudget(ladder, live.frame_budget_ms))
        self._used: tuple[LiveParameters, bool] | None = None

    def use(self, live: LiveParameters, settings: PostprocessConfig) -> None:
        """Work with these parameters from the next frame on."""
        budget = self.budgeted.budget
        before = self._used[0] if self._used else None
        if before is None or before.frame_budget_ms != live.frame_budget_ms:
            budget.set_budget(live.frame_budget_ms)
        budget.policy = OverrunPolicy(live.overrun_policy)
        ladder = QualityLadder.from_settings(
            tuple(self.predictors), live.top_k, masks=settings.masks
        )
        if ladder != budget.ladder:
            budget.set_ladder(ladder)
        for predictor in self.predictors.values():
            predictor.settings = settings
        self._used = (live, settings.masks)

    def uses(self, live: LiveParameters, *, masks: bool) -> bool:
        """Whether :meth:`use` has nothing to change."""
        return self._used == (live, masks)

    def close(self) -> None:
        """Let go of the networks."""
        self.budgeted.close()
        self.predictors.clear()
