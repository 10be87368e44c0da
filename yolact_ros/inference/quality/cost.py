"""What the stages of a frame cost now on each quality level: a running p95."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from yolact_ros.inference.quality.levels import MaskDetail, QualityLevel

__all__ = ["CostModel", "MaskCost", "StageCost", "quantile"]

WINDOW_MS = 800.0
MIN_WINDOW_FRAMES = 6
MAX_WINDOW_FRAMES = 48
SUSPICIOUS_FRAMES = 2
RESCALE_FRAMES = 12
RESCALE_BELOW = 0.8
# What a size may cost more than its area says: 300 px take 1.6 times the 24 ms of 320 px in
# OpenVINO on AVX2, where multiples of 32 are fast.
ABOVE_AREA = 1.6
# A batch is worth its wait for the others where it saves a tenth of their time.
BATCH_PAYS_BELOW = 0.9


def quantile(values: Iterable[float], q: float) -> float:
    """The nearest-rank ``q`` quantile of ``values``, 0 < q <= 1; 0 for no values.

    Of fewer than ``1 / (1 - q)`` values it is the largest.
    """
    ordered = sorted(values)
    if not ordered:
        return 0.0
    rank = -int(-q * len(ordered) // 1)
    return ordered[min(max(rank, 1), len(ordered)) - 1]


@dataclass(frozen=True)
class MaskCost:
    """Warm-up cost of everything after the network's output: ``fixed + per_instance * n``."""

    fixed_ms: float
    per_instance_ms: float

    def expected_ms(self, instances: int) -> float:
        return self.fixed_ms + self.per_instance_ms * instances


@dataclass
class _Sample:
    time_ms: float
    key: int
    ratio: float


