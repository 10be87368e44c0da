"""Scaling curves: scenes with a known number of instances, other sizes and k, more cameras."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch

from yolact_ros.errors import YolactError
from yolact_ros.evaluation.benchmark.network import random_network, trained_network
from yolact_ros.evaluation.benchmark.plots import plot_curves
from yolact_ros.evaluation.benchmark.scaling import Curve, instance_curve, network_curve
from yolact_ros.evaluation.benchmark.scaling_cameras import camera_curve
from yolact_ros.evaluation.benchmark.scenes import BOX_SHARE, make_scene
from yolact_ros.evaluation.benchmark.spread import Spread
from yolact_ros.evaluation.benchmark.tables import curve_table
from yolact_ros.evaluation.text import markdown_table
from yolact_ros.inference.postprocess import Postprocessor
from yolact_ros.inference.predictor import Predictor
from yolact_ros.inference.settings import PredictionSettings

CPU = torch.device("cpu")
GREY = np.full((48, 64, 3), 90, np.uint8)


@pytest.fixture(scope="module")
def network(tiny_model):
    return trained_network(tiny_model)


@pytest.mark.parametrize("count", [0, 1, 7, 100])
def test_a_scene_has_as_many_instances_as_asked_for_in_boxes_of_a_grid(network, count):
    scene = make_scene(network.config, network.priors, count, prototype_side=16)
    settings = PredictionSettings(score_threshold=0.3, top_k=100)
    postprocessor = Postprocessor(network.config, network.decoder)
    found = postprocessor.assemble(
        postprocessor.detect(scene, settings), scene.prototypes[0], 480, 640
    )
    assert len(found) == len(found.mask_crops) == count
    columns = int(np.ceil(np.sqrt(count)))
    for x_min, y_min, x_max, y_max in found.boxes_xyxy:
        assert x_max - x_min == pytest.approx(BOX_SHARE * 640 / columns, rel=1e-3)
        assert y_max - y_min == pytest.approx(BOX_SHARE * 480 / columns, rel=1e-3)
    if count:
        assert any(mask.bits.any() for mask in found.mask_crops)


def test_nms_and_masks_are_timed_for_every_number_of_instances(network):
    curve = instance_curve(network, image_size_px=(640, 480), rounds=3, counts=(0, 10, 100))
    assert curve.values == (0, 10, 100)
    assert {name: len(spreads) for name, spreads in curve.series.items()} == {"nms": 3, "masks": 3}
    assert all(spread.count == 3 for spread in curve.series["masks"])
    # A hundred masks are some thirty times the work of none; a busy machine is not.
    assert curve.series["masks"][2].min_ms > curve.series["masks"][0].min_ms


def test_a_scene_that_comes_out_otherwise_is_an_error(network, monkeypatch):
    monkeypatch.setattr(
        "yolact_ros.evaluation.benchmark.scaling.make_scene",
        lambda config, priors, count, prototype_side: make_scene(
            config, priors, count + 1, prototype_side=prototype_side
        ),
    )
    with pytest.raises(YolactError, match="6 instances came out of a scene of 5"):
        instance_curve(network, image_size_px=(64, 48), rounds=1, counts=(5, 20))


def test_every_network_of_a_curve_is_timed_and_closed(network):
    made = []

    def predictor(side_px):
        made.append(Predictor(random_network(network.config.with_input_size(side_px)), device=CPU))
        return made[-1]

    curve = network_curve("input size", (64, 128), predictor, image_bgr=GREY, rounds=2)
    assert curve.values == (64, 128)
    assert set(curve.series) == {"network", "whole", "cpu"}
    for spread in (spreads[index] for spreads in curve.series.values() for index in (0, 1)):
        assert spread.count == 2
        assert spread.min_ms > 0
    for index in (0, 1):
        assert curve.series["whole"][index].min_ms > curve.series["network"][index].min_ms
    for closed in made:
        with pytest.raises(YolactError, match="closed"):
            closed.predict(GREY)


class SlowPredictor:
    """Stands in for a predictor that takes 10 ms."""

    def __init__(self, fails: bool = False) -> None:
        self.frames = 0
        self.fails = fails

    def predict(self, image_bgr):
        self.frames += 1
        if self.fails:
            raise YolactError("the network produced NaN")
        time.sleep(0.01)


def test_more_cameras_than_there_is_time_for_lose_frames_and_not_freshness():
    predictor = SlowPredictor()
    curve = camera_curve(
        predictor, image_bgr=GREY, rate_hz=50, duration_s=0.5, counts=(1, 4)
    )  # 50 and 200 frames a second, at most 100 of them worked on
    assert curve.values == (1, 4)
    assert len(curve.notes["results_hz"]) == 2
    assert curve.notes["replaced_percent"][1] > 20
    assert 0 < curve.notes["results_hz"][1] <= 101
    assert curve.series["latency"][0].count + curve.series["latency"][1].count == predictor.frames


def test_a_network_that_fails_ends_the_curve():
    with pytest.raises(YolactError, match="NaN"):
        camera_curve(
            SlowPredictor(fails=True), image_bgr=GREY, rate_hz=100, duration_s=0.1, counts=(2,)
        )


def a_curve(name: str, **notes: tuple[float, ...]) -> Curve:
    spreads = tuple(Spread(3, 1.0, 1.1, median, 2 * median) for median in (2.0, 30.0))
    return Curve(name, (1, 2), {"latency": spreads}, notes)


def test_a_table_has_a_row_for_each_value():
    lines = curve_table(a_curve("cameras", results_hz=(10.0, 20.5))).splitlines()
    assert lines[0].split("|")[1:-1] == [" cameras ", " latency ms (p95) ", " results_hz "]
    assert lines[3].split("|")[1:-1] == [" 2       ", "    30.00 (60.00) ", "       20.5 "]
    assert len({len(line) for line in lines}) == 1


def test_a_table_without_rows_has_its_header():
    assert markdown_table(["a", "bc"], []).splitlines() == ["| a | bc |", "|---|---:|"]


def test_each_curve_has_a_panel(tmp_path):
    pytest.importorskip("matplotlib")
    import cv2

    curves = [a_curve("instances"), a_curve("prototypes"), a_curve("cameras", results_hz=(1, 2))]
    plot_curves(curves, "title", tmp_path / "curves.png")
    assert cv2.imread(str(tmp_path / "curves.png")).std() > 5
