"""What the frame budget decides about a frame: before work, before the masks, at the end."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from yolact_ros.inference.quality.levels import Degradation, MaskDetail, QualityLevel

__all__ = ["FrameOutcome", "FramePlan", "MaskPlan", "OpenFrame", "OverrunPolicy"]


class OverrunPolicy(Enum):
    """What happens to a result that is ready after its deadline."""

    PUBLISH = "publish"
    DROP = "drop"


@dataclass(frozen=True)
class FramePlan:
    """What to do with a frame, decided before work on it.

    Attributes:
        run: False if the frame is skipped: the next one, due at once, will be in time.
        wait_ms: reception to start of work.
        batch_size: most frames to work on in one run of the network, this one included; the
            others are frames of other cameras that wait.
    """

    run: bool
    level: QualityLevel
    wait_ms: float
    batch_size: int = 1


@dataclass(frozen=True)
class MaskPlan:
    """What to do with the network's detections, decided before mask assembly.

    Attributes:
        run: False if the frame is dropped for being late already.
        max_instances: how many of the detections to assemble and publish, best first.
    """

    run: bool
    max_instances: int
    mask_detail: MaskDetail


@dataclass(eq=False)
class OpenFrame:
    """A frame between its plan and its outcome.

    Attributes:
        best, budget_ms: best level and budget that it is held to.
        received_ms, begun_ms: when it arrived, and when work on it or on its batch began.
        avoidable: a cheaper level was to be had.
        network_cost: what its run of the network takes, in single frames; 0 for one that joined
            a batch, whose run is that of the first.
        inferred_ms: when its detections were known; None before.
        masks: what was decided about them; None before.
    """

    plan: FramePlan
    best: QualityLevel
    budget_ms: float
    received_ms: float
    begun_ms: float
    avoidable: bool
    network_cost: float = 1.0
    inferred_ms: float | None = None
    found: int = 0
    masks: MaskPlan | None = None


@dataclass(frozen=True)
class FrameOutcome:
    """What became of a frame.

    Attributes:
        publish: False if the frame is dropped for being late.
        deadline_met: reception to publication took at most the budget; True without a budget.
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
