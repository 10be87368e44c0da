"""The few boxes of an image that can be reported, found before decoding and softmax."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from yolact_ros.errors import YolactError
from yolact_ros.inference.softmax import (
    LEAST_SCORE,
    NAN_SCORES,
    Softmax,
    asked_classes,
    softmax_by_class,
)
from yolact_ros.ops.boxes import CENTER_VARIANCE, SIZE_VARIANCE
from yolact_ros.ops.scratch import Scratch

__all__ = ["CandidateSearch", "Candidates"]

# Keep what rounding could lose; the probabilities decide afterwards.
MARGIN_TOLERANCE = 1e-3
SCORE_TOLERANCE = 1e-5

SAMPLED_ROWS = 256
# Up to this share of the boxes, all that can be reported take less time than a sample saves.
FEW_ROWS = 0.06
# From this share of the boxes on, the softmax of all takes less time than that of some.
MOST_ROWS = 0.25

_EIGHT_TRUE = np.uint64(0x0101010101010101)


class Candidates(NamedTuple):
    """Boxes on the host, in the order of the priors.

    Attributes:
        rows (int64[n]): index among the priors.
        boxes_xyxy (float32[n, 4]): relative to the image, finite.
        class_scores (float32[n, C]): probabilities of the asked classes, 0 in a row that cannot
            be reported; contiguous by class, as NMS reads them.
        complete_above (float32[C]): no box with a higher probability of the class is missing.
    """

    rows: NDArray[np.int64]
    boxes_xyxy: NDArray[np.float32]
    class_scores: NDArray[np.float32]
    complete_above: NDArray[np.float32]


class CandidateSearch:
    """Finds the boxes of one image whose best class has a probability above a floor.

    The logit of a class with probability p exceeds the background's by at least log(p / (1 - p)).
    So one comparison per logit finds the boxes, and softmax and decoding run on them alone. Where
    the background says little, as in a network with random weights, the softmax of all boxes finds
    them. A sample tells which case it is, and which probability the best pairs of box and class
    are above.

    In NumPy, which keeps to one core: torch's two threads take 0.3 ms less on a quiet machine,
    but wait for each other for 10 ms and more where other programs want the cores.

    Args:
        class_logits (Tensor[N, C + 1]): column 0 is background.
        box_offsets (Tensor[N, 4]): as the network puts them out.
        priors_cxcywh (Tensor[N, 4]): relative to the image.
        floor: least probability, above 0.
        class_ids: rising; columns of the result; None is all classes.
        scratch: memory to use again, also for the scores of the last result; None takes new
            memory.

    Raises:
        YolactError: a box offset is NaN; from the methods, a class score.
    """

    def __init__(
        self,
        class_logits: Tensor,
        box_offsets: Tensor,
        priors_cxcywh: Tensor,
        floor: float,
        class_ids: tuple[int, ...] | None = None,
        scratch: Scratch | None = None,
    ) -> None:
        self._logits: NDArray[np.float32] = class_logits.float().cpu().numpy()
        self._offsets: NDArray[np.float32] = box_offsets.float().cpu().numpy()
        self._priors: NDArray[np.float32] = priors_cxcywh.cpu().numpy()
        self._floor = floor
        self._class_ids = class_ids
        self._num_classes = self._logits.shape[1] - 1 if class_ids is None else len(class_ids)
        self._scratch = scratch or Scratch()
        self._softmax_of_all: Softmax | None = None
        # A maximum hands NaN on. Of all classes NaN makes a row promising; of some it does not.
        if np.isnan(self._offsets.max(initial=0.0)):
            raise YolactError("the network produced NaN boxes: its weights are damaged")
        if class_ids is not None and np.isnan(self._logits.max(initial=0.0)):
            raise YolactError(NAN_SCORES)

    def all(self) -> Candidates:
        """All above the floor. Boxes that become infinite are left out."""
        complete_above = np.full(self._num_classes, LEAST_SCORE)
        return self._candidates(self._rows(self._floor), complete_above)

    def best(self, num_pairs: int) -> Candidates | None:
        """Boxes with the best ``num_pairs`` pairs of box and class, more or less: a sample says.

        In the order of NMS: by falling score, then class, then row. So of equal scores the first
        classes are taken, and of the last of these the first rows; what is missing behind them in
        spite of ``complete_above`` comes last in that order, so nothing depends on it.

        Returns:
            None where all are not many more.
        """
        step = len(self._logits) // SAMPLED_ROWS
        if step % 3 == 0:
            step += (
                1  # cells have 3 or 9 boxes of different shapes: the sample takes them in turns
            )
        if step < 2 or not self._are_many_promising(step):
            return None
        sample = self._compute_softmax(self._logits[::step], "sample")
        counts = _are_finite(_decode(self._offsets[::step], self._priors[::step]))
        counts &= ~np.isnan(sample.totals)
        scores = sample.by_class[:, counts] / sample.totals[counts]
        place = num_pairs // step
        if place >= scores.size // 4:
            return None
        limit = np.partition(scores.ravel(), scores.size - 1 - place)[scores.size - 1 - place]
        floor = np.maximum(np.nextafter(limit, np.float32(0)), np.float32(self._floor))
        promising = sample.best * (1 - floor) > sample.background * floor
        if np.count_nonzero(promising) > MOST_ROWS * len(promising):
            self._softmax_of_all = self._compute_softmax(self._logits, "all")
        if not limit > self._floor:
            return None
        num_equal = place - np.count_nonzero(scores > limit)
        last_class = int(np.flatnonzero(scores == limit)[num_equal]) // scores.shape[1]
        complete_above = np.full(self._num_classes, limit)
        complete_above[: last_class + 1] = floor
        rows = self._rows(float(floor))
        if self._softmax_of_all is not None and len(rows) > 2 * num_pairs:
            rows = _first_rows(self._softmax_of_all, limit, last_class, num_pairs // 4)
        return self._candidates(rows, complete_above)

    def _are_many_promising(self, step: int) -> bool:
        """Whether more boxes are above the floor than the softmax of is cheaper than a sample's.

        By one comparison each: frames with few objects need no sample.
        """
        logits = self._logits[:: 2 * step]
        best = asked_classes(logits.T, self._class_ids).max(axis=0, initial=-np.inf)
        promising = best > logits[:, 0] + _margin(self._floor)
        return bool(np.count_nonzero(promising) > FEW_ROWS * len(logits))

    def _rows(self, floor: float) -> NDArray[np.int64]:
        """Rows with a probability above ``floor``, and some others."""
        if self._softmax_of_all is None:
            rows = _promising_rows(self._logits, floor, self._class_ids, self._scratch)
            if len(rows) <= MOST_ROWS * len(self._logits):
                return rows
            self._softmax_of_all = self._compute_softmax(self._logits, "all")
        best = self._softmax_of_all.best / self._softmax_of_all.totals
        return np.flatnonzero(best > floor * (1 - SCORE_TOLERANCE))

    def _candidates(
        self, rows: NDArray[np.int64], complete_above: NDArray[np.float32]
    ) -> Candidates:
        corners = _decode(self._offsets.take(rows, axis=0), self._priors.take(rows, axis=0))
        finite = _are_finite(corners)
        if not finite.all():
            rows, corners = rows[finite], corners[:, finite]
        num_priors = len(self._logits)
        if self._softmax_of_all is not None and len(rows) > MOST_ROWS * num_priors:
            softmax = self._softmax_of_all
            scores = self._scratch.array("scores", softmax.by_class.size, np.float32)
            scores = scores.reshape(softmax.by_class.shape)
            takes_part = np.zeros(num_priors, np.bool_)
            takes_part[rows] = True
            some_corners, corners = corners, np.zeros((4, num_priors), np.float32)
            corners[:, rows] = some_corners
            rows = np.arange(num_priors)
        else:
            takes_part = np.ones(len(rows), np.bool_)
            shape = (len(rows), self._logits.shape[1])
            chosen = self._scratch.array("logits", math.prod(shape), np.float32).reshape(shape)
            # mode="clip", or NumPy collects in new memory first to leave `out` alone after an
            # error.
            np.take(self._logits, rows, axis=0, out=chosen, mode="clip")
            softmax = self._compute_softmax(chosen, "some")
            scores = softmax.by_class  # not needed again, so in place
        reported = takes_part & (softmax.best / softmax.totals > self._floor)
        # Rows that are not reported get scores of 0 with no pass of their own.
        np.divide(softmax.by_class, np.where(reported, softmax.totals, np.inf), out=scores)
        return Candidates(rows, np.ascontiguousarray(corners.T), scores.T, complete_above)

    def _compute_softmax(self, logits: NDArray[np.float32], name: str) -> Softmax:
        """Of some rows, in memory of that name."""
        odds = self._scratch.array(name, logits.size, np.float32).reshape(logits.shape[::-1])
        return softmax_by_class(logits, self._class_ids, odds)


def _first_rows(
    softmax: Softmax, limit: np.float32, last_class: int, num_ties: int
) -> NDArray[np.int64]:
    """Rows with a probability above ``limit``, or equal to it in a class before the last.

    And the first ``num_ties`` of those that have it in the last class: only some of a class
    compete.
    """
    earlier = softmax.by_class[:last_class].max(axis=0, initial=0.0)
    chosen = softmax.best / softmax.totals > limit
    chosen |= earlier / softmax.totals >= limit
    last = softmax.by_class[last_class] / softmax.totals >= limit
    chosen[np.flatnonzero(last)[:num_ties]] = True
    return np.flatnonzero(chosen)


def _promising_rows(
    logits: NDArray[np.float32],
    floor: float,
    class_ids: tuple[int, ...] | None,
    scratch: Scratch,
) -> NDArray[np.int64]:
    """Rows in which a logit of the classes is far enough above the background's, or NaN.

    And some of their neighbours, because eight comparisons are looked at as one number, which
    takes a seventh of the time: 0.1 ms instead of 0.9 ms where 4000 boxes pass.
    """
    if class_ids is not None:
        columns = logits[:, [class_id + 1 for class_id in class_ids]]
    else:
        # Whole rows, because a slice of columns takes half as long again.
        columns = logits
    if columns.size == 0:
        return np.zeros(0, np.int64)
    limits = logits[:, :1] + _margin(floor)
    words = scratch.array("not promising", -(-columns.size // 8), np.uint64)
    words[-1] = _EIGHT_TRUE  # the bytes behind the last row
    below = words.view(np.bool_)[: columns.size].reshape(columns.shape)
    np.less_equal(columns, limits, out=below)  # NaN is not below
    if class_ids is None:
        below[:, 0] = True  # the background
    num_rows, num_columns = columns.shape
    begins = np.flatnonzero(words != _EIGHT_TRUE) * 8
    is_row = np.zeros(num_rows + 8, np.bool_)  # the last word may reach behind the last row
    for byte in (*range(0, 8, num_columns), 7):
        is_row[(begins + byte) // num_columns] = True
    return np.flatnonzero(is_row[:num_rows])


def _margin(floor: float) -> np.float32:
    """What the logit of a class with this probability exceeds the background's by, at least."""
    margin = math.log(floor / (1 - floor)) if floor < 1 else math.inf
    return np.float32(margin - MARGIN_TOLERANCE)


def _decode(
    box_offsets: NDArray[np.float32], priors_cxcywh: NDArray[np.float32]
) -> NDArray[np.float32]:
    """:func:`yolact_ros.ops.boxes.decode_boxes` in NumPy: torch's exp wakes all its threads.

    Returns:
        float32[4, n]: x1, y1, x2, y2.
    """
    # Whole coordinates in contiguous memory: half of the time of columns.
    shifts, scales = np.ascontiguousarray(box_offsets.T).reshape(2, 2, -1)
    centers, sizes = np.ascontiguousarray(priors_cxcywh.T).reshape(2, 2, -1)
    box_centers = centers + shifts * np.float32(CENTER_VARIANCE) * sizes
    with np.errstate(over="ignore", invalid="ignore"):  # infinite boxes are left out
        box_sizes = sizes * np.exp(scales * np.float32(SIZE_VARIANCE))
        top_left = box_centers - box_sizes / 2
        return np.concatenate((top_left, top_left + box_sizes))


def _are_finite(corners: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Of ``float32[4, n]``."""
    return np.asarray(np.isfinite(corners).all(axis=0))
