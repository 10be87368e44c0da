"""Fast NMS on the host: the exact result of the dense algorithm from a fraction of its IoUs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Selection", "select_fast_nms"]

# Pairs of box and class that are tried first: enough for 100 detections in most scenes, and cheap
# to rank. Where they are not enough, this many times more are.
FIRST_PAIRS = 2048
GROWTH = 16
SAMPLED_BOXES = 64
# Pairs are checked in portions of this many, from the best downwards, until enough have survived.
PORTION = 192
# Before the second portion, all are looked at beside the best few boxes of their class, which
# removes most of a crowd for the price of a few portions.
NUM_LEADERS = 4

_ROW_BITS = np.uint64(32)
_ROW_MASK = np.uint64(0xFFFFFFFF)
_LAST_KEY = np.uint64(0xFFFFFFFFFFFFFFFF)


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
    display_threshold: float,
) -> Selection:
    """Fast NMS (YOLACT section 3.3) over the candidate boxes of one image.

    In every class the best ``max_candidates_per_class`` boxes compete; one goes if any with a
    higher score overlaps it by more than ``iou_threshold``, whether that one goes itself or not.
    Of what is left in all classes the best ``max_detections`` stay.

    Only pairs of box and class above a score matter to the pairs above that score. So the pairs
    are checked from the best downwards and checking stops when enough have survived.

    Args:
        boxes_xyxy (float32[n, 4]): finite.
        class_scores (float32[n, C]): finite, 0..1, no background.
        display_threshold: a pair needs a higher score than this to be selected.
    """
    by_class = np.ascontiguousarray(class_scores.T)
    for floor in _floors(class_scores, display_threshold):
        selection = _select(
            boxes_xyxy,
            by_class,
            floor,
            iou_threshold,
            max_candidates_per_class,
            max_detections,
        )
        if len(selection.rows) >= max_detections:
            break
    return selection


def _floors(class_scores: NDArray[np.float32], display_threshold: float) -> list[float]:
    """Falling scores above which to look for detections; the last is the display threshold.

    Estimated from a few boxes. An estimate that is off costs time; any floor is exact.
    """
    sample = class_scores[:: max(1, len(class_scores) // SAMPLED_BOXES)].ravel()
    floors = []
    num_pairs = FIRST_PAIRS
    # Trying a quarter or more of all pairs first costs about as much as trying all.
    while num_pairs < class_scores.size / 4:
        place = sample.size - 1 - sample.size * num_pairs // class_scores.size
        floor = float(np.partition(sample, place)[place])
        if floor <= display_threshold:
            break
        floors.append(floor)
        num_pairs *= GROWTH
    return [*floors, display_threshold]


class _Ranking(NamedTuple):
    """Boxes of each class by falling score; ties by row. Padded behind to the longest class.

    Attributes:
        class_ids (int64[c]): classes with at least one pair.
        rows (int64[c, r]): of the boxes.
        scores (float32[c, r]): -1 is padding.
        edges (float32[5, c, r]): x1, y1, x2, y2 and area of the boxes.
    """

    class_ids: NDArray[np.int64]
    rows: NDArray[np.int64]
    scores: NDArray[np.float32]
    edges: NDArray[np.float32]


def _select(
    boxes_xyxy: NDArray[np.float32],
    by_class: NDArray[np.float32],
    floor: float,
    iou_threshold: float,
    max_candidates_per_class: int,
    max_detections: int,
) -> Selection:
    """The selection among the pairs with a score above ``floor``."""
    ranking = _rank(boxes_xyxy, by_class, floor, max_candidates_per_class)
    num_ranks = ranking.rows.shape[1]
    places = np.flatnonzero(ranking.scores >= 0)
    # One sortable number a pair: falling score, then class and rank, which is the order of ties.
    keys = _inverted_bits(ranking.scores.ravel()[places]) | places.astype(np.uint64)
    chosen: list[NDArray[np.int64]] = []
    missing = max_detections
    while len(keys) and missing > 0:
        if len(chosen) == 1:
            screened = ~_overlapped_by_leaders(ranking, iou_threshold).ravel()
            keys = keys[screened[(keys & _ROW_MASK).astype(np.int64)]]
        if len(keys) > PORTION:
            keys = np.partition(keys, PORTION - 1)
        pairs = (np.sort(keys[:PORTION]) & _ROW_MASK).astype(np.int64)
        keys = keys[PORTION:]
        chosen.append(pairs[~_overlapped(ranking, pairs, iou_threshold)][:missing])
        missing -= len(chosen[-1])
    pairs = np.concatenate(chosen) if chosen else np.zeros(0, np.int64)
    return Selection(
        ranking.rows.ravel()[pairs],
        ranking.class_ids[pairs // num_ranks] if len(pairs) else pairs,
        ranking.scores.ravel()[pairs],
    )


def _rank(
    boxes_xyxy: NDArray[np.float32],
    by_class: NDArray[np.float32],
    floor: float,
    max_candidates_per_class: int,
) -> _Ranking:
    num_classes, num_boxes = by_class.shape
    above = by_class > floor
    pairs = np.flatnonzero(above)
    counts = np.bincount(pairs // max(1, num_boxes), minlength=num_classes)
    crowded = np.flatnonzero(counts > max_candidates_per_class)
    if len(crowded):
        place = num_boxes - max_candidates_per_class
        limits = np.partition(by_class[crowded], place, axis=1)[:, place]
        above[crowded] &= by_class[crowded] >= limits[:, None]
        pairs = np.flatnonzero(above)
        counts = np.bincount(pairs // num_boxes, minlength=num_classes)
    class_ids = np.flatnonzero(counts)
    counts = counts[class_ids]
    classes = np.repeat(np.arange(len(class_ids)), counts)
    slots = np.arange(len(pairs)) - np.repeat(np.cumsum(counts) - counts, counts)
    keys = np.full((len(class_ids), counts.max(initial=0)), _LAST_KEY)
    rows = (pairs % num_boxes if num_boxes else pairs).astype(np.uint64)
    keys[classes, slots] = _inverted_bits(by_class.ravel()[pairs]) | rows
    keys.sort(axis=1)
    keys = keys[:, :max_candidates_per_class]
    padding = keys == _LAST_KEY
    scores = (~(keys >> _ROW_BITS)).astype(np.uint32).view(np.float32)
    scores[padding] = -1
    ranked = np.where(padding, 0, keys & _ROW_MASK).astype(np.int64)
    edges = np.empty((5, *ranked.shape), np.float32)
    for edge in range(4):
        np.take(boxes_xyxy[:, edge], ranked, out=edges[edge])
    edges[4] = (edges[2] - edges[0]) * (edges[3] - edges[1])
    return _Ranking(class_ids, ranked, scores, edges)


def _inverted_bits(scores: NDArray[np.float32]) -> NDArray[np.uint64]:
    """Positive scores as numbers that sort the other way round, in the upper 32 bits."""
    return (~np.ascontiguousarray(scores).view(np.uint32)).astype(np.uint64) << _ROW_BITS


def _overlapped_by_leaders(ranking: _Ranking, iou_threshold: float) -> NDArray[np.bool_]:
    """Which boxes (bool[c, r]) one of the best few of their class overlaps and precedes."""
    leaders = ranking.edges[:, :, :NUM_LEADERS, None]
    near = _iou_exceeds(leaders, ranking.edges[:, :, None, :], iou_threshold)
    near &= np.arange(near.shape[2]) > np.arange(near.shape[1])[:, None]
    return np.asarray(near.any(axis=1))


def _overlapped(
    ranking: _Ranking, pairs: NDArray[np.int64], iou_threshold: float
) -> NDArray[np.bool_]:
    """Which pairs (flat places in the ranking) any better box of their class overlaps."""
    classes, ranks = np.divmod(pairs, ranking.rows.shape[1])
    better = int(ranks.max(initial=0))
    near = _iou_exceeds(
        ranking.edges.reshape(5, -1)[:, pairs, None],
        ranking.edges[:, classes, :better],
        iou_threshold,
    )
    near &= np.arange(better) < ranks[:, None]
    return np.asarray(near.any(axis=1))


def _iou_exceeds(
    first: NDArray[np.float32], second: NDArray[np.float32], threshold: float
) -> NDArray[np.bool_]:
    """Whether boxes overlap by more than ``threshold``; x1, y1, x2, y2 and area in dimension 0.

    The same float32 operations as ``pairwise_iou``, in place; two boxes without area do not.
    """
    a_x1, a_y1, a_x2, a_y2, a_area = first
    b_x1, b_y1, b_x2, b_y2, b_area = second
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
    with np.errstate(divide="ignore", invalid="ignore"):
        np.divide(intersection, union, out=intersection)
    exceeds: NDArray[np.bool_] = intersection > threshold
    return exceeds
