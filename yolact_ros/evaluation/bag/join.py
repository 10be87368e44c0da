"""Several bags as one: their frames and verdicts one after the other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from yolact_ros.datasets.coco_data import CocoCategory
from yolact_ros.evaluation.bag.matches import AREAS, MatchTable
from yolact_ros.evaluation.bag.score import AreaTables, BagScore
from yolact_ros.evaluation.bag.tables import joined_rows
from yolact_ros.evaluation.coco import IouType

__all__ = ["join_scores"]


def join_scores(scores: Sequence[BagScore]) -> BagScore:
    """The score of all frames of all bags; classes are the same if their names are.

    Verdicts name the rows of all frames: those of the second bag follow those of the first.
    """
    names = list(dict.fromkeys(row.name for score in scores for row in score.categories))
    joined = BagScore(
        categories=[CocoCategory(number, name) for number, name in enumerate(names, 1)]
    )
    with_own = any(score.processed_matches for score in scores)
    rows, matches, own_matches = [], [], []
    first = 0
    for score in scores:
        numbers = np.arange(first, first + len(score.frames))
        ids = np.zeros(1 + max((int(row.id) for row in score.categories), default=0), np.int64)
        for row in score.categories:
            ids[int(row.id)] = names.index(row.name) + 1
        first += len(score.frames)
        rows.append(score.frames)
        matches.append(_renumbered(score.matches, numbers, ids))
        own_matches.append(_renumbered(score.processed_matches or score.matches, numbers, ids))
        joined.num_scored += score.num_scored
        if with_own:
            own = score.num_scored_processed if score.processed_matches else score.num_scored
            joined.num_scored_processed += own
        joined.statuses.update(score.statuses)
        joined.class_counts.update(score.class_counts)
        joined.bits = max(joined.bits, score.bits)
        joined.truth_steadiness += score.truth_steadiness
        joined.problems.extend(score.problems)
    joined.frames = joined_rows(rows)
    joined.matches = _join(matches)
    joined.processed_matches = _join(own_matches) if with_own else {}
    return joined


def _renumbered(
    tables: dict[IouType, AreaTables], frames: NDArray[np.int64], ids: NDArray[np.int64]
) -> dict[IouType, AreaTables]:
    return {
        iou_type: {area: table.renumbered(frames, ids) for area, table in areas.items()}
        for iou_type, areas in tables.items()
    }


def _join(parts: Sequence[dict[IouType, AreaTables]]) -> dict[IouType, AreaTables]:
    """Tables of all bags; an IoU type that one bag's truth does not allow is left out."""
    with_truth = [part for part in parts if part]
    iou_types = set(with_truth[0]).intersection(*with_truth) if with_truth else set()
    return {
        iou_type: {
            area: MatchTable.concatenate([part[iou_type][area] for part in with_truth])
            for area in AREAS
        }
        for iou_type in sorted(iou_types)
    }
