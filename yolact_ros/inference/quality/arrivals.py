"""When frames arrive: the period of every camera, and when its next frame is due."""

from __future__ import annotations

from collections.abc import Hashable

__all__ = ["Arrivals"]

SMOOTHING = 0.2


class Arrivals:
    """Smoothed frame periods by camera."""

    def __init__(self) -> None:
        self._received_ms: dict[Hashable, float] = {}
        self._period_ms: dict[Hashable, float] = {}

    def note(self, source: Hashable, received_ms: float, replaced: int) -> None:
        """Add a frame that replaced ``replaced`` older ones of its camera."""
        last_ms = self._received_ms.get(source)
        if last_ms is not None and received_ms > last_ms:
            period_ms = (received_ms - last_ms) / (1 + replaced)
            smooth_ms = self._period_ms.get(source, period_ms)
            self._period_ms[source] = smooth_ms + SMOOTHING * (period_ms - smooth_ms)
        self._received_ms[source] = received_ms

    def until_next_ms(self, source: Hashable, now_ms: float) -> float:
        """Time until the camera's next frame is due; infinite while its period is unknown."""
        period_ms = self._period_ms.get(source, float("inf"))
        return self._received_ms.get(source, now_ms) + period_ms - now_ms