class StageCost:
    """Recent costs of one stage as ratios to its warm-up costs, for every key (input size
    or mask detail).

    A competing load slows all levels alike, so the ratio seen on the level in use says what
    the others would cost now.
    """

    def __init__(self) -> None:
        self._samples: deque[_Sample] = deque(maxlen=MAX_WINDOW_FRAMES)

    def observe(self, key: int, now_ms: float, ratio: float) -> None:
        """Add one frame on ``key`` that took ``ratio`` times its warm-up cost."""
        self._samples.append(_Sample(now_ms, key, ratio))
        while (
            len(self._samples) > MIN_WINDOW_FRAMES
            and self._samples[0].time_ms < now_ms - WINDOW_MS
        ):
            self._samples.popleft()

    def rescale_faster(self, key: int) -> float:
        """Correct a warm-up that was too slow; the factor for ``key``'s warm-up cost, or 1.

        A competing load can only slow a frame. So a whole run of frames far below the warm-up
        says that the load was there at the warm-up.
        """
        run = self._since_change()
        if len(run) < RESCALE_FRAMES or self._samples[-1].key != key:
            return 1.0
        factor = quantile(run, 0.5)
        if factor >= RESCALE_BELOW or factor <= 0.0:
            return 1.0
        for sample in self._samples:
            if sample.key == key:
                sample.ratio /= factor
        return factor

    def forget_older_half(self) -> None:
        """Drop the samples from before a load went, once the median says that it has gone."""
        for _ in range(len(self._samples) // 2):
            self._samples.popleft()

    def ratio_p95(self, key: int) -> float:
        """The p95 to expect on ``key`` for the next frame; 1 before any observation.

        For the key in use its frames since the last change count, for another one those of all
        keys. The newest count in full whatever the quantile says: one costly frame may be the
        first of a step, and waiting for the second would cost a second deadline. If it was a
        spike, it is forgotten ``SUSPICIOUS_FRAMES`` frames later.
        """
        if not self._samples:
            return 1.0
        ratios = self._since_change()
        if self._samples[-1].key != key:
            ratios = [sample.ratio for sample in self._samples]
        return max(quantile(ratios, 0.95), *ratios[-SUSPICIOUS_FRAMES:])

    def ratio_p50(self, key: int) -> float:
        """The median to expect on ``key``; 1 before any observation."""
        if not self._samples:
            return 1.0
        if self._samples[-1].key != key:
            return self.slowdown()
        return quantile(self._since_change(), 0.5)

    def _since_change(self) -> list[float]:
        in_use = self._samples[-1].key
        run = itertools.takewhile(lambda sample: sample.key == in_use, reversed(self._samples))
        return [sample.ratio for sample in run][::-1]

    def slowdown(self) -> float:
        """Median recent ratio: how slow the machine is against its warm-up."""
        if not self._samples:
            return 1.0
        return quantile((sample.ratio for sample in self._samples), 0.5)


class CostModel:
    """Expected milliseconds of the network (by input size) and of the masks (by detail)."""

    def __init__(self) -> None:
        self._network_ms: dict[int, float] = {}
        self._batches: dict[tuple[int, int], float] = {}
        self._masks: dict[MaskDetail, MaskCost] = {
            MaskDetail.FULL: MaskCost(1.0, 0.1),
            MaskDetail.COARSE: MaskCost(1.0, 0.03),
            MaskDetail.NONE: MaskCost(0.5, 0.0),
        }
        self.network = StageCost()
        self.masks = StageCost()

    def seed_network(self, input_size_px: int, cost_ms: float) -> None:
        """Set the warm-up cost (p95) of preprocessing, network and NMS at one input size."""
        if cost_ms > 0.0:
            self._network_ms[input_size_px] = cost_ms

    def seed_masks(self, detail: MaskDetail, cost: MaskCost) -> None:
        """Set the warm-up cost (p95) of mask assembly and encoding at one detail."""
        self._masks[detail] = cost

    def seed_batch(self, input_size_px: int, frames: int, cost: float) -> bool:
        """Set what a batch of ``frames`` takes at warm-up: as long as ``cost`` single frames.

        Returns whether it pays; a batch that does not is never used.
        """
        pays = cost < BATCH_PAYS_BELOW * frames
        if pays:
            self._batches[input_size_px, frames] = max(cost, 1.0)
        return pays

    def batch_cost(self, input_size_px: int, frames: int) -> float:
        """What the network takes for a batch of ``frames``, in single frames."""
        return self._batches.get((input_size_px, frames), float(frames))

    def best_batch(self, levels: Sequence[QualityLevel], waiting: int) -> tuple[int, float]:
        """The largest batch that pays at every input size, of frames that wait; 1 where none pays.

        At every one, so that a change of level never turns a batch into frames one by one. And
        what the network takes for all ``waiting`` ones, in single frames at the worst size.
        """
        sizes_px = {level.input_size_px for level in levels} if self._batches else ()
        for frames in range(waiting if sizes_px else 1, 1, -1):
            if all((size_px, frames) in self._batches for size_px in sizes_px):
                cost = max(self.batch_cost(size_px, frames) for size_px in sizes_px)
                return frames, cost + waiting - frames
        return 1, float(waiting)

    def network_warm_up_ms(self, input_size_px: int) -> float:
        """Warm-up cost of a size; one never seeded is scaled by area; 0 if none is known.

        No size costs much more than a larger one, or than a smaller one scaled by area. So a load
        that came while one size was measured, as at the start of a robot, is found out by the
        others; without this that size stayed out of use for good.
        """
        known = self._network_ms.get(input_size_px)
        if not self._network_ms:
            return 0.0
        if known is None:
            nearest = min(self._network_ms, key=lambda size_px: abs(size_px - input_size_px))
            return self._network_ms[nearest] * (input_size_px / nearest) ** 2
        for size_px, cost_ms in self._network_ms.items():
            area_ratio = max((input_size_px / size_px) ** 2, 1.0)
            known = min(known, cost_ms * area_ratio * ABOVE_AREA)
        return known

    def observe_network(self, input_size_px: int, now_ms: float, cost_ms: float) -> None:
        if not self._network_ms:
            self.seed_network(input_size_px, cost_ms)
        warm_up_ms = self.network_warm_up_ms(input_size_px)
        if warm_up_ms <= 0.0:
            return
        self.network.observe(input_size_px, now_ms, cost_ms / warm_up_ms)
        factor = self.network.rescale_faster(input_size_px)
        if factor < 1.0:
            self._network_ms[input_size_px] = warm_up_ms * factor

    def observe_masks(
        self, detail: MaskDetail, instances: int, now_ms: float, cost_ms: float
    ) -> None:
        warm_up_ms = self._masks[detail].expected_ms(instances)
        if warm_up_ms > 0.0:
            self.masks.observe(int(detail), now_ms, cost_ms / warm_up_ms)

    def network_ms(self, input_size_px: int) -> float:
        """Running p95 of the network stage at one size."""
        return self.network_warm_up_ms(input_size_px) * self.network.ratio_p95(input_size_px)

    def masks_ms(self, detail: MaskDetail, instances: int) -> float:
        """Running p95 of the mask stage."""
        return self._masks[detail].expected_ms(instances) * self.masks.ratio_p95(int(detail))

    def level_ms(self, level: QualityLevel, instances: int) -> float:
        """Running p95 of a whole frame on ``level`` with ``instances`` instances."""
        shown = min(instances, level.max_instances)
        return self.network_ms(level.input_size_px) + self.masks_ms(level.mask_detail, shown)

    def usual_level_ms(self, level: QualityLevel, instances: int) -> float:
        """Running median of a whole frame on ``level`` with ``instances`` instances."""
        size_px, detail = level.input_size_px, level.mask_detail
        masks_ms = self._masks[detail].expected_ms(min(instances, level.max_instances))
        network_ms = self.network_warm_up_ms(size_px) * self.network.ratio_p50(size_px)
        return network_ms + masks_ms * self.masks.ratio_p50(int(detail))
