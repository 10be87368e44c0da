"""Fast NMS on the host: the exact result of the dense algorithm from a fraction of its IoUs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Selection", "cross_class_fast_nms", "fast_nms", "ranked_pairs"]

# Pairs of box and class that are tried first: enough for 100 detections in most scenes, and cheap
# to rank. Where they are not enough, this many times more are.
FIRST_PAIRS = 1024
GROWTH = 16
SAMPLED_BOXES = 64
# Pairs are checked in portions of this many, from the best downwards, until enough have survived.
PORTION = 192
# Before the second portion, all are looked at beside the best few boxes of their class, which
# removes most of a crowd for the price of a few portions.
NUM_LEADERS = 4

_PLACE_BITS = np.uint64(32)
_PLACE_MASK = np.uint64(0xFFFFFFFF)


class Selection(NamedTuple):
    """What survived, highest score first; ties by class, then by row.

    Attributes:
        rows (int64[m]): of the candidate boxes.
        class_ids (int64[m]): 0-based.
        scores (float32[m]): of the box for the class.
    """

    rows: NDArray[np.int64]
    class_ids: NDArray[np.int64]
    scores: NDArray[np.float32]

    def take(self, places: slice | list[int]) -> Selection:
        return Selection(self.rows[places], self.class_ids[places], self.scores[places])


def fast_nms(
    boxes_xyxy: NDArray[np.float32],
    class_scores: NDArray[np.float32],
    *,
    iou_threshold: float,
    max_candidates_per_class: int,
    max_detections: int,
    display_threshold: float,
) -> Selection:
    """Fast NMS (YOLACT section 3.3) over the candidate boxes of one image.

    In every class the best ``max_candidates_per_class`` boxes compete; one goes if any with a
    higher score overlaps it by more than ``iou_threshold``, whether that one goes itself or not.
    Of what is left in all classes the best ``max_detections`` stay.

    Only pairs of box and class above a score matter to the pairs above that score. So the best
    pairs are selected from alone, and more only if too few of those survive.

    Args:
        boxes_xyxy (float32[n, 4]): finite.
        class_scores (float32[n, C]): finite, 0..1, no background.
        display_threshold: a pair needs a higher score than this to be selected.
    """
    by_class = np.ascontiguousarray(class_scores.T)
    for floor in _floors(by_class, display_threshold):
        ranking = _rank(boxes_xyxy, by_class, floor, max_candidates_per_class)
        selection = _check(ranking, iou_threshold, max_detections)
        if len(selection.rows) >= max_detections:
            break
    return selection


def cross_class_fast_nms(
    boxes_xyxy: NDArray[np.float32],
    class_scores: NDArray[np.float32],
    *,
    iou_threshold: float,
    max_candidates: int,
    max_detections: int,
    display_threshold: float,
) -> Selection:
    """:func:`fast_nms` over all classes at once: each box has its best class only.

    Arguments as there; ``max_candidates`` is the number of boxes that compete, of all classes.
    """
    selection = fast_nms(
        boxes_xyxy,
        class_scores.max(axis=1, keepdims=True),
        iou_threshold=iou_threshold,
        max_candidates_per_class=max_candidates,
        max_detections=max_detections,
        display_threshold=display_threshold,
    )
    return selection._replace(class_ids=class_scores[selection.rows].argmax(axis=1))


def ranked_pairs(class_scores: NDArray[np.float32], display_threshold: float) -> Selection:
    """All pairs of box and class with a higher score than the threshold, in their order."""
    by_class = np.ascontiguousarray(class_scores.T)
    keys = np.sort(_keys(by_class, np.flatnonzero(by_class > display_threshold)))
    places = (keys & _PLACE_MASK).astype(np.int64)
    class_ids, rows = np.divmod(places, max(1, by_class.shape[1]))
    return Selection(rows, class_ids, by_class[class_ids, rows])


def _floors(by_class: NDArray[np.float32], display_threshold: float) -> list[float]:
    """Falling scores above which to look for detections; the last is the display threshold.

    Estimated from a few boxes. An estimate that is off costs time; any floor is exact.
    """
    sample = by_class[:, :: max(1, by_class.shape[1] // SAMPLED_BOXES)]
    above = np.sort(sample[sample > display_threshold])
    floors = []
    count = sample.size * FIRST_PAIRS // max(1, by_class.size) + 1
    # Trying more than half of the pairs first costs about as much as trying all.
    while 2 * count <= len(above):
        floors.append(float(above[-count]))
        count *= GROWTH
    return [*floors, display_threshold]


def _keys(by_class: NDArray[np.float32], places: NDArray[np.int64]) -> NDArray[np.uint64]:
    """One number a pair that sorts by falling score, then class, then row.

    Bits of positive floats sort as the floats do; inverted they sort the other way round. The
    flat place is below.
    """
    inverted = ~by_class.reshape(-1)[places].view(np.uint32)
    return (inverted.astype(np.uint64) << _PLACE_BITS) | places.astype(np.uint64)


class _Ranking(NamedTuple):
    """Pairs in their order, and the boxes of each class by falling score, padded behind.

    Attributes:
        slots, ranks (int64[p]): where a pair's class and box are in ``edges``.
        edges (float32[5, c, r]): x1, y1, x2, y2 and area of the boxes; padding overlaps nothing.
    """

    rows: NDArray[np.int64]
    class_ids: NDArray[np.int64]
    scores: NDArray[np.float32]
    slots: NDArray[np.int64]
    ranks: NDArray[np.int64]
    edges: NDArray[np.float32]


def _rank(
    boxes_xyxy: NDArray[np.float32],
    by_class: NDArray[np.float32],
    floor: float,
    max_candidates_per_class: int,
) -> _Ranking:
    """Of the pairs with a score above ``floor``."""
    num_classes, num_boxes = by_class.shape
    keys = np.sort(_keys(by_class, np.flatnonzero(by_class > floor)))
    scores = (~(keys >> _PLACE_BITS)).astype(np.uint32).view(np.float32)
    class_ids, rows = np.divmod((keys & _PLACE_MASK).astype(np.int64), max(1, num_boxes))
    counts = np.bincount(class_ids, minlength=num_classes)
    # Sorting small integers stably takes one pass over each of their bytes.
    order = np.argsort(class_ids.astype(np.uint16), kind="stable")
    ranks = np.empty(len(keys), np.int64)
    ranks[order] = np.arange(len(keys)) - np.repeat(np.cumsum(counts) - counts, counts)
    slots = (np.cumsum(counts > 0) - 1)[class_ids]
    if counts.max(initial=0) > max_candidates_per_class:
        competes = ranks < max_candidates_per_class
        rows, class_ids, scores = rows[competes], class_ids[competes], scores[competes]
        slots, ranks = slots[competes], ranks[competes]
    longest = min(max_candidates_per_class, int(counts.max(initial=0)))
    edges = np.zeros((5, np.count_nonzero(counts), longest), np.float32)
    corners = boxes_xyxy[rows].T
    edges[:4, slots, ranks] = corners
    with np.errstate(over="ignore", invalid="ignore"):  # finite corners may have infinite areas
        edges[4, slots, ranks] = (corners[2] - corners[0]) * (corners[3] - corners[1])
    return _Ranking(rows, class_ids, scores, slots, ranks, edges)


def _check(ranking: _Ranking, iou_threshold: float, max_detections: int) -> Selection:
    """The first ``max_detections`` pairs that no better box of their class overlaps."""
    pairs = np.arange(len(ranking.rows))
    chosen = [pairs[:0]]
    missing = max_detections
    while len(pairs) and missing > 0:
        if len(chosen) == 2:
            suppressed = _overlapped_by_leaders(ranking, iou_threshold)
            pairs = pairs[~suppressed[ranking.slots[pairs], ranking.ranks[pairs]]]
        portion, pairs = pairs[:PORTION], pairs[PORTION:]
        chosen.append(portion[~_overlapped(ranking, portion, iou_threshold)][:missing])
        missing -= len(chosen[-1])
    best = np.concatenate(chosen)
    return Selection(ranking.rows[best], ranking.class_ids[best], ranking.scores[best])


def _overlapped_by_leaders(ranking: _Ranking, iou_threshold: float) -> NDArray[np.bool_]:
    """Which boxes (bool[c, r]) one of the best few of their class overlaps and precedes."""
    leaders = ranking.edges[:, :, :NUM_LEADERS, None]
    near = _iou_exceeds(leaders, ranking.edges[:, :, None, :], iou_threshold)
    near &= np.arange(near.shape[2]) > np.arange(near.shape[1])[:, None]
    return np.asarray(near.any(axis=1))


def _overlapped(
    ranking: _Ranking, pairs: NDArray[np.int64], iou_threshold: float
) -> NDArray[np.bool_]:
    """Which pairs any better box of their class overlaps."""
    slots, ranks = ranking.slots[pairs], ranking.ranks[pairs]
    better = int(ranks.max(initial=0))
    near = _iou_exceeds(
        ranking.edges[:, slots, ranks, None], ranking.edges[:, slots, :better], iou_threshold
    )
    near &= np.arange(better) < ranks[:, None]
    return np.asarray(near.any(axis=1))


def _iou_exceeds(
    first: NDArray[np.float32], second: NDArray[np.float32], threshold: float
) -> NDArray[np.bool_]:
    """Whether boxes overlap by more than ``threshold``; x1, y1, x2, y2 and area in dimension 0.

    The same float32 operations as ``pairwise_iou``, in place; two boxes without area do not, nor
    do boxes too large for float32.
    """
    a_x1, a_y1, a_x2, a_y2, a_area = first
    b_x1, b_y1, b_x2, b_y2, b_area = second
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        intersection = np.minimum(a_x2, b_x2)
        scratch = np.maximum(a_x1, b_x1)
        zero = np.zeros_like(scratch)
        intersection -= scratch
        np.maximum(intersection, zero, out=intersection)
        heights = np.minimum(a_y2, b_y2)
        heights -= np.maximum(a_y1, b_y1, out=scratch)
        np.maximum(heights, zero, out=heights)
        intersection *= heights
        union = np.add(a_area, b_area, out=scratch)
        union -= intersection
        np.divide(intersection, union, out=intersection)
    exceeds: NDArray[np.bool_] = intersection > threshold
    return exceeds
