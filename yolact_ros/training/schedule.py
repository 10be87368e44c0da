"""Learning rate by step number."""

from __future__ import annotations

import math

from yolact_ros.training.settings import TrainingSettings

__all__ = ["learning_rate"]

PAPER_BATCH_SIZE = 8
# 280k, 600k, 700k and 750k of 800k steps.
PAPER_MILESTONES = (0.35, 0.75, 0.875, 0.9375)
MILESTONE_FACTOR = 0.1


def learning_rate(step: int, settings: TrainingSettings) -> float:
    """Learning rate of optimiser step ``step``, counted from 0.

    Warm-up is linear from ``warmup_rate`` of the full rate. SGD rates grow with the batch, in
    proportion to the paper's 8 images; as in its code the start of the warm-up does not.
    """
    peak = settings.learning_rate
    scale = settings.batch_size / PAPER_BATCH_SIZE if settings.optimizer == "sgd" else 1.0
    length = settings.warmup_length
    if step < length:
        start = peak * settings.warmup_rate
        return start + (peak * scale - start) * step / length
    if settings.schedule == "cosine":
        progress = (step - length) / max(1, settings.steps - length)
        return peak * scale * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
    passed = sum(step >= round(share * settings.steps) for share in PAPER_MILESTONES)
    return peak * scale * MILESTONE_FACTOR**passed
