"""Pieces of a self-contained HTML page: no script, no file beside it, no address to fetch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

__all__ = ["card", "cards", "code", "number", "page", "percent", "section", "table"]

_STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; color: #1c2330;
  background: #f4f6f8; margin: 0; }
main { max-width: 1180px; margin: 0 auto; padding: 20px 24px 60px; }
h1 { font-size: 26px; margin: 12px 0 2px; } h2 { font-size: 19px; margin: 34px 0 10px; }
h3 { font-size: 15px; margin: 14px 0 6px; } .panel h3 { margin-top: 0; }
p { margin: 6px 0; max-width: 78ch; }
.sub { color: #5a6474; } .note { color: #5a6474; font-size: 13.5px; }
.cards { display: flex; flex-wrap: wrap; gap: 12px; margin: 18px 0 8px; }
.card { background: #fff; border: 1px solid #dde2e8; border-radius: 8px; padding: 10px 16px;
  min-width: 118px; }
.card .value { font-size: 25px; font-weight: 600; white-space: nowrap; }
.card .name { color: #5a6474; font-size: 13px; }
.card.bad { border-color: #d55e00; background: #fdf1e9; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(480px, 1fr)); gap: 14px;
  align-items: start; }
.panel { background: #fff; border: 1px solid #dde2e8; border-radius: 8px; padding: 12px 14px; }
svg { width: 100%; height: auto; font-size: 12px; fill: #1c2330; display: block; }
svg .grid { stroke: #e6eaee; } svg .tick { stroke: #8a94a3; } svg .axis { fill: #5a6474; }
table { border-collapse: collapse; background: #fff; font-size: 14px; }
th, td { padding: 4px 12px; border-bottom: 1px solid #e6eaee; text-align: right; }
th { color: #5a6474; font-weight: 600; } td:first-child, th:first-child { text-align: left; }
td.text { text-align: left; }
tr.good td { background: #eaf6f1; } tr.bad td { background: #fdf1e9; }
.scroll { overflow-x: auto; }
figure { margin: 0; background: #fff; border: 1px solid #dde2e8; border-radius: 8px;
  padding: 8px; } figure img { width: 100%; display: block; border-radius: 4px; }
figcaption { font-size: 13px; color: #38414f; padding-top: 6px; }
.frames { display: grid; grid-template-columns: repeat(auto-fill, minmax(360px, 1fr)); gap: 12px; }
pre { background: #1c2330; color: #e8edf3; padding: 10px 14px; border-radius: 8px;
  overflow-x: auto; font-size: 13px; white-space: pre-wrap; word-break: break-all; }
"""


def page(title: str, subtitle: str, body: Sequence[str]) -> str:
    """The whole document; ``title`` and ``subtitle`` are plain text, ``body`` is HTML."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n<body><main>"
        f'<h1>{escape(title)}</h1><p class="sub">{escape(subtitle)}</p>\n'
        + "\n".join(part for part in body if part)
        + "\n</main></body></html>\n"
    )


def section(title: str, *parts: str) -> str:
    """A heading and what follows it; nothing if there is nothing."""
    content = [part for part in parts if part]
    return f"<h2>{escape(title)}</h2>\n" + "\n".join(content) if content else ""


def cards(entries: Sequence[str]) -> str:
    """A row of :func:`card`."""
    return f'<div class="cards">{"".join(entries)}</div>'


def card(name: str, value: str, *, bad: bool = False) -> str:
    """One large number with its name."""
    return (
        f'<div class="card{" bad" if bad else ""}"><div class="value">{escape(value)}</div>'
        f'<div class="name">{escape(name)}</div></div>'
    )


def table(
    header: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    text_columns: Sequence[int] = (),
    row_classes: Sequence[str] = (),
) -> str:
    """A table of plain values; the first column and ``text_columns`` are set to the left."""
    parts = ["<tr>" + "".join(f"<th>{escape(name)}</th>" for name in header) + "</tr>"]
    for index, row in enumerate(rows):
        cells = "".join(
            f'<td class="text">{escape(str(cell))}</td>'
            if column in text_columns
            else f"<td>{escape(str(cell))}</td>"
            for column, cell in enumerate(row)
        )
        name = row_classes[index] if row_classes else ""
        parts.append(f'<tr class="{name}">{cells}</tr>' if name else f"<tr>{cells}</tr>")
    return f'<div class="scroll"><table>{"".join(parts)}</table></div>'


def code(text: str) -> str:
    """Preformatted text."""
    return f"<pre>{escape(text)}</pre>"


def number(value: float | None, digits: int = 3) -> str:
    """A number with so many digits after the point; a dash for none."""
    if value is None or math.isnan(value):
        return "–"  # noqa: RUF001
    return f"{value:.{digits}f}"


def percent(value: float | None, digits: int = 1) -> str:
    """A fraction as per cent; a dash for none."""
    return number(None if value is None else 100 * value, digits) + (
        "" if value is None or math.isnan(value) else " %"
    )
