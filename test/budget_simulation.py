"""A camera, a newest-frame slot and a worker under a frame budget, without a clock.

The world (costs, load, noise) is known exactly, so a test can say what the budget should have
done; the budget itself sees times only.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from yolact_ros.inference.quality.budget import FrameBudget
from yolact_ros.inference.quality.cost import MaskCost
from yolact_ros.inference.quality.levels import (
    Degradation,
    MaskDetail,
    QualityLevel,
    quality_levels,
)
from yolact_ros.inference.quality.plan import OverrunPolicy

__all__ = [
    "CameraFrame",
    "Frame",
    "LoadStep",
    "Simulation",
    "World",
    "flaps",
    "simulate",
    "simulate_cameras",
]

MASK_COSTS = {
    MaskDetail.FULL: MaskCost(0.5, 0.06),
    MaskDetail.COARSE: MaskCost(0.5, 0.02),
    MaskDetail.NONE: MaskCost(0.4, 0.0),
}


@dataclass(frozen=True)
class LoadStep:
    """From ``start_ms`` on everything takes ``slowdown`` times as long, drifting by ``drift``.

    Attributes:
        drift: slowdown added per second after ``start_ms``.
    """

    start_ms: float
    slowdown: float
    drift: float = 0.0


@dataclass(frozen=True)
class World:
    """What frames cost and when.

    Attributes:
        network_ms: cost of the network stage by input size, on a quiet machine.
        load: steps in order of time; 1 before the first.
        noise: standard deviation of the log of a cost's noise.
        spike_every, spike_slowdown: one frame in so many takes so many times as long.
        tail: exponent of a Pareto tail of the noise; 0 = none. 3 is heavy.
        unevenness: the load's power grows with the input size by this; 0 = slows all alike.
        found: instances in a frame at a time.
    """

    network_ms: dict[int, float]
    load: tuple[LoadStep, ...] = ()
    noise: float = 0.03
    spike_every: int = 0
    spike_slowdown: float = 3.0
    tail: float = 0.0
    unevenness: float = 0.0
    found: Callable[[float], int] = lambda now_ms: 8
    seed: int = 0

    def slowdown(self, now_ms: float) -> float:
        """How slow the machine is at a time, without noise."""
        current = 1.0
        for step in self.load:
            if step.start_ms <= now_ms:
                seconds = (now_ms - step.start_ms) / 1000.0
                current = max(step.slowdown + step.drift * seconds, 0.2)
        return current


@dataclass(frozen=True)
class Frame:
    """One frame that was worked on to the end."""

    received_ms: float
    begun_ms: float
    finished_ms: float
    level_index: int
    level: QualityLevel
    mask_detail: MaskDetail
    shown: int
    found: int
    deadline_met: bool
    published: bool
    degradation: Degradation
    slowdown: float


@dataclass
class Simulation:
    """Everything that happened."""

    frames: list[Frame] = field(default_factory=list)
    received: int = 0
    replaced: int = 0
    skipped_at_ms: list[float] = field(default_factory=list)
    late_before_masks: int = 0

    @property
    def missed(self) -> int:
        """Frames over their deadline."""
        return sum(not frame.deadline_met for frame in self.frames)

    def between(self, start_ms: float, end_ms: float) -> list[Frame]:
        """Frames begun in a span of time."""
        return [frame for frame in self.frames if start_ms <= frame.begun_ms < end_ms]


def simulate(
    world: World,
    *,
    budget_ms: float,
    period_ms: float,
    duration_ms: float,
    top_k: int = 15,
    policy: OverrunPolicy = OverrunPolicy.PUBLISH,
    levels: Sequence[QualityLevel] | None = None,
    fixed_level: int | None = None,
    arrival_jitter: float = 0.0,
    seeded: bool = True,
    on_frame: Callable[[FrameBudget, float], None] | None = None,
) -> Simulation:
    """Run one camera through one worker.

    Args:
        fixed_level: work on this level always, the budget only counts.
        arrival_jitter: standard deviation of the arrival times, in periods.
        seeded: seed the costs as a warm-up does.
        on_frame: called before each frame with the budget and the time.
    """
    chance = random.Random(world.seed)
    levels = levels or quality_levels(sorted(world.network_ms, reverse=True), top_k)
    if fixed_level is not None:
        levels = (levels[fixed_level],)
    budget = FrameBudget(levels, budget_ms, policy)
    if seeded:
        for size_px, cost_ms in world.network_ms.items():
            budget.costs.seed_network(size_px, cost_ms)
        for detail, cost in MASK_COSTS.items():
            budget.costs.seed_masks(detail, cost)

    arrivals_ms = [
        max(0.0, (index + chance.gauss(0.0, arrival_jitter)) * period_ms)
        for index in range(int(duration_ms / period_ms))
    ]
    arrivals_ms.sort()
    result = Simulation(received=len(arrivals_ms))
    now_ms, index = 0.0, 0
    largest_px = max(world.network_ms)
    while index < len(arrivals_ms):
        now_ms = max(now_ms, arrivals_ms[index])
        newest = index
        while newest + 1 < len(arrivals_ms) and arrivals_ms[newest + 1] <= now_ms:
            newest += 1
        received_ms = arrivals_ms[newest]
        if on_frame is not None:
            on_frame(budget, now_ms)
        result.replaced += newest - index
        plan = budget.begin(now_ms, received_ms, replaced=newest - index)
        index = newest + 1
        if not plan.run:
            result.skipped_at_ms.append(now_ms)
            continue
        slowdown = world.slowdown(now_ms)
        noise = math.exp(chance.gauss(0.0, world.noise))
        if world.tail:
            noise *= chance.paretovariate(world.tail) ** 0.5
        if world.spike_every and chance.randrange(world.spike_every) == 0:
            noise *= world.spike_slowdown
        size_px = plan.level.input_size_px
        power = 1.0 + world.unevenness * (size_px / largest_px - 0.5)
        begun_ms = now_ms
        now_ms += world.network_ms[size_px] * slowdown**power * noise
        found = world.found(now_ms)
        masks = budget.after_inference(now_ms, found)
        if not masks.run:
            result.late_before_masks += 1
            continue
        cost = MASK_COSTS[masks.mask_detail].expected_ms(masks.max_instances)
        now_ms += cost * slowdown * noise
        outcome = budget.finish(now_ms)
        result.frames.append(
            Frame(
                received_ms,
                begun_ms,
                now_ms,
                budget.levels.index(plan.level),
                plan.level,
                masks.mask_detail,
                masks.max_instances,
                found,
                outcome.deadline_met,
                outcome.publish,
                outcome.degradation,
                slowdown,
            )
        )
    return result


def flaps(frames: Sequence[Frame], within_ms: float = 2000.0) -> list[float]:
    """When a climb was taken back within ``within_ms``: the times of the descents."""
    times_ms: list[float] = []
    climbed_ms = -math.inf
    for before, after in itertools.pairwise(frames):
        if after.level_index < before.level_index:
            climbed_ms = after.begun_ms
        elif after.level_index > before.level_index and after.begun_ms - climbed_ms <= within_ms:
            times_ms.append(after.begun_ms)
            climbed_ms = -math.inf
    return times_ms


class CameraFrame(NamedTuple):
    """A frame of one of several cameras that was worked on to the end.

    Attributes:
        batch_size: number of frames in its run of the network.
    """

    level: QualityLevel
    deadline_met: bool
    received_ms: float
    finished_ms: float
    batch_size: int


def simulate_cameras(
    world: World,
    *,
    budget_ms: float,
    period_ms: float,
    offsets_ms: Sequence[float],
    duration_ms: float,
    batch_cost: Mapping[int, float] = MappingProxyType({}),
    prepare_ms: float = 0.0,
    fixed_level: int | None = None,
) -> list[list[CameraFrame]]:
    """Run cameras of one rate through one worker, earliest reception first.

    Args:
        offsets_ms: each camera's first arrival.
        batch_cost: in the time of how many single frames the network works on so many together.
        prepare_ms: decoding of a frame.
        fixed_level: work on this level always.

    Returns:
        of each camera its finished frames.
    """
    chance = random.Random(world.seed)
    levels = quality_levels(sorted(world.network_ms, reverse=True), 15)
    if fixed_level is not None:
        levels = (levels[fixed_level],)
    budget = FrameBudget(levels, budget_ms)
    for size_px, cost_ms in world.network_ms.items():
        budget.costs.seed_network(size_px, cost_ms)
        for frames, cost in batch_cost.items():
            budget.costs.seed_batch(size_px, frames, cost)
    for detail, cost in MASK_COSTS.items():
        budget.costs.seed_masks(detail, cost)
    finished: list[list[CameraFrame]] = [[] for _ in offsets_ms]
    arrivals = sorted(
        (offset_ms + index * period_ms, camera)
        for camera, offset_ms in enumerate(offsets_ms)
        for index in range(int(duration_ms / period_ms))
    )
    waiting: dict[int, tuple[float, float, int]] = {}
    now_ms, index = 0.0, 0

    def take() -> tuple[int, float, int]:
        camera = min(waiting, key=lambda name: waiting[name][0])
        _, received_ms, replaced = waiting.pop(camera)
        return camera, received_ms, replaced

    while index < len(arrivals) or waiting:
        if not waiting:
            now_ms = max(now_ms, arrivals[index][0])
        while index < len(arrivals) and arrivals[index][0] <= now_ms:
            received_ms, camera = arrivals[index]
            first_ms, _, replaced = waiting.get(camera, (received_ms, 0.0, -1))
            waiting[camera] = (first_ms, received_ms, replaced + 1)
            index += 1
        camera, received_ms, replaced = take()
        plan = budget.begin(
            now_ms, received_ms, source=camera, queued=len(waiting), replaced=replaced
        )
        if not plan.run:
            continue
        slow = world.slowdown(now_ms) * math.exp(chance.gauss(0.0, world.noise))
        now_ms += prepare_ms * slow
        batch = [(camera, received_ms)]
        while waiting and len(batch) < plan.batch_size:
            camera, received_ms, replaced = take()
            budget.join(now_ms, received_ms, source=camera, replaced=replaced)
            now_ms += prepare_ms * slow
            batch.append((camera, received_ms))
        if len(batch) > 1:
            budget.run_network(now_ms)
        batch_size = len(batch)
        cost = batch_cost[batch_size] if batch_size > 1 else 1.0
        now_ms += world.network_ms[plan.level.input_size_px] * cost * slow
        for camera, received_ms in batch:
            masks = budget.after_inference(now_ms, world.found(now_ms))
            now_ms += MASK_COSTS[masks.mask_detail].expected_ms(masks.max_instances) * slow
            met = budget.finish(now_ms).deadline_met
            finished[camera].append(CameraFrame(plan.level, met, received_ms, now_ms, batch_size))
    return finished
