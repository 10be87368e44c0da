"""Which masks a frame can afford once its detections are known."""

from __future__ import annotations

from yolact_ros.inference.cost import CostModel
from yolact_ros.inference.frame_plan import MaskPlan
from yolact_ros.inference.ladder import MaskDetail, QualityLadder, Rung

__all__ = ["affordable_masks", "hopeless_rung"]

FEWEST_INSTANCES_SHARE = 3
NEGLIGIBLE_MASK_SHARE = 0.1


def affordable_masks(
    costs: CostModel, rung: Rung, found: int, *, remaining_ms: float, spent_ms: float
) -> MaskPlan:
    """The best masks that fit ``remaining_ms``.

    Instances are given up first, down to a third of the rung's most, then mask detail, then
    masks. A frame that boxes alone would not bring in time either keeps its masks where they
    cost next to nothing against the ``spent_ms`` since its reception.
    """
    shown = min(found, rung.max_instances)
    fewest = min(shown, max(rung.max_instances // FEWEST_INSTANCES_SHARE, 1))
    for detail in (MaskDetail.FULL, MaskDetail.COARSE):
        if detail > rung.mask_detail:
            continue
        for count in range(shown, fewest - 1, -1):
            if costs.masks_ms(detail, count) <= remaining_ms:
                return MaskPlan(True, count, detail)
    hopeless = costs.masks_ms(MaskDetail.NONE, shown) > remaining_ms
    finest_ms = costs.masks_ms(rung.mask_detail, shown)
    if hopeless and finest_ms <= NEGLIGIBLE_MASK_SHARE * spent_ms:
        return MaskPlan(True, shown, rung.mask_detail)
    return MaskPlan(True, shown, MaskDetail.NONE)


def hopeless_rung(costs: CostModel, ladder: QualityLadder, instances: int) -> Rung:
    """The rung where nothing fits: the smallest input, with masks that cost next to nothing."""
    cheapest = ladder.rungs[-1]
    network_ms = costs.network_ms(cheapest.input_size_px)
    for rung in ladder.rungs:
        if rung.input_size_px == cheapest.input_size_px:
            masks_ms = costs.masks_ms(rung.mask_detail, min(instances, rung.max_instances))
            if masks_ms <= NEGLIGIBLE_MASK_SHARE * network_ms:
                return rung
    return cheapest
