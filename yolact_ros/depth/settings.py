"""What a user can choose about objects in 3D."""

from __future__ import annotations

import math
from dataclasses import dataclass

from yolact_ros.errors import ConfigError

__all__ = ["DepthSettings"]


@dataclass(frozen=True)
class DepthSettings:
    """Which depth readings count as an object's.

    Attributes:
        min_depth_m, max_depth_m: readings outside are none.
        erosion_px: pixels of the depth image taken off at the mask's edge, 0..20; of narrow
            objects less, never more than half of their width.
        min_pixels: readings that an object needs, at least 3.
        min_share: share of the eroded mask's pixels that these must be, 0..1.
        noise_per_m: the sensor's noise grows with the square of the distance; this is its
            standard deviation at 1 m, in metres. 0.0025 is a RealSense D435's.

    Raises:
        ConfigError: a value is out of range; the message names it.
    """

    min_depth_m: float = 0.1
    max_depth_m: float = 20.0
    erosion_px: int = 2
    min_pixels: int = 12
    min_share: float = 0.05
    noise_per_m: float = 0.0025

    def __post_init__(self) -> None:
        for name in ("min_depth_m", "max_depth_m"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ConfigError(f"{name} is {value!r}, expected a positive number of metres")
        if self.min_depth_m >= self.max_depth_m:
            raise ConfigError(
                f"min_depth_m is {self.min_depth_m!r}, expected less than max_depth_m "
                f"({self.max_depth_m!r})"
            )
        if not 0 <= self.erosion_px <= 20:
            raise ConfigError(f"erosion_px is {self.erosion_px!r}, expected 0..20")
        if self.min_pixels < 3:
            raise ConfigError(f"min_pixels is {self.min_pixels!r}, expected 3 or more")
        if not 0 <= self.min_share <= 1:
            raise ConfigError(f"min_share is {self.min_share!r}, expected 0..1")
        if not 1e-5 <= self.noise_per_m <= 0.1:
            raise ConfigError(f"noise_per_m is {self.noise_per_m!r}, expected 0.00001..0.1")
