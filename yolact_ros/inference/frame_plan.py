"""What the frame budget decides about a frame: before work, before the masks, at the end."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from yolact_ros.inference.ladder import Degradation, MaskDetail, Rung

__all__ = ["FrameOutcome", "FramePlan", "MaskPlan", "OverrunPolicy"]


class OverrunPolicy(Enum):
    """What happens to a result that is ready after its deadline."""

    PUBLISH = "publish"
    DROP = "drop"


@dataclass(frozen=True)
class FramePlan:
    """What to do with a frame, decided before work on it.

    Attributes:
        run: False if the frame is dropped (and counted); take the next one.
        rung: quality to work at.
        wait_ms: reception to start of work.
    """

    run: bool
    rung: Rung
    wait_ms: float


@dataclass(frozen=True)
class MaskPlan:
    """What to do with the network's detections, decided before mask assembly.

    Attributes:
        run: False if the frame is dropped (and counted) for being late already.
        max_instances: how many of the detections to assemble and publish, best first.
        mask_detail: how finely.
    """

    run: bool
    max_instances: int
    mask_detail: MaskDetail


@dataclass(frozen=True)
class FrameOutcome:
    """What became of a frame.

    Attributes:
        publish: False if the frame is dropped (and counted) for being late.
        deadline_met: reception to publication took at most the budget; True without a budget.
        degradation: what the frame gave up.
        budget_ms: the budget that the frame was held to; 0 = none.
        total_ms: reception to publication.
        lateness_ms: time over the deadline; 0 if it was met.
    """

    publish: bool
    deadline_met: bool
    degradation: Degradation
    budget_ms: float
    total_ms: float
    lateness_ms: float
