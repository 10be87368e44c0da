"""Small charts as SVG text, so that a report is one file that any browser shows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

__all__ = ["Series", "bar_chart", "histogram", "line_chart"]

# Okabe and Ito's colours, which stay apart for colour-blind readers.
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#555555")
WIDTH_PX, HEIGHT_PX = 560, 250
LEFT_PX, RIGHT_PX, TOP_PX, BOTTOM_PX = 54, 12, 24, 44
MAX_POINTS = 700

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Series:
    """One line of a chart.

    Attributes:
        label: in the legend.
        x, y (float64[n]): NaN in ``y`` breaks the line.
        step: hold each value until the next instead of joining them.
        dashed: draw it dashed, for limits and references.
        band (float64[n], float64[n]): a lighter area around it, or None.
    """

    label: str
    x: Values
    y: Values
    step: bool = False
    dashed: bool = False
    band: tuple[Values, Values] | None = None


def line_chart(
    series: Sequence[Series],
    *,
    x_label: str,
    y_label: str,
    y_range: tuple[float, float] | None = None,
    x_range: tuple[float, float] | None = None,
) -> str:
    """Lines with axes and a legend. Long lines are thinned to what a screen can show."""
    axes = _Axes(
        x_range or _range([line.x for line in series], zero=False),
        y_range or _range([line.y for line in series], zero=True),
    )
    parts = [axes.frame(x_label, y_label)]
    for number, line in enumerate(series):
        color = PALETTE[number % len(PALETTE)]
        if line.band is not None:
            parts.append(axes.area(line.x, *line.band, color))
        x, y = _thinned(line.x, line.y)
        parts.append(axes.polyline(x, y, color, step=line.step, dashed=line.dashed))
    parts.append(_legend([(line.label, line.dashed) for line in series]))
    return _svg(parts, f"{y_label} over {x_label}")


def histogram(values: Values, *, x_label: str, limit: float | None = None, bins: int = 40) -> str:
    """Share of the values in each bin; ``limit`` is marked by a dashed line.

    The axis ends at the 99.5th percentile (or the limit), and the last bin holds what is beyond.
    """
    finite = values[np.isfinite(values)]
    if not finite.size:
        return ""
    top = float(np.percentile(finite, 99.5))
    if limit is not None:
        top = max(top, limit * 1.1)
    low = min(0.0, float(finite.min()))
    top = top if top > low else low + 1.0
    counts, edges = np.histogram(np.minimum(finite, top), bins=bins, range=(low, top))
    shares = counts / finite.size * 100
    axes = _Axes((low, top), (0.0, float(shares.max()) * 1.08))
    parts = [axes.frame(x_label, "frames, %")]
    for share, left, right in zip(shares, edges[:-1], edges[1:], strict=True):
        parts.append(axes.bar(float(left), float(right), float(share), PALETTE[0]))
    if limit is not None:
        parts.append(axes.vertical(limit, PALETTE[1]))
        parts.append(_legend([("frames", False), (f"budget {limit:g} ms", True)]))
    return _svg(parts, f"distribution of {x_label}")


def bar_chart(
    labels: Sequence[str],
    values: Sequence[float],
    *,
    x_label: str,
    top: float | None = None,
    intervals: Sequence[tuple[float, float]] | None = None,
) -> str:
    """One horizontal bar a label; ``intervals`` are drawn as whiskers."""
    row_px, label_px = 22, 130
    height = row_px * len(labels) + 30
    finite = [value for value in values if math.isfinite(value)]
    most = top if top is not None else max([*finite, 1e-9])
    scale = (WIDTH_PX - label_px - 70) / most
    parts = []
    for number, (label, value) in enumerate(zip(labels, values, strict=True)):
        y = row_px * number + 4
        width = max(value, 0.0) * scale if math.isfinite(value) else 0.0
        parts.append(
            f'<text x="{label_px - 8}" y="{y + 12}" text-anchor="end">{escape(label)}</text>'
            f'<rect x="{label_px}" y="{y}" width="{width:.1f}" height="{row_px - 7}" '
            f'fill="{PALETTE[0]}"/>'
        )
        end = label_px + width
        if intervals is not None:
            low, high = (label_px + max(edge, 0.0) * scale for edge in intervals[number])
            middle = y + (row_px - 7) / 2
            parts.append(
                f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{middle}" y2="{middle}" '
                f'stroke="#000" stroke-width="1.5"/>'
            )
            end = max(end, high)
        shown = f"{value:.3g}" if math.isfinite(value) else "-"
        parts.append(f'<text x="{end + 6:.1f}" y="{y + 12}">{shown}</text>')
    parts.append(f'<text x="{label_px}" y="{height - 8}" class="axis">{escape(x_label)}</text>')
    return _svg(parts, x_label, height)


class _Axes:
    """From numbers to places on the drawing."""

    def __init__(self, x_range: tuple[float, float], y_range: tuple[float, float]) -> None:
        self._x0, self._x1 = _widened(x_range)
        self._y0, self._y1 = _widened(y_range)

    def x(self, value: float) -> float:
        share = (value - self._x0) / (self._x1 - self._x0)
        return LEFT_PX + share * (WIDTH_PX - LEFT_PX - RIGHT_PX)

    def y(self, value: float) -> float:
        share = (min(max(value, self._y0), self._y1) - self._y0) / (self._y1 - self._y0)
        return HEIGHT_PX - BOTTOM_PX - share * (HEIGHT_PX - TOP_PX - BOTTOM_PX)

    def frame(self, x_label: str, y_label: str) -> str:
        bottom, right = HEIGHT_PX - BOTTOM_PX, WIDTH_PX - RIGHT_PX
        parts = []
        for value in _ticks(self._y0, self._y1):
            y = self.y(value)
            parts.append(
                f'<line x1="{LEFT_PX}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>'
                f'<text x="{LEFT_PX - 6}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>'
            )
        for value in _ticks(self._x0, self._x1):
            x = self.x(value)
            parts.append(
                f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{bottom}" y2="{bottom + 4}" class="tick"/>'
                f'<text x="{x:.1f}" y="{bottom + 17}" text-anchor="middle">{value:g}</text>'
            )
        middle = (TOP_PX + bottom) / 2
        parts.append(
            f'<line x1="{LEFT_PX}" x2="{right}" y1="{bottom}" y2="{bottom}" class="tick"/>'
            f'<text x="{(LEFT_PX + right) / 2}" y="{HEIGHT_PX - 8}" text-anchor="middle" '
            f'class="axis">{escape(x_label)}</text>'
            f'<text x="13" y="{middle}" text-anchor="middle" class="axis" '
            f'transform="rotate(-90 13 {middle})">{escape(y_label)}</text>'
        )
        return "".join(parts)

    def polyline(self, x: Values, y: Values, color: str, *, step: bool, dashed: bool) -> str:
        path: list[str] = []
        pen_up = True
        last_y = 0.0
        for x_value, y_value in zip(x.tolist(), y.tolist(), strict=True):
            if math.isnan(y_value):
                pen_up = True
                continue
            place = f"{self.x(x_value):.1f},{self.y(y_value):.1f}"
            if pen_up:
                path.append(f"M{place}h.1")  # so that a point alone is seen
            elif step:
                path.append(f"L{self.x(x_value):.1f},{last_y:.1f}L{place}")
            else:
                path.append(f"L{place}")
            pen_up, last_y = False, self.y(y_value)
        dash = ' stroke-dasharray="5 4"' if dashed else ""
        return (
            f'<path d="{"".join(path)}" fill="none" stroke="{color}" stroke-width="1.5" '
            f'stroke-linecap="round"{dash}/>'
        )

    def area(self, x: Values, low: Values, high: Values, color: str) -> str:
        upper = [f"{self.x(a):.1f},{self.y(b):.1f}" for a, b in zip(x, high, strict=True)]
        lower = [f"{self.x(a):.1f},{self.y(b):.1f}" for a, b in zip(x, low, strict=True)]
        points = " ".join(upper + lower[::-1])
        return f'<polygon points="{points}" fill="{color}" opacity="0.18"/>'

    def bar(self, left: float, right: float, height: float, color: str) -> str:
        top = self.y(height)
        return (
            f'<rect x="{self.x(left):.1f}" y="{top:.1f}" fill="{color}" '
            f'width="{max(self.x(right) - self.x(left) - 1, 0.5):.1f}" '
            f'height="{HEIGHT_PX - BOTTOM_PX - top:.1f}"/>'
        )

    def vertical(self, value: float, color: str) -> str:
        x = self.x(value)
        return (
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP_PX}" y2="{HEIGHT_PX - BOTTOM_PX}" '
            f'stroke="{color}" stroke-width="1.5" stroke-dasharray="5 4"/>'
        )


def _svg(parts: Sequence[str], title: str, height: int = HEIGHT_PX) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH_PX} {height}" role="img" aria-label="{escape(title)}">'
        f"{''.join(parts)}</svg>"
    )


def _legend(entries: Sequence[tuple[str, bool]]) -> str:
    if len(entries) < 2:
        return ""
    parts = []
    x = float(LEFT_PX + 8)
    for number, (label, dashed) in enumerate(entries):
        color = PALETTE[number % len(PALETTE)]
        dash = ' stroke-dasharray="5 4"' if dashed else ""
        parts.append(
            f'<line x1="{x}" x2="{x + 16}" y1="9" y2="9" stroke="{color}" stroke-width="2"{dash}/>'
            f'<text x="{x + 20}" y="13">{escape(label)}</text>'
        )
        x += 34 + 6.3 * len(label)
    return "".join(parts)


def _range(columns: Sequence[Values], *, zero: bool) -> tuple[float, float]:
    finite = [column[np.isfinite(column)] for column in columns]
    joined = np.concatenate(finite) if finite else np.zeros(0)
    if not joined.size:
        return (0.0, 1.0)
    low, high = float(joined.min()), float(joined.max())
    return (min(low, 0.0), high * 1.05 if high > 0 else high) if zero else (low, high)


def _widened(limits: tuple[float, float]) -> tuple[float, float]:
    low, high = limits
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def _ticks(low: float, high: float, most: int = 6) -> list[float]:
    raw = (high - low) / most
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(number * step, 10) for number in range(first, last + 1)]


def _thinned(x: Values, y: Values) -> tuple[Values, Values]:
    """At most 700 points; of each group of neighbours the lowest and the highest stay."""
    if len(x) <= MAX_POINTS:
        return x, y
    kept: list[int] = []
    for group in np.array_split(np.arange(len(x)), MAX_POINTS // 2):
        values = y[group]
        if np.isnan(values).all():
            kept.append(int(group[0]))
            continue
        ends = {int(group[np.nanargmin(values)]), int(group[np.nanargmax(values)])}
        kept += sorted(ends)
    return x[kept], y[kept]
