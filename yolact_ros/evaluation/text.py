"""Numbers and tables as text, for terminals, documents and reports."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

__all__ = ["aligned_table", "markdown_table", "number", "percent"]


def number(value: float | None, digits: int = 3, scale: float = 1.0) -> str:
    """``scale * value`` with so many digits after the point; a dash for None and NaN."""
    if value is None or math.isnan(value):
        return "–"  # noqa: RUF001
    return f"{scale * value:.{digits}f}"


def percent(value: float | None, digits: int = 1) -> str:
    """A fraction as per cent; a dash for None and NaN."""
    if value is None or math.isnan(value):
        return number(None)
    return f"{number(value, digits, 100)} %"


def aligned_table(rows: Sequence[Sequence[str]], *, text_columns: Collection[int]) -> str:
    """Columns of equal width, ``text_columns`` to the left and the others to the right."""
    return "\n".join(
        "  ".join(cells).rstrip() for cells in _padded(rows, text_columns=text_columns)
    )


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of GitHub's Markdown; the first column is text, the others are numbers."""
    padded = _padded([header, *rows], text_columns={0})
    rules = ["-" * (len(cell) + 1) for cell in padded[0]]
    rule = "|".join([f"{rules[0]}-", *(f"{text}:" for text in rules[1:])])
    lines = [f"| {' | '.join(cells)} |" for cells in padded]
    return "\n".join((lines[0], f"|{rule}|", *lines[1:]))


def _padded(rows: Sequence[Sequence[str]], *, text_columns: Collection[int]) -> list[list[str]]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        [
            cell.ljust(width) if column in text_columns else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        for row in rows
    ]
