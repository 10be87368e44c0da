"""What a user can choose about tracking."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from yolact_ros.errors import ConfigError

__all__ = ["NO_TRACKER", "TRACKERS", "TRACKER_CHOICES", "TrackerName", "TrackerSettings"]

TrackerName = Literal["bytetrack", "ocsort", "botsort"]
TRACKERS: tuple[TrackerName, ...] = ("bytetrack", "ocsort", "botsort")
NO_TRACKER = "none"
TRACKER_CHOICES = (NO_TRACKER, *TRACKERS)
DEFAULT_BUFFER_MS = 1000.0
# ByteTrack's least score of a detection that may keep a known object.
LOW_SCORE = 0.1


@dataclass(frozen=True)
class TrackerSettings:
    """How objects are followed.

    Attributes:
        name: "bytetrack", "ocsort" or "botsort".
        buffer_ms: how long an object that is not found keeps its id, in milliseconds of the
            images' stamps.

    Raises:
        ConfigError: a value is out of range; the message names it.
    """

    name: TrackerName = "bytetrack"
    buffer_ms: float = DEFAULT_BUFFER_MS

    def __post_init__(self) -> None:
        if self.name not in TRACKERS:
            raise ConfigError(f"tracker is {self.name!r}, expected one of {', '.join(TRACKERS)}")
        if not (math.isfinite(self.buffer_ms) and self.buffer_ms >= 0):
            raise ConfigError(
                f"track_buffer_ms is {self.buffer_ms!r}, expected 0 or a positive number"
            )

    @property
    def uses_low_scores(self) -> bool:
        """Whether detections below the score threshold keep known objects."""
        return self.name != "ocsort"

    @property
    def uses_camera_motion(self) -> bool:
        """Whether the image itself is looked at, for how the camera moved."""
        return self.name == "botsort"
