"""Fast NMS on the host: the exact result of the dense algorithm from a fraction of its IoUs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Selection", "select_fast_nms"]

# Pairs of box and class that are tried first: enough for 100 detections in most scenes, and cheap
# to rank.
FIRST_PAIRS = 1024
# All pairs are ranked at once up to this many; of more, each class first gets a limit.
MAX_PAIRS = 32768
SAMPLED_BOXES = 256
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


def select_fast_nms(
    boxes_xyxy: NDArray[np.float32],
    class_scores: NDArray[np.float32],
    *,
    iou_threshold: float,
    max_candidates_per_class: int,
    max_detections: int,
    display_threshold: float | NDArray[np.float32],
    first_pairs: int = FIRST_PAIRS,
) -> Selection:
    """Fast NMS (YOLACT section 3.3) over the candidate boxes of one image.

    In every class the best ``max_candidates_per_class`` boxes compete; one goes if any with a
    higher score overlaps it by more than ``iou_threshold``, whether that one goes itself or not.
    Of what is left in all classes the best ``max_detections`` stay.

    Pairs of box and class are in one order: by falling score, then class, then row. Only what
    comes before a pair matters to it. So the first pairs are selected from alone, and all only if
    too few of those survive; and they are checked in that order until enough have survived.

    Args:
        boxes_xyxy (float32[n, 4]): finite.
        class_scores (float32[n, C]): finite, 0..1, no background.
        display_threshold (float or float32[C]): a pair needs a higher score than this to be
            selected.
        first_pairs: so many are tried alone where there are many more; 0 tries all at once.
    """
    by_class = np.ascontiguousarray(class_scores.T)
    threshold = np.full((len(by_class), 1), 0, np.float32)
    threshold[:, 0] = display_threshold

    def select(keys: NDArray[np.uint64]) -> Selection:
        ranking = _rank(boxes_xyxy, keys, by_class.shape, max_candidates_per_class)
        return _check(ranking, iou_threshold, max_detections)

    above = by_class > threshold
    num_above = np.count_nonzero(above)
    if num_above > 2 * first_pairs > 0:
        floor = _first_floor(by_class, first_pairs)
        keys = _keys(by_class, _flat_nonzero(by_class > np.maximum(threshold, floor)))
        # More than expected where the estimate was off, or where many scores are equal.
        if len(keys) > 2 * first_pairs:
            keys = np.partition(keys, first_pairs)[:first_pairs]
        selection = select(keys)
        if len(selection.rows) >= max_detections:
            return selection
    if num_above > MAX_PAIRS:
        places = _competing(by_class, threshold, max_candidates_per_class)
    else:
        places = _flat_nonzero(above)
    return select(_keys(by_class, places))


def _flat_nonzero(flags: NDArray[np.bool_]) -> NDArray[np.int64]:
    """As ``np.flatnonzero`` of contiguous flags; few are found in a third of the time.

    Eight flags are looked at as one number first.
    """
    flat = flags.reshape(-1)
    num_words = flat.size // 8
    words = np.flatnonzero(flat[: num_words * 8].view(np.uint64) != 0)
    if len(words) > num_words // 16:
        return np.flatnonzero(flat)
    places = (words[:, None] * 8 + np.arange(8)).ravel()
    tail = np.arange(num_words * 8, flat.size)
    places = np.concatenate((places, tail))
    return np.asarray(places[flat[places]])


def _first_floor(by_class: NDArray[np.float32], num_pairs: int) -> np.float32:
    """A score that about ``num_pairs`` pairs are above.

    Estimated from a few boxes. An estimate that is off costs time; any floor is exact.
    """
    sample = _sample(by_class).ravel()
    place = sample.size - 1 - sample.size * num_pairs // by_class.size
    # Below the score in that place, so that scores equal to it are in.
    floor: np.float32 = np.nextafter(np.partition(sample, place)[place], np.float32(-1))
    return floor


def _sample(by_class: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.ascontiguousarray(by_class[:, :: max(1, by_class.shape[1] // SAMPLED_BOXES)])


def _competing(
    by_class: NDArray[np.float32], threshold: NDArray[np.float32], max_candidates_per_class: int
) -> NDArray[np.int64]:
    """Flat places of the pairs that compete above ``threshold[C, 1]``, and of some more."""
    num_classes, num_boxes = by_class.shape
    # Limits that about twice as many boxes pass as compete, from a few boxes of each class.
    sample = _sample(by_class)
    share = max_candidates_per_class / num_boxes
    place = max(0, sample.shape[1] - 2 - int(2 * share * sample.shape[1]))
    limits = np.partition(sample, place, axis=1)[:, place, None]
    places = _flat_nonzero(by_class > np.maximum(limits, threshold))
    counts = np.bincount(places // num_boxes, minlength=num_classes)
    misjudged = (counts < max_candidates_per_class) & (limits > threshold)[:, 0]
    misjudged |= counts > 8 * max_candidates_per_class
    exact = [
        class_id * num_boxes
        + _best_rows(by_class[class_id], threshold[class_id, 0], max_candidates_per_class)
        for class_id in np.flatnonzero(misjudged)
    ]
    return np.concatenate((places[~misjudged[places // num_boxes]], *exact))


def _best_rows(
    scores: NDArray[np.float32], threshold: np.float32, count: int
) -> NDArray[np.int64]:
    """The best ``count`` rows above the threshold; of equal scores the first rows."""
    if count < len(scores):
        limit = np.partition(scores, len(scores) - count)[len(scores) - count]
        if limit > threshold:
            better = np.flatnonzero(scores > limit)
            return np.append(better, np.flatnonzero(scores == limit)[: count - len(better)])
    return np.flatnonzero(scores > threshold)


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
        rows, class_ids (int64[p]), scores (float32[p]): of the pairs, best first.
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
    keys: NDArray[np.uint64],
    shape: tuple[int, ...],
    max_candidates_per_class: int,
) -> _Ranking:
    num_classes, num_boxes = shape
    keys = np.sort(keys)
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
