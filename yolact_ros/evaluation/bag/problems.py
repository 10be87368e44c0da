"""What could not be read or scored, where, and why; bounded however long the bag is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from yolact_ros.datasets.defects import Defects

__all__ = ["ProblemLog", "problem_lines"]

MAX_EXAMPLES_PER_KIND = 20


@dataclass
class ProblemLog:
    """Counts problems by kind and keeps the first examples of each.

    Attributes:
        counts: by kind.
        examples: of each its ``kind``, a short name such as "unreadable image", its ``place``
            (file and byte offset, or topic, message number and stamp) and the ``reason``: what
            was expected and what was found.
    """

    counts: dict[str, int] = field(default_factory=dict)
    examples: list[dict[str, str]] = field(default_factory=list)

    def add(self, kind: str, place: str, reason: str) -> None:
        """Count one problem; its place is kept for the first 20 of its kind."""
        count = self.counts.get(kind, 0) + 1
        self.counts[kind] = count
        if count <= MAX_EXAMPLES_PER_KIND:
            self.examples.append({"kind": kind, "place": place, "reason": reason})

    def extend(self, other: ProblemLog) -> None:
        """Add everything that ``other`` holds."""
        for problem in other.examples:
            shown = sum(kept["kind"] == problem["kind"] for kept in self.examples)
            if shown < MAX_EXAMPLES_PER_KIND:
                self.examples.append(problem)
        for kind, count in other.counts.items():
            self.counts[kind] = self.counts.get(kind, 0) + count

    def add_defects(self, defects: Defects, place: str) -> None:
        """Add what was left out or mended of a file, ``place``."""
        for kind, count in defects.counts.items():
            for example in defects.examples[kind]:
                self.add(kind, place, example)
            self.counts[kind] += count - len(defects.examples[kind])

    def to_dict(self) -> dict[str, object]:
        """Plain JSON types; ``ProblemLog(**values)`` is the inverse."""
        return {"counts": dict(sorted(self.counts.items())), "examples": [*self.examples]}

    def __len__(self) -> int:
        return sum(self.counts.values())


def problem_lines(problems: Mapping[str, Any]) -> list[str]:
    """One line for each kind in :meth:`ProblemLog.to_dict`, with its number and an example."""
    lines = []
    for kind, count in problems["counts"].items():
        first = next(row for row in problems["examples"] if row["kind"] == kind)
        lines.append(f"{count:6d}  {kind}; e.g. {first['place']}: {first['reason']}")
    return lines
