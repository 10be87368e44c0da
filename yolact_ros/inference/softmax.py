"""Softmax before its division, by class: maxima and sums over contiguous classes are fast."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from yolact_ros.errors import YolactError

__all__ = ["LEAST_SCORE", "NAN_SCORES", "Softmax", "asked_classes", "softmax_by_class"]

NAN_SCORES = "the network produced NaN class scores: its weights are damaged"

# Lower logits, relative to the highest of the box, count as this, and their probabilities as none.
# Exponentials outside the normal range of float32 take OpenCV a hundred times as long.
LEAST_LOGIT = np.float32(-80)
LEAST_SCORE = np.float32(2e-35)


class Softmax(NamedTuple):
    """Probabilities are ``by_class / totals``; NaN in a box with an infinite logit.

    Attributes:
        by_class (float32[C, n]): of the asked classes.
        best, background (float32[n]): the highest of the asked classes, and the background.
        totals (float32[n]): what to divide by.
    """

    by_class: NDArray[np.float32]
    best: NDArray[np.float32]
    background: NDArray[np.float32]
    totals: NDArray[np.float32]


def softmax_by_class(
    logits: NDArray[np.float32],
    class_ids: tuple[int, ...] | None,
    odds: NDArray[np.float32],
) -> Softmax:
    """Of the same logits the same bits, wherever they stand: equal scores must stay equal.

    Args:
        logits (float32[n, C + 1]): column 0 is background.
        class_ids: asked for; None is all.
        odds (float32[C + 1, n]): memory of the result.

    Raises:
        YolactError: a logit is NaN.
    """
    if logits.size:
        # This and exp take OpenCV a third of NumPy's time, on one thread.
        cv2.transpose(logits, odds)
    asked = asked_classes(odds, class_ids).max(axis=0, initial=-np.inf)
    highest = np.maximum(asked, odds[0]) if class_ids is None else odds.max(axis=0)
    if np.isnan(highest).any():
        raise YolactError(NAN_SCORES)
    # Arrays, not numbers: NumPy takes the maximum with one number five times as long.
    least = highest + LEAST_LOGIT
    best = np.maximum(asked, least)
    with np.errstate(invalid="ignore"):
        np.maximum(odds, least, out=odds)
        odds -= highest
        best -= highest
    if logits.size:
        cv2.exp(odds, odds)
        best = cv2.exp(best).ravel()
        totals = cv2.reduce(odds, 0, cv2.REDUCE_SUM, dtype=cv2.CV_32F).ravel()
    else:
        totals = odds.sum(axis=0)
    return Softmax(asked_classes(odds, class_ids), best, odds[0], np.asarray(totals, np.float32))


def asked_classes(
    columns: NDArray[np.float32], class_ids: tuple[int, ...] | None
) -> NDArray[np.float32]:
    """Of ``[C + 1, n]`` the classes asked for, without the background; None is all."""
    if class_ids is None:
        return columns[1:]
    return columns[[class_id + 1 for class_id in class_ids]]
