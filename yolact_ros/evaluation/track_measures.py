"""How well objects were followed: HOTA, IDF1, MOTA and id switches, computed by TrackEval.

HOTA: Luiten et al. 2021, "HOTA: A Higher Order Metric for Evaluating Multi-Object Tracking"; IDF1:
Ristani et al. 2016; MOTA: Bernardin and Stiefelhagen 2008. With the overlap of masks as similarity
these are the measures of MOTS (Voigtlaender et al. 2019).
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from yolact_ros.errors import DependencyError

__all__ = ["TrackFrame", "left_out_measures", "require_track_eval", "track_measures"]

INSTALL = (
    "tracks are measured by the package trackeval: `pip install --no-deps trackeval tabulate` "
    "(without --no-deps it would bring opencv-python, which breaks opencv-python-headless)"
)
_QUIET = {"PRINT_CONFIG": False}
# Measures that have one number for each of the 19 overlaps from 0.05 to 0.95; their mean counts.
_MEANS = {"hota": "HOTA", "deta": "DetA", "assa": "AssA", "loca": "LocA"}


@dataclass(frozen=True, eq=False)
class TrackFrame:
    """The objects of one class in one image.

    Attributes:
        truth_ids (int64[g]): which objects there are.
        found_ids (int64[n]): which objects were said to be there.
        overlaps (float64[g, n]): IoU of their boxes or masks.
    """

    truth_ids: NDArray[np.int64]
    found_ids: NDArray[np.int64]
    overlaps: NDArray[np.float64]


def require_track_eval() -> Any:
    """The package trackeval.

    Raises:
        DependencyError: it, or one that it needs, is not installed.
    """
    try:
        return importlib.import_module("trackeval")
    except (ImportError, OSError) as error:
        raise DependencyError(f"{INSTALL}; now: {error}") from error


def track_measures(sequences: Sequence[Sequence[TrackFrame]]) -> dict[str, float | int | None]:
    """The measures of several sequences together: bags and classes.

    Counts are added up before anything is divided, so a class counts by its objects.

    Args:
        sequences: images in order.

    Returns:
        ``hota``, ``deta``, ``assa``, ``loca``, ``idf1``, ``mota`` (0..1; MOTA may be negative),
        ``id_switches``, ``fragments``, ``truth_tracks``, ``found_tracks``; None where there is
        nothing to measure.

    Raises:
        DependencyError: trackeval is not installed.
    """
    metrics = require_track_eval().metrics
    data = [_data(frames) for frames in sequences]
    data = [one for one in data if one["num_gt_dets"] or one["num_tracker_dets"]]
    if not data:
        return dict.fromkeys(
            (*_MEANS, "idf1", "mota", "id_switches", "fragments", "truth_tracks", "found_tracks")
        )
    results = []
    for metric in (metrics.HOTA(), metrics.CLEAR(_QUIET), metrics.Identity(_QUIET)):
        parts = {str(place): metric.eval_sequence(one) for place, one in enumerate(data)}
        results.append(metric.combine_sequences(parts))
    hota, clear, identity = results
    return {
        **{name: float(np.mean(hota[theirs])) for name, theirs in _MEANS.items()},
        "idf1": float(identity["IDF1"]),
        "mota": float(clear["MOTA"]),
        "id_switches": int(clear["IDSW"]),
        "fragments": int(clear["Frag"]),
        "truth_tracks": sum(one["num_gt_ids"] for one in data),
        "found_tracks": sum(one["num_tracker_ids"] for one in data),
    }


def left_out_measures(
    sequences: Sequence[Sequence[TrackFrame]], blocks: Sequence[NDArray[np.int64]]
) -> dict[str, list[float | int | None]]:
    """The measures without each block of time in turn, for the jackknife (Efron and Stein 1981).

    Tracks go through many frames, so that frames cannot be drawn one by one, as for AP.

    Args:
        sequences: as for :func:`track_measures`.
        blocks: of each sequence, the block that each of its frames is in, from 0.
    """
    names = track_measures(sequences)
    count = max((int(numbers.max()) + 1 for numbers in blocks if len(numbers)), default=0)
    rows = []
    for left_out in range(count):
        kept = [
            [frame for frame, number in zip(frames, numbers, strict=True) if number != left_out]
            for frames, numbers in zip(sequences, blocks, strict=True)
        ]
        rows.append(track_measures(kept))
    return {name: [row[name] for row in rows] for name in names}


def _data(frames: Sequence[TrackFrame]) -> dict[str, Any]:
    """A sequence as trackeval has it: ids from 0 without gaps."""
    truth, found = (
        np.unique(np.concatenate([getattr(frame, name) for frame in frames]))
        if frames
        else np.zeros(0, np.int64)
        for name in ("truth_ids", "found_ids")
    )
    return {
        "num_timesteps": len(frames),
        "num_gt_ids": len(truth),
        "num_tracker_ids": len(found),
        "num_gt_dets": sum(len(frame.truth_ids) for frame in frames),
        "num_tracker_dets": sum(len(frame.found_ids) for frame in frames),
        "gt_ids": [np.searchsorted(truth, frame.truth_ids) for frame in frames],
        "tracker_ids": [np.searchsorted(found, frame.found_ids) for frame in frames],
        "similarity_scores": [frame.overlaps for frame in frames],
    }
