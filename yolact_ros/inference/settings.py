"""What a user can choose about the instances that are reported, and what YOLACT fixes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from yolact_ros.errors import ConfigError

__all__ = [
    "MAX_CANDIDATES_PER_CLASS",
    "MAX_DETECTIONS",
    "MAX_TOP_K",
    "NMS_NAMES",
    "PredictionSettings",
]

NmsName = Literal["fast", "cross-class", "standard"]
NMS_NAMES = ("fast", "cross-class", "standard")
MAX_TOP_K = 200

# YOLACT's settings: this many boxes of each class compete, and this many are rescored by YOLACT++.
MAX_CANDIDATES_PER_CLASS = 200
MAX_DETECTIONS = 100


@dataclass(frozen=True)
class PredictionSettings:
    """What is reported of an image.

    Attributes:
        score_threshold: an instance needs a higher score, 0..1.
        top_k: most instances, 1..200.
        nms_threshold: overlap above which the lower score goes, 0..1.
        class_ids: classes that take part; None is all.
        nms: "fast" (YOLACT's), "cross-class" or "standard"; None takes the network's own.
        masks: False gives boxes only.

    Raises:
        ConfigError: a value is out of range; the message names it.
    """

    score_threshold: float = 0.3
    top_k: int = 15
    nms_threshold: float = 0.5
    class_ids: tuple[int, ...] | None = None
    nms: NmsName | None = None
    masks: bool = True

    def __post_init__(self) -> None:
        for name in ("score_threshold", "nms_threshold"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ConfigError(f"{name} is {value!r}, expected 0..1")
        if not 1 <= self.top_k <= MAX_TOP_K:
            raise ConfigError(f"top_k is {self.top_k!r}, expected 1..{MAX_TOP_K}")
        if self.nms is not None and self.nms not in NMS_NAMES:
            raise ConfigError(f"nms is {self.nms!r}, expected one of {', '.join(NMS_NAMES)}")
        if self.class_ids is not None and (
            not self.class_ids or len(set(self.class_ids)) != len(self.class_ids)
        ):
            raise ConfigError(
                f"class_ids is {self.class_ids!r}, expected at least one class id and none "
                "twice; leave it unset for all classes"
            )
