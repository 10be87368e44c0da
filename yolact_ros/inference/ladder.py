"""The quality ladder: what the frame budget may give up, best rung first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, IntFlag

from yolact_ros.errors import ConfigError

__all__ = ["Degradation", "MaskDetail", "QualityLadder", "Rung"]


class MaskDetail(IntEnum):
    """How finely masks are assembled; a larger value costs more."""

    NONE = 0
    COARSE = 1
    FULL = 2


class Degradation(IntFlag):
    """What a frame gave up; the bits of ``FrameReport.degradation``."""

    NONE = 0
    INPUT = 1
    INSTANCES = 2
    MASKS = 4
    BOXES = 8


@dataclass(frozen=True)
class Rung:
    """One level of quality.

    Attributes:
        input_size_px: side of the square network input.
        max_instances: most instances assembled in a frame.
        mask_detail: finest masks assembled.
    """

    input_size_px: int
    max_instances: int
    mask_detail: MaskDetail


@dataclass(frozen=True)
class QualityLadder:
    """Rungs from the best to the cheapest.

    Raises:
        ConfigError: no rung, a value out of range, or a rung dearer than the one before it.
    """

    rungs: tuple[Rung, ...]

    def __post_init__(self) -> None:
        if not self.rungs:
            raise ConfigError("quality ladder: it has no rung, expected at least one")
        for rung in self.rungs:
            if rung.input_size_px < 1 or rung.max_instances < 1:
                raise ConfigError(f"quality ladder: {rung} is out of range, expected sizes >= 1")
        for better, cheaper in zip(self.rungs, self.rungs[1:], strict=False):
            if better == cheaper or not (
                better.input_size_px >= cheaper.input_size_px
                and better.max_instances >= cheaper.max_instances
                and better.mask_detail >= cheaper.mask_detail
            ):
                raise ConfigError(
                    f"quality ladder: {cheaper} follows {better}, expected the best rung first "
                    "and every other one cheaper; list input_size in falling order"
                )

    def __len__(self) -> int:
        return len(self.rungs)

    @classmethod
    def from_settings(
        cls, input_sizes_px: Sequence[int], top_k: int, *, masks: bool = True
    ) -> QualityLadder:
        """The ladder of a node: every input size, then coarse masks, then boxes only.

        Args:
            input_sizes_px: network inputs in falling order, none twice.
            top_k: most instances published in a frame.
            masks: False where no masks are asked for; their rungs are left out.

        Raises:
            ConfigError: no size, a size below 1, sizes not falling, or ``top_k`` below 1.
        """
        if list(input_sizes_px) != sorted(set(input_sizes_px), reverse=True):
            falling = ", ".join(map(str, sorted(set(input_sizes_px), reverse=True)))
            raise ConfigError(
                f"input_size is [{', '.join(map(str, input_sizes_px))}], expected the largest "
                f"first and none twice: [{falling}]"
            )
        finest = MaskDetail.FULL if masks else MaskDetail.NONE
        rungs = [Rung(size_px, top_k, finest) for size_px in input_sizes_px]
        if rungs and masks:
            rungs += [
                Rung(input_sizes_px[-1], top_k, detail)
                for detail in (MaskDetail.COARSE, MaskDetail.NONE)
            ]
        return cls(tuple(rungs))

    def degradation(self, rung: Rung, detail: MaskDetail, *, instances_cut: bool) -> Degradation:
        """What is given up against the best rung by ``rung`` with masks of ``detail``."""
        best = self.rungs[0]
        given_up = Degradation.NONE
        if rung.input_size_px < best.input_size_px:
            given_up |= Degradation.INPUT
        if instances_cut:
            given_up |= Degradation.INSTANCES
        if detail < best.mask_detail:
            given_up |= Degradation.BOXES if detail is MaskDetail.NONE else Degradation.MASKS
        return given_up
