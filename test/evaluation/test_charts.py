"""Charts and pages: the same bytes for the same numbers, and names that are only names."""

from __future__ import annotations

import base64
import re
from xml.etree import ElementTree

import numpy as np
import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")

from yolact_ros.evaluation.charts import Series, bar_chart, histogram, line_chart
from yolact_ros.evaluation.template import render

NAMES = ("<script>alert(1)</script>", "$10 & $20", "_hidden")


def series(label: str, count: int = 5, **options: bool) -> Series:
    x = np.linspace(0.0, 4.0, count)
    return Series(label, x, np.sin(x), **options)


def svg(address: str) -> ElementTree.Element:
    kind, _, content = address.partition(",")
    assert kind == "data:image/svg+xml;base64"
    return ElementTree.fromstring(base64.b64decode(content))


def texts(address: str) -> list[str]:
    return ["".join(element.itertext()).strip() for element in svg(address).iter() if
            element.tag.endswith("}text")]  # fmt: skip


def test_names_are_shown_as_they_are_written() -> None:
    lines = [series(name) for name in NAMES]
    assert set(NAMES) <= set(texts(line_chart(lines, x_label="time, s", y_label="ms")))
    bars = bar_chart(NAMES, [1, 2, 3], x_label="AP", intervals=[(0, 2), (1, 3), (2, 4)])
    assert set(NAMES) <= set(texts(bars))


def test_the_same_numbers_make_the_same_bytes() -> None:
    def draw() -> tuple[str, ...]:
        lines = [series("a", step=True), series("b", dashed=True)]
        values_ms = np.linspace(1.0, 30.0, 50)
        return (
            line_chart(lines, x_label="x", y_label="y"),
            histogram(values_ms, x_label="total, ms", limit=20.0),
            bar_chart(["a"], [2.0], x_label="AP", intervals=[(1.0, 3.0)]),
        )

    assert draw() == draw()


def test_the_settings_of_the_user_change_nothing() -> None:
    import matplotlib as mpl

    def chart() -> str:
        return line_chart([series("a")], x_label="x", y_label="y")

    usual = chart()
    with mpl.rc_context({"font.size": 30, "lines.linewidth": 9, "text.usetex": True}):
        assert chart() == usual


def test_bars_of_one_name_stay_apart() -> None:
    bars = bar_chart(["run", "run"], [10.0, 20.0], x_label="AP", intervals=[(9, 11), (19, 21)])
    assert [text for text in texts(bars) if text in ("run", "10.0", "20.0")].count("run") == 2
    assert {"10.0", "20.0"} <= set(texts(bars))


def test_an_interval_may_lie_beside_its_value_or_be_unknown() -> None:
    nan = float("nan")
    bars = bar_chart(["a", "b"], [5.0, nan], x_label="AP", intervals=[(6.0, 7.0), (nan, nan)])
    assert {"5.0", "–"} <= set(texts(bars))  # noqa: RUF001


def test_a_long_line_keeps_its_peaks_and_stays_small() -> None:
    y = np.random.default_rng(0).normal(size=100_000)
    y[54_321] = 1000.0
    address = line_chart([Series("a", np.arange(y.size) * 1.0, y)], x_label="x", y_label="y")
    assert len(address) < 100_000
    assert "1000" in texts(address)


def test_a_line_of_one_point_is_seen() -> None:
    point = Series("a", np.array([1.0]), np.array([2.0]))
    address = line_chart([point], x_label="x", y_label="y")
    places = [element.get("x") for element in svg(address).iter() if element.tag.endswith("}use")]
    ticks = [text for text in texts(address) if re.fullmatch(r"[\d.]+", text)]
    assert len(places) > len(ticks)


def test_a_histogram_gathers_what_is_beyond_its_end() -> None:
    values_ms = np.array([10.0] * 999 + [1e6])
    assert "1000000" not in texts(histogram(values_ms, x_label="total, ms"))
    assert histogram(np.array([np.nan]), x_label="total, ms") == ""


def test_a_page_escapes_every_value() -> None:
    page = render(
        "bag_comparison.html",
        title=NAMES[0],
        subtitle=NAMES[0],
        first={"name": NAMES[0]},
        headline=[(NAMES[0], NAMES[1], True)],
        broken=NAMES,
        differences=[({"name": NAMES[0], "settings": [NAMES[:2]]}, [(*NAMES, "", "worse")])],
        tags=[({"name": NAMES[0]}, [[*NAMES[:2]]])],
        tag_columns=[NAMES[0]],
        trend=[],
        changed_bags=[({"name": NAMES[0]}, [(NAMES[1], 0.5, 0.75)])],
        accuracy=[],
        classes=[(NAMES[0], 3, [0.5, None])],
        class_columns=[*NAMES[:2]],
        timing=[],
        changed_frames=[({"name": NAMES[0]}, [(3, 0.5, 0.25)])],
        command=NAMES[0],
    )
    assert "<script" not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 10
    assert "-0.25" in page
    assert "+0.250" in page
    assert "50.0" in page


def test_a_value_that_a_page_lacks_is_an_error() -> None:
    with pytest.raises(Exception, match="undefined"):
        render("page.html", title="a")
