"""The few boxes of an image that can be reported, found before decoding and softmax."""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from yolact_ros.errors import YolactError
from yolact_ros.ops.boxes import CENTER_VARIANCE, SIZE_VARIANCE
from yolact_ros.ops.scratch import Scratch

__all__ = ["Candidates", "find_candidates"]

# Keeps what rounding could lose; the probabilities decide afterwards.
MARGIN_TOLERANCE = 1e-3


class Candidates(NamedTuple):
    """Boxes that can be reported, on the host, in the order of the priors.

    Attributes:
        rows (int64[n]): index among the priors.
        boxes_xyxy (float32[n, 4]): relative to the image, finite.
        class_scores (float32[n, C]): probabilities of the asked classes; contiguous by class, as
            NMS reads them.
    """

    rows: NDArray[np.int64]
    boxes_xyxy: NDArray[np.float32]
    class_scores: NDArray[np.float32]


def find_candidates(
    class_logits: Tensor,
    box_offsets: Tensor,
    priors_cxcywh: Tensor,
    floor: float,
    class_ids: tuple[int, ...] | None = None,
    scratch: Scratch | None = None,
) -> Candidates:
    """The boxes of one image whose best class has a probability above ``floor``.

    The logit of a class with probability p exceeds the background's by at least log(p / (1 - p)).
    So one comparison per logit finds the candidates, and softmax and box decoding run on them
    alone: 0.8 ms instead of 2.1 ms for 19248 boxes of 81 classes on one core, 45 of which pass.

    In NumPy, which keeps to one core: torch's two threads take 0.3 ms less on a quiet machine,
    but wait for each other for 10 ms and more where other programs want the cores.

    Args:
        class_logits (Tensor[N, C + 1]): column 0 is background.
        box_offsets (Tensor[N, 4]): as the network puts them out.
        priors_cxcywh (Tensor[N, 4]): relative to the image.
        floor: least probability, above 0.
        class_ids: rising; columns of the result; None is all classes.
        scratch: memory to use again, also for the scores of the result; None takes new memory.

    Raises:
        YolactError: a class score or a candidate's box offset is NaN. Boxes that become infinite
            are left out.
    """
    logits: NDArray[np.float32] = class_logits.float().cpu().numpy()
    if np.isnan(logits.max()):  # a maximum hands NaN on
        raise YolactError("the network produced NaN class scores: its weights are damaged")
    scratch = scratch or Scratch()
    rows = _promising_rows(logits, floor, class_ids, scratch)
    offsets = box_offsets.float().cpu().numpy()[rows]
    if np.isnan(offsets).any():
        raise YolactError("the network produced NaN boxes: its weights are damaged")
    by_class = _softmax_by_class(logits, rows, scratch)[1:]
    if class_ids is not None:
        by_class = by_class[list(class_ids)]
    boxes = _decode(offsets, priors_cxcywh.cpu().numpy()[rows])
    reported = (by_class.max(axis=0, initial=0.0) > floor) & np.isfinite(boxes).all(axis=1)
    if not reported.all():
        rows, boxes, by_class = (
            rows[reported],
            boxes[reported],
            by_class.compress(reported, axis=1),
        )
    return Candidates(rows, boxes, by_class.T)


def _promising_rows(
    logits: NDArray[np.float32],
    floor: float,
    class_ids: tuple[int, ...] | None,
    scratch: Scratch,
) -> NDArray[np.int64]:
    """Rows in which a logit of the classes is far enough above the background's.

    And some of their neighbours, because eight comparisons are looked at as one number, which
    takes a seventh of the time: 0.1 ms instead of 0.9 ms where 4000 boxes pass.
    """
    if class_ids is not None:
        columns = logits[:, [class_id + 1 for class_id in class_ids]]
    else:
        # Whole rows, because a slice of columns takes half as long again.
        columns = logits
    if floor >= 1 or columns.size == 0:
        return np.zeros(0, np.int64)
    limits = logits[:, :1] + np.float32(math.log(floor / (1 - floor)) - MARGIN_TOLERANCE)
    words = scratch.array("promising", -(-columns.size // 8), np.uint64)
    words[-1] = 0  # the bytes behind the last row
    promising = words.view(np.bool_)[: columns.size].reshape(columns.shape)
    np.greater(columns, limits, out=promising)
    if class_ids is None:
        promising[:, 0] = False  # the background
    num_rows, num_columns = columns.shape
    begins = np.flatnonzero(words != 0) * 8
    is_row = np.zeros(num_rows, np.bool_)
    for byte in (*range(0, 8, num_columns), 7):
        is_row[np.minimum((begins + byte) // num_columns, num_rows - 1)] = True
    return np.flatnonzero(is_row)


def _decode(
    box_offsets: NDArray[np.float32], priors_cxcywh: NDArray[np.float32]
) -> NDArray[np.float32]:
    """:func:`yolact_ros.ops.boxes.decode_boxes` in NumPy: torch's exp wakes all its threads."""
    # Whole coordinates in contiguous memory: half of the time of columns.
    shifts, scales = np.ascontiguousarray(box_offsets.T).reshape(2, 2, -1)
    centers, sizes = np.ascontiguousarray(priors_cxcywh.T).reshape(2, 2, -1)
    box_centers = centers + shifts * np.float32(CENTER_VARIANCE) * sizes
    with np.errstate(over="ignore", invalid="ignore"):  # infinite boxes are left out
        box_sizes = sizes * np.exp(scales * np.float32(SIZE_VARIANCE))
        top_left = box_centers - box_sizes / 2
        corners = np.concatenate((top_left, top_left + box_sizes))
    return np.ascontiguousarray(corners.T)


def _softmax_by_class(
    logits: NDArray[np.float32], rows: NDArray[np.int64], scratch: Scratch
) -> NDArray[np.float32]:
    """Of some rows, ``[N, C] -> [C, n]``: maxima and sums down columns are faster than in rows."""
    num_columns = logits.shape[1]
    size = len(rows) * num_columns
    chosen = scratch.array("logits", size, np.float32).reshape(-1, num_columns)
    by_class = scratch.array("scores", size, np.float32).reshape(num_columns, -1)
    # mode="clip", or NumPy collects in new memory first to leave `out` alone after an error.
    np.take(logits, rows, axis=0, out=chosen, mode="clip")
    if size:
        # Both take OpenCV a third of NumPy's time, on one thread and with the same accuracy.
        cv2.transpose(chosen, by_class)
        by_class -= by_class.max(axis=0)
        cv2.exp(by_class, by_class)
        by_class /= by_class.sum(axis=0)
    return by_class
