"""When a better level may be tried: a token bucket of misses, and waits that grow with failure."""

from __future__ import annotations

__all__ = ["Backoff"]

# A token bucket of deadline misses that may be risked for quality: every frame earns a little less
# than one hundredth of a miss, every miss on a level that could have been cheaper costs one. So
# the search for quality misses less than one per cent of the frames whatever the load does, apart
# from those to begin with.
EARNED_PER_FRAME = 0.006
MOST_TOKENS = 4.0
BLIND_NEEDS = 3.0
CLIMB_NEEDS = 2.5
EASED_NEEDS = 1.0

COMFORTABLE_SHARE = 0.88
TIGHT_SHARE = 1.0
BLIND_SHARE = 1.3

COMFORTABLE_WAIT_MS = 300.0
TIGHT_WAIT_MS = 1000.0
BLIND_WAIT_MS = 5000.0
TAKEN_BACK_MS = 2000.0
MOST_WAIT_MS = 60000.0
EASED_BELOW = 0.75

MARGIN_STEP = 0.05
MARGIN_TARGET = 0.005
MOST_MARGIN = 0.5


class Backoff:
    """Waits before climbing: short after a calm descent, doubled by each climb taken back.

    Attributes:
        tokens: deadline misses that may still be risked.
        margin: share of its cost to keep free when a frame has waited. It grows with every
            frame that was hurt only because it had waited, and falls slowly, so that one frame
            in ``1 / MARGIN_TARGET`` is.
    """

    def __init__(self) -> None:
        self.tokens = MOST_TOKENS
        self.margin = 0.0
        self._last_climb_ms = float("-inf")
        self._last_descent_ms = float("-inf")
        self._wait_ms = COMFORTABLE_WAIT_MS
        self._blind_wait_ms = BLIND_WAIT_MS
        self._climb_was_blind = False
        self._worst_slowdown = 0.0
        self._eased = False

    def note_finish(self, *, avoidable_miss: bool, hurt_by_waiting: bool) -> None:
        """Record a finished frame.

        Args:
            avoidable_miss: it missed its deadline, and there was a cheaper level.
            hurt_by_waiting: it missed its deadline, or cut masks to meet it, and would have
                been in time had it not waited.
        """
        self.tokens = min(self.tokens + EARNED_PER_FRAME, MOST_TOKENS) - avoidable_miss
        error = float(hurt_by_waiting) - MARGIN_TARGET
        self.margin = min(max(self.margin + MARGIN_STEP * error, 0.0), MOST_MARGIN)

    def note_slowdown(self, slowdown: float) -> bool:
        """Follow the machine's slowness; True if it has clearly fallen since the descent.

        Such a fall ends all long waits.
        """
        self._worst_slowdown = max(self._worst_slowdown, slowdown)
        eased = slowdown <= EASED_BELOW * self._worst_slowdown
        if eased:
            self._worst_slowdown = slowdown
            self._eased = True
            self._wait_ms = COMFORTABLE_WAIT_MS
            self._blind_wait_ms = BLIND_WAIT_MS
        return eased

    def note_descent(self, now_ms: float, slowdown: float) -> None:
        """Record a change to a cheaper level while the machine was ``slowdown`` times slow."""
        taken_back = now_ms - self._last_climb_ms <= TAKEN_BACK_MS
        if taken_back and self._climb_was_blind:
            self._blind_wait_ms = min(2.0 * self._blind_wait_ms, MOST_WAIT_MS)
        if taken_back:
            self._wait_ms = min(max(2.0 * self._wait_ms, TAKEN_BACK_MS), MOST_WAIT_MS)
        else:
            self._wait_ms = COMFORTABLE_WAIT_MS
        self._last_descent_ms = now_ms
        self._worst_slowdown = slowdown
        self._eased = False

    def note_climb(self, now_ms: float, share: float) -> None:
        """Record a change to a better level expected to take ``share`` of the time it has."""
        self._last_climb_ms = now_ms
        self._climb_was_blind = share > TIGHT_SHARE

    def may_climb(self, now_ms: float, share: float) -> bool:
        """Whether a level expected to take ``share`` of the time it has may be tried now."""
        since_ms = now_ms - self._last_descent_ms
        if share > BLIND_SHARE:
            return False
        if share > TIGHT_SHARE:
            since_ms = min(since_ms, now_ms - self._last_climb_ms)
            wait_ms = max(self._wait_ms, self._blind_wait_ms)
            return self.tokens >= BLIND_NEEDS and since_ms >= wait_ms
        wait_ms = self._wait_ms
        if share > COMFORTABLE_SHARE:
            wait_ms = max(wait_ms, TIGHT_WAIT_MS)
        needs = EASED_NEEDS if self._eased else CLIMB_NEEDS
        return self.tokens >= needs and since_ms >= wait_ms
