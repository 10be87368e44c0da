"""Several cameras on one network, through the node's slots and worker, without ROS."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from yolact_ros.evaluation.benchmark.scaling import Curve
from yolact_ros.evaluation.benchmark.spread import Spread
from yolact_ros.inference.predictor import Predictor
from yolact_ros.inference.slots import TakenItem
from yolact_ros.inference.worker import SlotWorker

__all__ = ["CAMERAS", "camera_curve"]

CAMERAS = (1, 2, 3, 4)


@dataclass(frozen=True)
class _Sent:
    sent_s: float
    image_bgr: NDArray[np.uint8]


def camera_curve(
    predictor: Predictor,
    *,
    image_bgr: NDArray[np.uint8],
    rate_hz: float,
    duration_s: float,
    counts: Sequence[int] = CAMERAS,
) -> Curve:
    """Latency of a frame and frames a second, for each number of cameras.

    Args:
        predictor: warmed up.
        image_bgr: uint8[H, W, 3], what every camera sees.
        rate_hz: of each camera; they run out of step.
        duration_s: for each number of cameras.
        counts: numbers of cameras.

    Returns:
        Curve: ``latency`` from arrival to result; notes: results a second of all cameras
        together, and per cent of the frames that a newer one replaced.

    Raises:
        YolactError: the network failed on a frame.
    """
    latencies: list[Spread] = []
    rates_hz: list[float] = []
    replaced_percent: list[float] = []
    for count in counts:
        latencies_ms, sent, taken_s = _play(predictor, image_bgr, count, rate_hz, duration_s)
        latencies.append(Spread.of(latencies_ms))
        rates_hz.append(len(latencies_ms) / taken_s)
        replaced_percent.append(100.0 * (sent - len(latencies_ms)) / sent)
    return Curve(
        name="cameras",
        values=tuple(counts),
        series={"latency": tuple(latencies)},
        notes={"results_hz": tuple(rates_hz), "replaced_percent": tuple(replaced_percent)},
    )


def _play(
    predictor: Predictor,
    image_bgr: NDArray[np.uint8],
    cameras: int,
    rate_hz: float,
    duration_s: float,
) -> tuple[list[float], int, float]:
    """Latencies of the results, frames sent, and seconds from first frame to last result."""
    latencies_ms: list[float] = []
    failures: list[Exception] = []

    def work(taken: TakenItem[int, _Sent]) -> None:
        predictor.predict(taken.item.image_bgr)
        latencies_ms.append((time.perf_counter() - taken.item.sent_s) * 1e3)

    worker = SlotWorker[int, _Sent]("yolact cameras", work, failures.append)
    worker.start()
    begun_s = time.perf_counter()
    frames = max(round(duration_s * rate_hz), 1) * cameras
    for index in range(frames):
        due_s = begun_s + index / (rate_hz * cameras)
        time.sleep(max(due_s - time.perf_counter(), 0.0))
        now_s = time.perf_counter()
        worker.slots.put(index % cameras, _Sent(now_s, image_bgr), now_s)
    # The last frame of every camera is still worked on, so that there is a result at all.
    while len(worker.slots) and not failures:
        time.sleep(0.001)
    worker.stop()
    if failures:
        raise failures[0]
    return latencies_ms, frames, time.perf_counter() - begun_s
