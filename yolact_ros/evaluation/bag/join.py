"""Several bags as one: their frames and verdicts one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from yolact_ros.datasets.coco_data import CocoCategory
from yolact_ros.evaluation.bag.frame_table import COLUMNS, FrameTable
from yolact_ros.evaluation.bag.matches import MatchTable
from yolact_ros.evaluation.bag.problems import ProblemLog
from yolact_ros.evaluation.bag.score import AreaTables, BagScore
from yolact_ros.evaluation.coco import IouType

__all__ = ["join_scores"]


def join_scores(scores: Sequence[BagScore]) -> BagScore:
    """The score of all frames of all bags; classes are the same if their names are.

    Frames are numbered on: those of the second bag follow those of the first.
    """
    ids: dict[str, int] = {}
    for score in scores:
        for row in score.categories:
            ids.setdefault(row.name, len(ids) + 1)
    offsets = np.cumsum([0] + [_span(score) for score in scores[:-1]]).tolist()
    joined = BagScore(FrameTable(), problems=ProblemLog())
    joined.categories = [CocoCategory(number, name) for name, number in ids.items()]
    for score, offset in zip(scores, offsets, strict=True):
        _append(joined.frames, score.frames, offset)
        joined.statuses.update(score.statuses)
        joined.class_counts.update(score.class_counts)
        joined.num_scored += score.num_scored
        joined.bits = max(joined.bits, score.bits)
        joined.truth_steadiness += score.truth_steadiness
        joined.problems.extend(score.problems)
    joined.unknown_classes = tuple(sorted({n for s in scores for n in s.unknown_classes}))
    joined.matches = _join([s.matches for s in scores], scores, ids, offsets)
    if any(score.processed_matches for score in scores):
        processed = [score.processed_matches or score.matches for score in scores]
        joined.processed_matches = _join(processed, scores, ids, offsets)
        joined.num_scored_processed = sum(
            score.num_scored_processed if score.processed_matches else score.num_scored
            for score in scores
        )
    return joined


def _join(
    parts: Sequence[dict[IouType, AreaTables]],
    scores: Sequence[BagScore],
    ids: dict[str, int],
    offsets: Sequence[int],
) -> dict[IouType, AreaTables]:
    """Tables of all bags; an IoU type that one bag's truth does not allow is left out."""
    with_truth = [
        (part, score, offset)
        for part, score, offset in zip(parts, scores, offsets, strict=True)
        if part
    ]
    if not with_truth:
        return {}
    common = [
        iou_type for iou_type in with_truth[0][0] if all(iou_type in p for p, _, _ in with_truth)
    ]
    return {
        iou_type: {
            area: MatchTable.concatenate(
                [
                    _renumbered(part[iou_type][area], score.categories, ids)
                    for part, score, _ in with_truth
                ],
                [offset for _, _, offset in with_truth],
            )
            for area in with_truth[0][0][iou_type]
        }
        for iou_type in common
    }


def _renumbered(
    table: MatchTable, categories: Sequence[CocoCategory], ids: dict[str, int]
) -> MatchTable:
    new_ids = {row.id: ids[row.name] for row in categories}

    def renumber(column: NDArray[np.int32]) -> NDArray[np.int32]:
        return np.array([new_ids[int(value)] for value in column], np.int32)

    return replace(
        table,
        category=renumber(table.category),
        object_category=renumber(table.object_category),
    )


def _span(score: BagScore) -> int:
    index = score.frames["index"]
    return int(index.max()) + 1 if len(index) else 0


def _append(joined: FrameTable, part: FrameTable, offset: int) -> None:
    names = [name for name in COLUMNS if name not in ("index", "stamp_ns")]
    columns = [part[name] for name in names]
    for row in range(len(part)):
        values = {name: float(column[row]) for name, column in zip(names, columns, strict=True)}
        joined.append(int(part["index"][row]) + offset, int(part["stamp_ns"][row]), **values)
