"""Quality levels: what the frame budget may give up, best level first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, IntFlag

from yolact_ros.errors import ConfigError

__all__ = [
    "Degradation",
    "MaskDetail",
    "QualityLevel",
    "degradation",
    "quality_levels",
]


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
class QualityLevel:
    """What a frame may cost.

    Attributes:
        input_size_px: side of the square network input.
        max_instances: most instances assembled in a frame.
        mask_detail: finest masks assembled.
    """

    input_size_px: int
    max_instances: int
    mask_detail: MaskDetail


def quality_levels(
    input_sizes_px: Sequence[int], top_k: int, *, masks: bool = True
) -> tuple[QualityLevel, ...]:
    """The levels of a node: every input size, then coarse masks, then boxes only.

    Args:
        masks: False where no masks are asked for; the levels that give them up are left out.

    Raises:
        ConfigError: the sizes do not fall.
    """
    if list(input_sizes_px) != sorted(set(input_sizes_px), reverse=True):
        falling = ", ".join(map(str, sorted(set(input_sizes_px), reverse=True)))
        raise ConfigError(
            f"input_size is [{', '.join(map(str, input_sizes_px))}], expected the largest "
            f"first and none twice: [{falling}]"
        )
    finest = MaskDetail.FULL if masks else MaskDetail.NONE
    levels = [QualityLevel(size_px, top_k, finest) for size_px in input_sizes_px]
    if masks:
        levels += [
            QualityLevel(input_sizes_px[-1], top_k, detail)
            for detail in (MaskDetail.COARSE, MaskDetail.NONE)
        ]
    return tuple(levels)


def degradation(
    best: QualityLevel, level: QualityLevel, detail: MaskDetail, *, instances_cut: bool
) -> Degradation:
    """What a frame on ``level`` with masks of ``detail`` gives up against the best level."""
    given_up = Degradation.NONE
    if level.input_size_px < best.input_size_px:
        given_up |= Degradation.INPUT
    if instances_cut:
        given_up |= Degradation.INSTANCES
    if detail < best.mask_detail:
        given_up |= Degradation.BOXES if detail is MaskDetail.NONE else Degradation.MASKS
    return given_up
