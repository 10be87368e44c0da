"""How a bag is replayed in real time."""

from __future__ import annotations

import math
from dataclasses import dataclass

from yolact_ros.errors import ConfigError
from yolact_ros.tracking import TrackerSettings
from yolact_ros.tracking.settings import DEFAULT_BUFFER_MS, NO_TRACKER

__all__ = ["ReplayOptions"]


@dataclass(frozen=True)
class ReplayOptions:
    """A camera, a budget and a competing load.

    Attributes:
        rate: speed against the recording; 2 plays twice as fast.
        load: processes that keep one core busy each while the bag plays.
        budget_ms: deadline from reception to publication; 0 for none.
        overrun_policy: ``publish`` late results or ``drop`` them.
        input_sizes_px: network inputs, best first; empty for the model's own alone.
        tracker, track_buffer_ms: as the node's parameters; "none" follows nothing.

    Raises:
        ConfigError: a value out of range.
    """

    rate: float = 1.0
    load: int = 0
    budget_ms: float = 33.3
    overrun_policy: str = "publish"
    input_sizes_px: tuple[int, ...] = ()
    tracker: str = NO_TRACKER
    track_buffer_ms: float = DEFAULT_BUFFER_MS

    @property
    def tracker_settings(self) -> TrackerSettings | None:
        """How objects are followed while the bag plays; None where they are not."""
        if self.tracker == NO_TRACKER:
            return None
        return TrackerSettings(self.tracker, self.track_buffer_ms)  # type: ignore[arg-type]

    def __post_init__(self) -> None:
        if not math.isfinite(self.rate) or self.rate <= 0:
            raise ConfigError(f"rate is {self.rate}, expected a positive number")
        if self.load < 0:
            raise ConfigError(f"load is {self.load}, expected a number of processes, 0 or more")
        if not math.isfinite(self.budget_ms) or self.budget_ms < 0:
            raise ConfigError(f"budget is {self.budget_ms} ms, expected 0 (none) or more")
        if self.overrun_policy not in ("publish", "drop"):
            raise ConfigError(
                f"overrun policy is {self.overrun_policy!r}, expected 'publish' or 'drop'"
            )
