"""What is wrong with data: counts and examples of what was left out or mended."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["Defects"]

NUM_EXAMPLES = 3
MAX_EXAMPLE_LETTERS = 240


@dataclass
class Defects:
    """Counts and a few examples of everything wrong with the data.

    Attributes:
        counts: by kind.
        examples: the first few of each kind, one line each.
        mended: kinds whose entries are used; those of all others are left out.
    """

    counts: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[str]] = field(default_factory=dict)
    mended: set[str] = field(default_factory=set)

    def add(self, kind: str, example: str, count: int = 1) -> None:
        """Count what was left out for the reason ``kind`` and keep the first few examples."""
        self.counts[kind] = self.counts.get(kind, 0) + count
        kept = self.examples.setdefault(kind, [])
        if len(kept) < NUM_EXAMPLES:
            kept.append(_one_line(example))

    def mend(self, kind: str, example: str, count: int = 1) -> None:
        """Count what is used although something was wrong with it."""
        self.mended.add(kind)
        self.add(kind, example, count)

    def merge(self, other: Defects, source: str = "") -> None:
        """Add another collection; ``source`` is written before its examples."""
        for kind, count in other.counts.items():
            self.counts[kind] = self.counts.get(kind, 0) + count
            kept = self.examples.setdefault(kind, [])
            for example in other.examples[kind][: NUM_EXAMPLES - len(kept)]:
                kept.append(f"{source} {example}" if source else example)
        self.mended |= other.mended

    def __bool__(self) -> bool:
        return bool(self.counts)

    def report(self) -> str:
        """One line a kind, most frequent first; empty when nothing is wrong."""
        lines = []
        for kind, count in sorted(self.counts.items(), key=lambda item: -item[1]):
            mended = " (mended)" if kind in self.mended else ""
            lines.append(f"{count:6d}  {kind}{mended}; e.g. {'; '.join(self.examples[kind])}")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types: ``count`` and ``examples`` of each kind, ``left_out`` and ``mended``.

        A kind is in one of the two.
        """
        values: dict[str, Any] = {"left_out": {}, "mended": {}}
        for kind, count in self.counts.items():
            group = "mended" if kind in self.mended else "left_out"
            values[group][kind] = {"count": count, "examples": list(self.examples[kind])}
        return values


def _one_line(text: str) -> str:
    """``text`` for a terminal, whatever a file held."""
    printable = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)
    if len(printable) <= MAX_EXAMPLE_LETTERS:
        return printable
    return printable[: MAX_EXAMPLE_LETTERS - 3] + "..."
