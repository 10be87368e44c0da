"""How fast tracked objects move, from where they were."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["Velocities"]

WINDOW_S = 0.5
# From fewer positions, or over a shorter time, noise would be taken for motion. A slow camera's
# are looked for in this time.
MIN_POSITIONS = 4
LONGEST_S = 1.5
MIN_TIME_S = 0.15


class Velocities:
    """Remembers where the tracked objects of one camera were a moment ago.

    The velocity is the median of the slopes between all pairs of positions, axis by axis (Theil
    1950, Sen 1968): up to 29 per cent of the positions may be wrong.

    They are those of the last half second, or the last four of a camera that is slower.
    """

    def __init__(self) -> None:
        self._positions: dict[int, deque[tuple[float, NDArray[np.float64]]]] = {}
        self._last_s = -np.inf

    def update(
        self,
        time_s: float,
        track_ids: Sequence[int],
        positions_m: Sequence[NDArray[np.float64] | None],
    ) -> tuple[NDArray[np.float64] | None, ...]:
        """Note where the objects are, and how fast they go.

        Args:
            time_s: stamp of the image; an earlier one than the last begins anew, the same again
                replaces it.
            track_ids: of the objects; 0 is not tracked.
            positions_m: float64[3] of each in a frame that does not move; None where not known.

        Returns:
            float64[3] of each, metres a second in that frame; None until it is known.
        """
        if time_s < self._last_s:
            self.reset()
        self._last_s = time_s
        for track_id, position in zip(track_ids, positions_m, strict=True):
            if track_id and position is not None and np.isfinite(position).all():
                kept = self._positions.setdefault(int(track_id), deque())
                if kept and kept[-1][0] == time_s:
                    kept.pop()
                kept.append((time_s, np.asarray(position, np.float64)))
        for track_id, kept in list(self._positions.items()):
            while kept and (
                kept[0][0] < time_s - LONGEST_S
                or (len(kept) > MIN_POSITIONS and kept[0][0] < time_s - WINDOW_S)
            ):
                kept.popleft()
            if not kept:
                del self._positions[track_id]
        return tuple(self._velocity(int(track_id)) for track_id in track_ids)

    def reset(self) -> None:
        """Forget all, as when the fixed frame is another one."""
        self._positions.clear()
        self._last_s = -np.inf

    def _velocity(self, track_id: int) -> NDArray[np.float64] | None:
        kept = self._positions.get(track_id)
        if kept is None or len(kept) < MIN_POSITIONS or kept[-1][0] - kept[0][0] < MIN_TIME_S:
            return None
        times = np.array([time_s for time_s, _ in kept])
        positions = np.stack([position for _, position in kept])
        first, second = np.triu_indices(len(kept), 1)
        slopes = (positions[second] - positions[first]) / (times[second] - times[first])[:, None]
        velocity: NDArray[np.float64] = np.median(slopes, axis=0)
        return velocity
