"""Two or more evaluations against the first, with what of the difference may be chance."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from yolact_ros.errors import ConfigError, DataError
from yolact_ros.evaluation.bag.bootstrap import Interval, block_weights, percentile_interval
from yolact_ros.evaluation.bag.result_folder import ResultFolder
from yolact_ros.evaluation.bag.run_statistics import STATISTICS, RunStatistics, Statistic
from yolact_ros.evaluation.bag.tables import FrameTable
from yolact_ros.evaluation.bag.track_intervals import track_differences, track_values

__all__ = ["ComparedRun", "Comparison", "compare_runs", "verdict"]

LEAST_COMMON_SHARE = 0.5
MOST_BLOCK_SHARE = 0.1


@dataclass(frozen=True)
class ComparedRun:
    """One evaluation of a comparison.

    Attributes:
        name: for people; unique in the comparison.
        folder: of its results.
        values: its statistics with their own intervals, by name.
        differences: to the first run, by name; empty for the first.
        settings: those in which it differs from the first, as (name, its value).
    """

    name: str
    folder: ResultFolder
    values: Mapping[str, Interval]
    differences: Mapping[str, Interval]
    settings: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Comparison:
    """Runs beside each other; the first is what the others are held against.

    Attributes:
        runs: at least two.
        paired: all runs saw the same frames, and each resample draws the same for all.
        num_frames: that took part, of the first run.
        left_out: frames of any run that not all runs have.
        block_frames: neighbouring frames that are drawn together.
        resamples: of the bootstrap.
    """

    runs: tuple[ComparedRun, ...]
    paired: bool
    num_frames: int
    left_out: int
    block_frames: int
    resamples: int

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "paired": self.paired,
            "frames": self.num_frames,
            "frames_left_out": self.left_out,
            "block_frames": self.block_frames,
            "resamples": self.resamples,
            "runs": [
                {
                    "name": run.name,
                    "folder": str(run.folder.path),
                    "values": {name: _plain(value) for name, value in run.values.items()},
                    "differences": {
                        name: _plain(value) for name, value in run.differences.items()
                    },
                }
                for run in self.runs
            ],
        }


def verdict(statistic: Statistic, difference: Interval) -> str:
    """``better``, ``worse``, ``different`` or nothing where it may be chance."""
    if not difference.excludes_zero:
        return ""
    if statistic.higher_is_better is None:
        return "different"
    return "better" if (difference.value > 0) == statistic.higher_is_better else "worse"


def compare_runs(
    paths: Sequence[Path],
    names: Sequence[str] = (),
    *,
    resamples: int = 1000,
    block_s: float = 1.0,
    seed: int = 0,
    progress: Callable[[int], None] = lambda _: None,
) -> Comparison:
    """Compare finished evaluations.

    Args:
        paths: folders of ``yolact bag evaluate``; the first is the reference.
        names: for people; empty takes the folders'.
        resamples: of the bootstrap.
        block_s: frames so close in time are drawn together, seconds.
        seed: of the bootstrap; the same seed gives the same intervals.
        progress: told of resamples done.

    Raises:
        ConfigError: fewer than two runs, or options out of range.
        DataError: a folder is no finished evaluation.
    """
    if len(paths) < 2:
        raise ConfigError("compare needs at least two results; name two or more folders")
    if names and len(names) != len(paths):
        raise ConfigError(f"{len(names)} names for {len(paths)} results")
    if resamples < 10 or block_s < 0:
        raise ConfigError("resamples must be at least 10 and the block at least 0 seconds")
    folders = [ResultFolder(path) for path in paths]
    for folder in folders:
        if not len(folder.frames):
            raise DataError(f"{folder.path}: its evaluation has no frame")
    labels = list(names) or _labels(paths)
    rows, paired = _common_rows([folder.frames for folder in folders])
    length = _block_frames(folders[0].frames, block_s)
    statistics = [
        RunStatistics(folder.frames, folder.matches, row)
        for folder, row in zip(folders, rows, strict=True)
    ]
    full = [
        statistic(np.ones(len(row), np.int64))
        for statistic, row in zip(statistics, rows, strict=True)
    ]
    drawn = _resample(statistics, rows, paired, length, resamples, seed, progress)
    runs = tuple(
        ComparedRun(
            labels[number],
            folders[number],
            _intervals(full[number], drawn[number]) | track_values(folders[number].metrics),
            _intervals(full[number] - full[0], drawn[number] - drawn[0])
            | track_differences(folders[0].metrics, folders[number].metrics)
            if number
            else {},
            _changed_settings(folders[0], folders[number]) if number else (),
        )
        for number in range(len(folders))
    )
    total = sum(len(folder.frames) for folder in folders)
    left_out = total - sum(len(row) for row in rows)
    return Comparison(runs, paired, len(rows[0]), left_out, length, resamples)


def _resample(
    statistics: Sequence[RunStatistics],
    rows: Sequence[NDArray[np.int64]],
    paired: bool,
    length: int,
    resamples: int,
    seed: int,
    progress: Callable[[int], None],
) -> list[NDArray[np.float64]]:
    """Statistics of every run in every resample, float64[resamples, statistics] each."""
    generators = [
        np.random.default_rng(seed if paired else [seed, number]) for number in range(len(rows))
    ]
    drawn: list[list[NDArray[np.float64]]] = [[] for _ in statistics]
    for _ in range(resamples):
        for number, statistic in enumerate(statistics):
            weights = block_weights(len(rows[number]), length, 1, generators[number])[0]
            drawn[number].append(statistic(weights))
        progress(1)
    return [np.array(values) for values in drawn]


def _common_rows(tables: Sequence[FrameTable]) -> tuple[list[NDArray[np.int64]], bool]:
    """Rows of the frames that all runs have, in the same order; else all rows, unpaired."""
    keys = [_keys(table) for table in tables]
    common = set(keys[0]).intersection(*keys[1:])
    fewest = min(len(table) for table in tables)
    if len(common) < LEAST_COMMON_SHARE * fewest:
        return [np.arange(len(table)) for table in tables], False
    order = [key for key in keys[0] if key in common]
    rows = []
    for key_list in keys:
        place = {key: row for row, key in enumerate(key_list)}
        rows.append(np.array([place[key] for key in order], np.int64))
    return rows, True


def _keys(table: FrameTable) -> list[tuple[int, int]]:
    """Stamp, and how often it came before: a frame is the same in every run of a bag."""
    seen: dict[int, int] = {}
    keys = []
    for stamp_ns in table["stamp_ns"].tolist():
        keys.append((int(stamp_ns), seen.get(stamp_ns, 0)))
        seen[stamp_ns] = seen.get(stamp_ns, 0) + 1
    return keys


def _block_frames(frames: FrameTable, block_s: float) -> int:
    gaps_s = np.diff(frames["time_s"])
    gaps_s = gaps_s[gaps_s > 0]
    if not gaps_s.size:
        return 1
    length = round(block_s / float(np.median(gaps_s)))
    return int(max(1, min(length, MOST_BLOCK_SHARE * len(frames))))


def _intervals(values: NDArray[np.float64], drawn: NDArray[np.float64]) -> dict[str, Interval]:
    return {
        statistic.name: percentile_interval(float(values[column]), drawn[:, column])
        for column, statistic in enumerate(STATISTICS)
        if not np.isnan(values[column])
    }


def _changed_settings(first: ResultFolder, other: ResultFolder) -> tuple[tuple[str, str], ...]:
    changed = []
    for part in ("settings", "environment"):
        ours, theirs = first.metrics[part], other.metrics[part]
        for key in dict.fromkeys((*ours, *theirs)):
            if key != "date" and ours.get(key) != theirs.get(key):
                changed.append((key, f"{ours.get(key, '-')} → {theirs.get(key, '-')}"))
    return tuple(changed)


def _labels(paths: Sequence[Path]) -> list[str]:
    names = [path.resolve().name for path in paths]
    if len(set(names)) == len(names):
        return names
    return [str(path) for path in paths]


def _plain(interval: Interval) -> dict[str, float | None]:
    return {
        name: None if np.isnan(value) else float(value) for name, value in vars(interval).items()
    }
