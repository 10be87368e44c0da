"""What is detected for a tracker, what of it is reported, and what the budget knows of it."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch

from yolact_ros.config import YolactConfig
from yolact_ros.inference.predictor import DetectedFrame, Predictor
from yolact_ros.inference.quality.runner import BudgetRunner
from yolact_ros.inference.settings import NMS_NAMES, PredictionSettings
from yolact_ros.inference.tracking import detection_settings, follow_in, follow_objects
from yolact_ros.models import build_network
from yolact_ros.tracking import TRACKERS, Tracker, TrackerName, TrackerSettings, Tracks

IMAGE_BGR = np.random.default_rng(0).integers(0, 255, (120, 160, 3)).astype(np.uint8)
BYTETRACK = TrackerSettings("bytetrack")


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    """Random weights whose scores reach from 0 to 1."""
    torch.manual_seed(3)
    config = YolactConfig(
        name="tiny",
        backbone="efficientnet_lite0",
        input_size_px=64,
        class_names=("a", "b", "c"),
        num_prototypes=4,
        fpn_channels=16,
        proto_channels=16,
    )
    network = build_network(config).eval()
    head = network.prediction_layers[0]
    with torch.no_grad():
        logits = network(torch.randn(1, 3, 64, 64)).class_logits
        head.conf_layer.weight *= 2.0 / logits.std()
    return Predictor(network, device="cpu")


@pytest.mark.parametrize("nms", NMS_NAMES)
@pytest.mark.parametrize("name", TRACKERS)
@pytest.mark.parametrize("score_threshold", [0.05, 0.3, 0.5])
@pytest.mark.parametrize("top_k", [3, 40])
def test_a_tracker_changes_nothing_about_what_is_reported(
    predictor: Predictor, nms: str, name: TrackerName, score_threshold: float, top_k: int
) -> None:
    settings = PredictionSettings(score_threshold=score_threshold, top_k=top_k, nms=nms)  # type: ignore[arg-type]
    predictor.settings = settings
    alone = predictor.predict(IMAGE_BGR)
    tracker = TrackerSettings(name)
    runner = BudgetRunner({64: predictor}, settings, budget_ms=0.0, tracker=tracker)

    result = runner.predict(
        runner.begin(0.0), IMAGE_BGR, follow=follow_in(Tracker(tracker), IMAGE_BGR, 1.0)
    )

    assert result is not None
    found = result[0]
    assert len(found) > 0
    np.testing.assert_array_equal(found.boxes_xyxy, alone.boxes_xyxy)
    np.testing.assert_array_equal(found.scores, alone.scores)
    assert [crop.bits.tolist() for crop in found.mask_crops] == [
        crop.bits.tolist() for crop in alone.mask_crops
    ]
    assert sorted(found.track_ids.tolist()) == list(range(1, len(found) + 1))


def test_the_tracker_sees_what_is_below_the_threshold_with_boxes_in_pixels(
    predictor: Predictor,
) -> None:
    seen: list[tuple[DetectedFrame, int]] = []

    def follow(frame: DetectedFrame, reported: int) -> Tracks:
        seen.append((frame, reported))
        return Tracks(*np.zeros((2, len(frame.detections)), np.int64))

    settings = PredictionSettings(score_threshold=0.9, top_k=150)
    runner = BudgetRunner({64: predictor}, settings, budget_ms=0.0, tracker=BYTETRACK)
    result = runner.predict(runner.begin(0.0), IMAGE_BGR, follow=follow)

    ((frame, reported),) = seen
    scores = frame.detections.scores
    assert 0 < reported < len(scores)
    assert scores[:reported].min() > 0.9 >= scores[reported]
    assert scores.min() > 0.1
    assert result is not None
    assert len(result[0]) == reported


def test_a_tracker_that_takes_no_low_scores_and_yolact_plus_plus_detect_as_without() -> None:
    settings, ocsort = PredictionSettings(), TrackerSettings("ocsort")

    for tracker, rescores in ((None, False), (ocsort, False), (BYTETRACK, True)):
        assert detection_settings(settings, tracker, rescores_masks=rescores) == settings
    lowered = detection_settings(settings, BYTETRACK, rescores_masks=False)
    assert (lowered.score_threshold, lowered.top_k) == (0.1, 45)


def test_the_time_of_tracking_is_postprocessing_and_is_gone_before_the_masks_are_planned(
    predictor: Predictor,
) -> None:
    now_ms = [1000.0]
    settings = PredictionSettings(score_threshold=0.3, top_k=10)
    runner = BudgetRunner(
        {64: predictor}, settings, budget_ms=50.0, tracker=BYTETRACK, clock_ms=lambda: now_ms[0]
    )

    def slow(frame: DetectedFrame, reported: int) -> Tracks:
        now_ms[0] += 49.5
        return Tracks(*np.zeros((2, len(frame.detections)), np.int64))

    def sleeping(frame: DetectedFrame, reported: int) -> Tracks:
        time.sleep(0.02)
        return slow(frame, reported)

    result = runner.predict(runner.begin(now_ms[0]), IMAGE_BGR, follow=slow)

    assert result is not None
    # What follow_objects takes by its own clock, whatever this test's says.
    frame = predictor.detect(IMAGE_BGR)
    followed, _ = follow_objects(frame, settings, sleeping)
    assert followed.times.postprocess_ms >= frame.times.postprocess_ms + 20.0
    # Half a millisecond is left: no time for masks.
    assert result[0].mask_crops == ()
    assert runner.finish().total_ms == pytest.approx(99.0)
