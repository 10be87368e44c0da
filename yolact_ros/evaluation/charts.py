"""Charts by matplotlib: files for documents, and SVG inside a page."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from yolact_ros.dependencies import require
from yolact_ros.errors import ConfigError
from yolact_ros.evaluation.text import number

__all__ = [
    "COLOURS",
    "Series",
    "bar_chart",
    "chart_style",
    "histogram",
    "line_chart",
    "new_figure",
    "save_figure",
]

# Okabe and Ito's colours, which stay apart for colour-blind readers.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#555555")
DPI = 100
WIDTH_IN, HEIGHT_IN = 5.8, 2.7
MAX_POINTS = 700

_STYLE = {
    "axes.axisbelow": True,
    "axes.edgecolor": "#8a94a3",
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.labelcolor": "#5a6474",
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.subplot.bottom": 0.17,
    "figure.subplot.left": 0.14,
    "figure.subplot.right": 0.97,
    "figure.subplot.top": 0.88,
    "font.size": 9,
    "grid.color": "#e6eaee",
    "legend.frameon": False,
    "lines.linewidth": 1.3,
    # The same numbers make the same bytes.
    "svg.hashsalt": "yolact_ros",
    # The reader's fonts: a tenth of the size of outlines.
    "svg.fonttype": "none",
    # A dollar in the name of a class or a run is a dollar, not the start of a formula.
    "text.parse_math": False,
    "xtick.color": "#5a6474",
    "ytick.color": "#5a6474",
}

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Series:
    """One line of a chart.

    Attributes:
        label: in the legend.
        x, y (float64[n]): finite numbers.
        step: hold each value until the next instead of joining them.
        dashed: draw it dashed, for limits and references.
    """

    label: str
    x: Values
    y: Values
    step: bool = False
    dashed: bool = False


@contextmanager
def chart_style() -> Iterator[None]:
    """Draw in the style of the reports, whatever the user's own settings of matplotlib are.

    Raises:
        DependencyError: matplotlib is not installed.
    """
    with require("matplotlib.style", extra="bag").context(["default", _STYLE]):
        yield


def new_figure(
    width_in: float = WIDTH_IN, height_in: float = HEIGHT_IN, *, layout: str = "constrained"
) -> Any:
    """An empty figure.

    Args:
        width_in, height_in: its size.
        layout: "constrained" makes room for its labels, whatever they are, and draws it twice;
            "none" has margins for the numbers of an axis: 22 ms a chart in place of 47, where
            charts are most of what a small bag costs.

    Raises:
        DependencyError: matplotlib is not installed.
    """
    figure = require("matplotlib.figure", extra="bag").Figure
    return figure(figsize=(width_in, height_in), layout=layout)


def save_figure(figure: Any, path: Path) -> None:
    """Write a figure as the format that the file's name says.

    Raises:
        ConfigError: the file cannot be written.
    """
    try:
        figure.savefig(path, dpi=DPI)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror or error}") from error


@chart_style()
def line_chart(
    series: Sequence[Series],
    *,
    x_label: str,
    y_label: str,
    x_range: tuple[float, float] | None = None,
    y_range: tuple[float, float] | None = None,
) -> str:
    """Lines with a legend, as a ``data:`` address. Long lines are thinned to what can be seen.

    Args:
        series: of the lines.
        x_label, y_label: of the axes.
        x_range, y_range: ends of the axes; None takes the data's, with zero on the y axis.

    Raises:
        DependencyError: matplotlib is not installed.
    """
    figure = new_figure(layout="none")
    axes = figure.subplots()
    lines = []
    for colour, line in zip(_colours(len(series)), series, strict=True):
        x, y = _thinned(line.x, line.y)
        lines += axes.plot(
            x,
            y,
            color=colour,
            linestyle="--" if line.dashed else "-",
            drawstyle="steps-post" if line.step else "default",
            marker="." if len(x) == 1 else None,  # a line of one point would not be seen
        )
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.margins(x=0)
    axes.set_xlim(x_range)
    axes.set_ylim(y_range)
    if y_range is None:
        axes.set_ylim(min(axes.get_ylim()[0], 0.0) if _lowest(series) < 0 else 0.0)
    if len(series) > 1:
        _legend(axes, lines, [line.label for line in series])
    return _address(figure)


@chart_style()
def histogram(values: Values, *, x_label: str, limit: float | None = None) -> str:
    """Share of the values in each bin, as a ``data:`` address; empty without a finite value.

    The axis ends at the 99.5th percentile (or the limit), and the last bin holds what is beyond.

    Args:
        values (float64[n]): NaN is passed over.
        x_label: of the axis.
        limit: marked by a dashed line.

    Raises:
        DependencyError: matplotlib is not installed.
    """
    finite = values[np.isfinite(values)]
    if not finite.size:
        return ""
    low = min(0.0, float(finite.min()))
    top = max(float(np.percentile(finite, 99.5)), 1.1 * (limit or 0.0))
    top = top if top > low else low + 1.0
    figure = new_figure(layout="none")
    axes = figure.subplots()
    shares = np.full(finite.size, 100 / finite.size)
    _, _, bars = axes.hist(
        np.minimum(finite, top),
        bins=40,
        range=(low, top),
        weights=shares,
        color=COLOURS[0],
        rwidth=0.9,
    )
    axes.set_xlabel(x_label)
    axes.set_ylabel("frames, %")
    if limit is not None:
        line = axes.axvline(limit, color=COLOURS[1], linestyle="--")
        _legend(axes, [bars, line], ["frames", f"budget {limit:g} ms"])
    return _address(figure)


@chart_style()
def bar_chart(
    labels: Sequence[str],
    values: Sequence[float],
    *,
    x_label: str,
    intervals: Sequence[tuple[float, float]],
) -> str:
    """One horizontal bar a label with its interval as a line, as a ``data:`` address.

    Raises:
        DependencyError: matplotlib is not installed.
    """
    figure = new_figure(height_in=0.7 + 0.32 * len(labels))
    axes = figure.subplots()
    places = np.arange(len(labels))
    axes.barh(places, values, height=0.65, color=COLOURS[0])
    lows, highs = np.array(intervals, np.float64).reshape(-1, 2).T
    axes.hlines(places, lows, highs, color="#000000", linewidth=1.5)
    ends = np.nan_to_num(np.fmax(values, highs))
    for place, value, end in zip(places, values, ends, strict=True):
        axes.annotate(
            number(value, 1), (end, place), (4, 0), textcoords="offset points", va="center"
        )
    axes.set_yticks(places, labels)
    axes.invert_yaxis()
    axes.grid(visible=False)
    axes.margins(x=0.1)
    axes.set_xlim(left=0)
    axes.set_xlabel(x_label)
    return _address(figure)


def _colours(count: int) -> list[str]:
    return [COLOURS[number % len(COLOURS)] for number in range(count)]


def _lowest(series: Sequence[Series]) -> float:
    return min((float(line.y.min()) for line in series if line.y.size), default=0.0)


def _legend(axes: Any, artists: Sequence[Any], labels: Sequence[str]) -> None:
    axes.legend(artists, labels, loc="lower left", bbox_to_anchor=(0, 1), ncols=4)


def _address(figure: Any) -> str:
    file = io.BytesIO()
    figure.savefig(file, format="svg", metadata={"Date": None})
    return "data:image/svg+xml;base64," + base64.b64encode(file.getvalue()).decode()


def _thinned(x: Values, y: Values) -> tuple[Values, Values]:
    """At most 700 points; of each group of neighbours the lowest and the highest stay."""
    if len(x) <= MAX_POINTS:
        return x, y
    kept: list[int] = []
    for group in np.array_split(np.arange(len(x)), MAX_POINTS // 2):
        kept += sorted({int(group[np.argmin(y[group])]), int(group[np.argmax(y[group])])})
    return x[kept], y[kept]
