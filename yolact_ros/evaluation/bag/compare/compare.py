"""Two or more evaluations against the first, with what of the difference may be chance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from yolact_ros.errors import ConfigError, DataError
from yolact_ros.evaluation.bag.compare.bootstrap import (
    Interval,
    bag_weights,
    block_weights,
    percentile_interval,
)
from yolact_ros.evaluation.bag.compare.run_statistics import (
    STATISTICS,
    RunStatistics,
    Statistic,
    track_differences,
    track_values,
)
from yolact_ros.evaluation.bag.report.result_folder import ResultFolder
from yolact_ros.evaluation.bag.scoring.tables import FrameTable

__all__ = ["ComparedRun", "Comparison", "TagGroup", "compare_runs", "verdict"]

LEAST_COMMON_SHARE = 0.5
# Of fewer bags the resamples are the same few again and again.
LEAST_BAGS = 5
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
class TagGroup:
    """The bags that have a tag in common.

    Attributes:
        tag, value: of the tag.
        num_bags: of the first run.
        values: of each run its statistics, by name.
        differences: of each run to the first; empty for the first.
    """

    tag: str
    value: str
    num_bags: int
    values: tuple[Mapping[str, Interval], ...]
    differences: tuple[Mapping[str, Interval], ...]


@dataclass(frozen=True)
class Comparison:
    """Runs beside each other; the first is what the others are held against.

    Attributes:
        runs: at least two.
        paired: all runs saw the same frames, and each resample draws the same for all.
        num_frames: that took part, of the first run.
        left_out: frames of any run that not all runs have.
        block_frames: neighbouring frames that are drawn together; 0 where whole bags are.
        resamples: of the bootstrap.
        num_bags: that took part, of the first run.
        groups: the same for the bags that have a tag in common.
    """

    runs: tuple[ComparedRun, ...]
    paired: bool
    num_frames: int
    left_out: int
    block_frames: int
    resamples: int
    num_bags: int = 1
    groups: tuple[TagGroup, ...] = ()

    @property
    def drawn(self) -> str:
        """What a resample consists of, for people."""
        return f"blocks of {self.block_frames} frames" if self.block_frames else "bags"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "paired": self.paired,
            "frames": self.num_frames,
            "frames_left_out": self.left_out,
            "block_frames": self.block_frames,
            "resamples": self.resamples,
            "bags": self.num_bags,
            "by_tag": [
                {
                    "tag": group.tag,
                    "value": group.value,
                    "bags": group.num_bags,
                    "runs": [
                        _plain(*pair) for pair in zip(group.values, group.differences, strict=True)
                    ],
                }
                for group in self.groups
            ],
            "runs": [
                {
                    "name": run.name,
                    "folder": str(run.folder.path),
                    **_plain(run.values, run.differences),
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
        block_s: frames so close in time are drawn together, seconds; of five bags or more whole
            bags are.
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
    rows, paired = _common_rows(folders)
    bags = [_bag_numbers(folder, row) for folder, row in zip(folders, rows, strict=True)]
    by_bag = min(np.unique(numbers).size for numbers in bags) >= LEAST_BAGS
    length = 0 if by_bag else _block_frames(folders[0].frames, block_s)

    def compare(chosen: Sequence[NDArray[np.int64]], told: Callable[[int], None]) -> Compared:
        return _compare(folders, chosen, paired, length, resamples, seed, told)

    values, differences = compare(rows, progress)
    runs = tuple(
        ComparedRun(
            labels[number],
            folder,
            values[number] | track_values(folder.metrics),
            differences[number] | track_differences(folders[0].metrics, folder.metrics)
            if number
            else {},
            _changed_settings(folders[0], folder) if number else (),
        )
        for number, folder in enumerate(folders)
    )
    groups = []
    for tag, value in _common_tags(folders):
        chosen = [_tagged(*pair, tag, value) for pair in zip(folders, rows, strict=True)]
        if all(row.size for row in chosen):
            size = np.unique(_bag_numbers(folders[0], chosen[0])).size
            groups.append(TagGroup(tag, value, size, *compare(chosen, lambda _: None)))
    total = sum(len(folder.frames) for folder in folders)
    return Comparison(
        runs,
        paired,
        num_frames=len(rows[0]),
        left_out=total - sum(len(row) for row in rows),
        block_frames=length,
        resamples=resamples,
        num_bags=np.unique(bags[0]).size,
        groups=tuple(groups),
    )


Compared = tuple[tuple[dict[str, Interval], ...], tuple[dict[str, Interval], ...]]
"""Of each run its values, and the differences to those of the first."""


def _compare(
    folders: Sequence[ResultFolder],
    rows: Sequence[NDArray[np.int64]],
    paired: bool,
    length: int,
    resamples: int,
    seed: int,
    progress: Callable[[int], None],
) -> Compared:
    pairs = list(zip(folders, rows, strict=True))
    statistics = [RunStatistics(folder.frames, folder.matches, row) for folder, row in pairs]
    bags = [_bag_numbers(folder, row) for folder, row in pairs]
    generators = [
        np.random.default_rng(seed if paired else [seed, number]) for number in range(len(rows))
    ]
    full = [
        statistic(np.ones(len(row), np.int64))
        for statistic, row in zip(statistics, rows, strict=True)
    ]
    drawn = np.empty((len(rows), resamples, len(STATISTICS)))
    for resample in range(resamples):
        for number, (statistic, random) in enumerate(zip(statistics, generators, strict=True)):
            if length:
                weights = block_weights(len(rows[number]), length, random)
            else:
                weights = bag_weights(bags[number], random)
            drawn[number, resample] = statistic(weights)
        progress(1)
    return (
        tuple(_intervals(*pair) for pair in zip(full, drawn, strict=True)),
        tuple(
            _intervals(own - full[0], resampled - drawn[0]) if number else {}
            for number, (own, resampled) in enumerate(zip(full, drawn, strict=True))
        ),
    )


def _bag_numbers(folder: ResultFolder, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    _, numbers = np.unique(np.array(folder.bags), return_inverse=True)
    chosen: NDArray[np.int64] = numbers[rows]
    return chosen


def _common_tags(folders: Sequence[ResultFolder]) -> list[tuple[str, str]]:
    """Tags with their values that all runs have."""
    tags = [
        {tag for own in folder.metrics.get("tags", {}).values() for tag in own.items()}
        for folder in folders
    ]
    return sorted(tags[0].intersection(*tags[1:]))


def _tagged(
    folder: ResultFolder, rows: NDArray[np.int64], tag: str, value: str
) -> NDArray[np.int64]:
    """Those of the rows whose bag has the tag."""
    tags = folder.metrics["tags"]
    names = {name for name, own in tags.items() if own.get(tag) == value}
    return np.array([row for row in rows.tolist() if folder.bags[row] in names], np.int64)


def _common_rows(folders: Sequence[ResultFolder]) -> tuple[list[NDArray[np.int64]], bool]:
    """Rows of the frames that all runs have, in the same order; else all rows, unpaired."""
    tables = [folder.frames for folder in folders]
    # One bag is the same under another name; of several the name tells which.
    by_name = all(len(set(folder.bags)) > 1 for folder in folders)
    keys = [_keys(folder, by_name) for folder in folders]
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


def _keys(folder: ResultFolder, by_name: bool) -> list[tuple[tuple[str, int], int]]:
    """Bag, stamp, and how often it came before: a frame is the same in every run of a bag."""
    seen: Counter[tuple[str, int]] = Counter()
    keys = []
    for bag, stamp_ns in zip(folder.bags, folder.frames["stamp_ns"].tolist(), strict=True):
        key = (bag if by_name else "", int(stamp_ns))
        keys.append((key, seen[key]))
        seen[key] += 1
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


def _plain(values: Mapping[str, Interval], differences: Mapping[str, Interval]) -> dict[str, Any]:
    return {
        kind: {
            name: {end: None if np.isnan(x) else float(x) for end, x in vars(interval).items()}
            for name, interval in intervals.items()
        }
        for kind, intervals in (("values", values), ("differences", differences))
    }
