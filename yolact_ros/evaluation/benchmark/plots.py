"""Benchmarks as pictures; needs matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from yolact_ros.evaluation.benchmark.scaling import Curve
from yolact_ros.evaluation.benchmark.stages import ContenderTimes
from yolact_ros.evaluation.charts import COLOURS, chart_style, new_figure, save_figure

__all__ = ["plot_curves", "plot_stages"]

AXIS_LABELS = {
    "instances": "instances",
    "input size": "network input, px",
    "prototypes": "prototypes (k)",
    "cameras": "cameras",
}


@chart_style()
def plot_stages(results: Sequence[ContenderTimes], title: str, path: Path) -> None:
    """A bar for each contender, made of the medians of its stages."""
    figure = new_figure(8, 1.2 + 0.5 * len(results))
    axes = figure.subplots()
    labels = [result.label for result in results]
    left_ms = [0.0] * len(results)
    for colour, stage in zip(COLOURS, results[0].stages, strict=False):
        widths_ms = [result.stages[stage].median_ms for result in results]
        axes.barh(labels, widths_ms, left=left_ms, color=colour, label=stage)
        left_ms = [left + width for left, width in zip(left_ms, widths_ms, strict=True)]
    for index, result in enumerate(results):
        text = f" {result.whole.median_ms:.1f} ms, {result.whole_ratio:.2f}x"
        axes.text(left_ms[index], index, text, va="center", fontsize=8)
    axes.invert_yaxis()
    axes.margins(x=0.2)
    axes.set_xlabel("median, ms")
    axes.set_title(title, fontsize=9)
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    save_figure(figure, path)


@chart_style()
def plot_curves(curves: Sequence[Curve], title: str, path: Path) -> None:
    """A panel for each curve: medians, with p5 to p95 shaded."""
    rows = -(-len(curves) // 2)
    figure = new_figure(9, 3.2 * rows)
    panels = figure.subplots(rows, 2, squeeze=False)
    for curve, axes in zip(curves, panels.flat, strict=False):
        for colour, (name, spreads) in zip(COLOURS, curve.series.items(), strict=False):
            medians_ms = [spread.median_ms for spread in spreads]
            axes.plot(curve.values, medians_ms, "o-", color=colour, markersize=3, label=name)
            axes.fill_between(
                curve.values,
                [spread.p5_ms for spread in spreads],
                [spread.p95_ms for spread in spreads],
                color=colour,
                alpha=0.2,
                linewidth=0,
            )
        if curve.name == "prototypes":
            axes.set_xscale("log", base=2)
            axes.xaxis.set_major_formatter("{x:g}")
        axes.set_xlabel(AXIS_LABELS.get(curve.name, curve.name))
        axes.set_xticks(curve.values)
        axes.set_ylabel("ms")
        axes.set_ylim(bottom=0)
        if "results_hz" in curve.notes:
            rate = axes.twinx()
            rate.plot(
                curve.values, curve.notes["results_hz"], "s--", color=COLOURS[1], markersize=3
            )
            rate.set_ylabel("results a second", color=COLOURS[1])
            rate.set_ylim(bottom=0)
        axes.legend(fontsize=8, loc="upper left")
    for axes in panels.flat[len(curves) :]:
        axes.set_visible(False)
    figure.suptitle(title, fontsize=9)
    save_figure(figure, path)
