"""Why a camera that sends images has no results, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["why_no_result"]

# By the cause of the drops. A frame that was replaced has a successor, which is another matter.
_REASONS = {
    "stale": (
        "older than max_image_age_ms on arrival",
        "use_sim_time for a bag or simulator, clocks that agree, or a larger max_image_age_ms",
    ),
    "late": (
        "later than frame_budget_ms, and overrun_policy is drop",
        "a longer frame_budget_ms, a smaller input_size, or overrun_policy publish",
    ),
    "skipped": (
        "not to be done within frame_budget_ms",
        "a longer frame_budget_ms, a smaller input_size or a faster runtime",
    ),
    "failed": (
        "not possible to process",
        "what the errors in the log name",
    ),
}


def why_no_result(dropped: Mapping[str, int]) -> str:
    """The main reason why images became no results, and the cure; "" where none was dropped so.

    Args:
        dropped: images by the cause of their drop, since the last result.
    """
    counts = {cause: dropped.get(cause, 0) for cause in _REASONS}
    main = max(counts, key=lambda cause: counts[cause])
    if not counts[main]:
        return ""
    reason, cure = _REASONS[main]
    return f"{counts[main]} images and no result, since they are {reason}; cure: {cure}"
