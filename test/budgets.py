"""Frame budgets with known costs, and frames that take what they are told to."""

from __future__ import annotations

from collections.abc import Sequence

from yolact_ros.inference.quality.budget import FrameBudget
from yolact_ros.inference.quality.cost import MaskCost
from yolact_ros.inference.quality.levels import MaskDetail, QualityLevel, quality_levels
from yolact_ros.inference.quality.plan import FrameOutcome, OverrunPolicy

NETWORK_MS = {550: 24.0, 400: 13.0, 300: 8.0}
LEVELS = quality_levels([550, 400, 300], 15)


def make_budget(
    budget_ms: float = 33.3,
    policy: OverrunPolicy = OverrunPolicy.PUBLISH,
    levels: Sequence[QualityLevel] = LEVELS,
) -> FrameBudget:
    budget = FrameBudget(levels, budget_ms, policy)
    for size_px, cost_ms in NETWORK_MS.items():
        budget.costs.seed_network(size_px, cost_ms)
    budget.costs.seed_masks(MaskDetail.FULL, MaskCost(1.0, 0.5))
    budget.costs.seed_masks(MaskDetail.COARSE, MaskCost(1.0, 0.1))
    budget.costs.seed_masks(MaskDetail.NONE, MaskCost(0.5, 0.0))
    return budget


def batching_budget(worth: float, budget_ms: float = 33.3) -> FrameBudget:
    budget = make_budget(budget_ms)
    for size_px in NETWORK_MS:
        assert budget.costs.seed_batch(size_px, 2, worth)
    return budget


def run_frame(
    budget: FrameBudget,
    begun_ms: float,
    *,
    network_ms: float,
    masks_ms: float = 1.0,
    wait_ms: float = 0.0,
    found: int = 1,
) -> tuple[int, FrameOutcome]:
    plan = budget.begin(begun_ms, begun_ms - wait_ms)
    assert plan.run
    budget.after_inference(begun_ms + network_ms, found)
    return plan.level.input_size_px, budget.finish(begun_ms + network_ms + masks_ms)


def run_steadily(budget: FrameBudget, start_ms: float, frames: int, slowdown: float) -> list[int]:
    sizes_px = []
    for index in range(frames):
        at_ms = start_ms + index * 33.3
        cost_ms = NETWORK_MS[budget.begin(at_ms, at_ms).level.input_size_px] * slowdown
        sizes_px.append(budget.level.input_size_px)
        budget.after_inference(at_ms + cost_ms, 1)
        budget.finish(at_ms + cost_ms + 1.0)
    return sizes_px
