"""Between the network and a tracker: what must be detected for it, and what of it is reported."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from yolact_ros.inference.detected_frame import DetectedFrame
from yolact_ros.inference.settings import MAX_TOP_K, PredictionSettings
from yolact_ros.prediction import Prediction
from yolact_ros.tracking import Tracker, TrackerSettings, Tracks
from yolact_ros.tracking.settings import LOW_SCORE

if TYPE_CHECKING:
    from yolact_ros.inference.predictor import Predictor

__all__ = [
    "Follow",
    "detection_settings",
    "follow_in",
    "follow_objects",
    "tracked_predict",
    "with_tracks",
]

Follow = Callable[[DetectedFrame, int], Tracks]
"""Gives the ids of an image's detections, of which so many, the first ones, are reported."""

# Besides top_k; more low scores than there are objects to keep are of no use.
LOW_DETECTIONS = 30


def detection_settings(
    settings: PredictionSettings, tracker: TrackerSettings | None, *, rescores_masks: bool
) -> PredictionSettings:
    """What the network has to detect so that ``settings`` can be reported and tracked.

    With low scores too where the tracker uses them. Detections come in falling order, and those
    below the threshold suppress none above it, so what is reported stays the same. YOLACT++ ranks
    by another score than the threshold's: with it the tracker has what is reported.
    """
    if tracker is None or rescores_masks or not tracker.uses_low_scores:
        return settings
    return replace(
        settings,
        score_threshold=min(settings.score_threshold, LOW_SCORE),
        top_k=min(settings.top_k + LOW_DETECTIONS, MAX_TOP_K),
    )


def follow_in(tracker: Tracker, image_bgr: NDArray[np.uint8], time_s: float) -> Follow:
    """What follows the objects of one image."""

    def follow(frame: DetectedFrame, num_reported: int) -> Tracks:
        return tracker.update(
            frame.boxes_xyxy,
            frame.detections.class_ids,
            time_s,
            image_size_px=(frame.image_height_px, frame.image_width_px),
            num_reported=num_reported,
            image_bgr=image_bgr,
        )

    return follow


def follow_objects(
    frame: DetectedFrame, settings: PredictionSettings, follow: Follow
) -> tuple[DetectedFrame, Tracks]:
    """The frame with what is reported only, and the ids of that.

    The frame was detected with :func:`detection_settings`; the time that this takes is added to
    its ``postprocess_ms``.
    """
    begun_s = time.perf_counter()
    reported = len(frame.detections)
    if frame.settings != settings:
        above = int((frame.detections.scores > settings.score_threshold).sum())
        reported = min(above, settings.top_k)
    tracks = follow(frame, reported)
    taken_ms = (time.perf_counter() - begun_s) * 1e3
    times = frame.times._replace(postprocess_ms=frame.times.postprocess_ms + taken_ms)
    return replace(frame, detections=frame.detections.first(reported), times=times), tracks


def tracked_predict(
    predictor: Predictor, tracker_settings: TrackerSettings, ids: Iterator[int] | None = None
) -> Callable[[NDArray[np.uint8], float], Prediction]:
    """What finds and follows the objects in the images of one video, in their order.

    It takes an image (uint8[H, W, 3], BGR) and its time in seconds; what it reports is as the
    predictor's settings of the moment say. New ids come from ``ids``, by default from 1 on.

    Raises:
        DependencyError: the package that the tracker needs is not installed.
    """
    tracker = Tracker(tracker_settings, ids)

    def predict(image_bgr: NDArray[np.uint8], time_s: float) -> Prediction:
        settings = predictor.settings
        predictor.settings = detection_settings(
            settings, tracker_settings, rescores_masks=predictor.rescores_masks
        )
        try:
            frame = predictor.detect(image_bgr)
        finally:
            predictor.settings = settings
        frame, tracks = follow_objects(frame, settings, follow_in(tracker, image_bgr, time_s))
        return with_tracks(predictor.finish(frame)[0], tracks)

    return predict


def with_tracks(prediction: Prediction, tracks: Tracks) -> Prediction:
    """The prediction with the ids of its instances, which are the first detections."""
    count = len(prediction)
    return replace(prediction, track_ids=tracks.ids[:count], track_ages=tracks.ages[:count])
