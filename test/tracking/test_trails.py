"""The way that objects came, for pictures."""

from __future__ import annotations

import numpy as np
import pytest

from yolact_ros.palette import track_colors_bgr
from yolact_ros.prediction import Prediction
from yolact_ros.tracking import Trails
from yolact_ros.visualization import caption, draw_overlay


def seen(**middles: float) -> Prediction:
    """Objects by their id, such as ``_7``, with the x of their middle."""
    ids = np.array([int(name[1:]) for name in middles], np.int64)
    boxes = [(x - 5, 10, x + 5, 30) for x in middles.values()]
    return Prediction(
        100, 200, np.zeros(len(ids), np.int64), np.full(len(ids), 0.5, np.float32),
        np.array(boxes, np.float32).reshape(-1, 4), class_names=("person",),
        track_ids=ids, track_ages=ids,
    )  # fmt: skip


def test_a_trail_is_the_last_second_of_an_object_that_is_seen() -> None:
    trails = Trails()

    trails.add(seen(_7=20), 10.0)
    trails.add(seen(_7=30, _8=90), 10.6)
    now = trails.add(seen(_7=40, _0=70), 11.2)

    assert {track_id: points.tolist() for track_id, points in now.items()} == {
        7: [[30, 20], [40, 20]]
    }


def test_a_stamp_that_runs_backwards_begins_anew() -> None:
    trails = Trails()

    trails.add(seen(_7=20), 10.0)

    assert trails.add(seen(_7=30), 9.9)[7].tolist() == [[30, 20]]


def test_the_overlay_shows_id_trail_and_the_colour_of_the_object() -> None:
    prediction = seen(_7=100, _0=30)
    black = np.zeros((100, 200, 3), np.uint8)
    trail = {7: np.array([[20, 60], [180, 60]], np.float32)}

    plain = draw_overlay(black, prediction, color_by="track")
    drawn = draw_overlay(black, prediction, color_by="track", trails=trail)

    (colour, grey) = track_colors_bgr([7, 0])
    assert caption(prediction, 0) == "person #7 0.50"
    assert caption(prediction, 1) == "person 0.50"
    assert not plain[60].any()
    assert drawn[60, 50].tolist() == pytest.approx(colour, abs=30)  # a thin, smooth line
    assert drawn[20, 95].tolist() == list(colour)  # the left edge of its box
    assert drawn[20, 25].tolist() == list(grey)
