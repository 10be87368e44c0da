"""One frame through all stages, with what each took."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from yolact_ros.evaluation.benchmark.contenders import Contender
from yolact_ros.evaluation.benchmark.memory import MemoryUse
from yolact_ros.evaluation.benchmark.spread import Spread
from yolact_ros.inference.predictor import Predictor
from yolact_ros.prediction import Prediction

__all__ = ["STAGES", "ContenderTimes", "Encode", "FrameTime", "measure_stages", "time_frame"]

Encode = Callable[[Prediction], object]
"""Turns a prediction into what leaves the program."""

STAGES = ("preprocess", "network", "nms", "masks", "encode")
"""In their order; on CUDA ``masks`` includes what the device still has to do of ``nms``."""


@dataclass(frozen=True)
class FrameTime:
    """What one frame took, in milliseconds.

    Attributes:
        stages_ms: wall time of each of :data:`STAGES`.
        whole_ms: wall time of all of it.
        cpu_ms: CPU time of all threads of the process meanwhile.
        instances: found in it.
    """

    stages_ms: dict[str, float]
    whole_ms: float
    cpu_ms: float
    instances: int


@dataclass(frozen=True)
class ContenderTimes:
    """The times of one contender.

    Attributes:
        label: runtime and precision.
        stages: wall time of each stage.
        whole, cpu: wall and CPU time of a frame.
        network_ratio, whole_ratio, cpu_ratio: how many times faster than the first contender, by
            medians, and by the least times for ``network_min_ratio``.
        instances: mean number found.
        memory: of opening it.
    """

    label: str
    stages: dict[str, Spread]
    whole: Spread
    cpu: Spread
    network_ratio: float
    network_min_ratio: float
    whole_ratio: float
    cpu_ratio: float
    instances: float
    memory: MemoryUse


def time_frame(
    predictor: Predictor, image_bgr: NDArray[np.uint8], encode: Encode | None = None
) -> FrameTime:
    """Send one image (uint8[H, W, 3]) through; without ``encode`` that stage takes 0."""
    cpu_s, begun_s = time.process_time(), time.perf_counter()
    frame = predictor.detect(image_bgr)
    prediction, times = predictor.finish(frame)
    finished_s = time.perf_counter()
    if encode is not None:
        encode(prediction)
    ended_s, cpu_ended_s = time.perf_counter(), time.process_time()
    nms_ms = frame.times.postprocess_ms
    values = (
        times.preprocess_ms,
        times.inference_ms,
        nms_ms,
        times.postprocess_ms - nms_ms,
        (ended_s - finished_s) * 1e3,
    )
    return FrameTime(
        stages_ms=dict(zip(STAGES, values, strict=True)),
        whole_ms=(ended_s - begun_s) * 1e3,
        cpu_ms=(cpu_ended_s - cpu_s) * 1e3,
        instances=len(prediction),
    )


def measure_stages(
    contenders: Sequence[Contender],
    images_bgr: Sequence[NDArray[np.uint8]],
    *,
    rounds: int,
    encode: Encode | None = None,
) -> list[ContenderTimes]:
    """Time all contenders in turns, so that whatever disturbs one disturbs all.

    Each turn sends the image through twice and times the second: the first finds the caches full
    of another contender's data, which a node that runs alone never sees.

    Args:
        contenders: warmed up; the first is what the others are compared with.
        images_bgr: uint8[H, W, 3] each, used one after the other.
        rounds: turns of each.
        encode: the last stage; None leaves it out.
    """
    frames: list[list[FrameTime]] = [[] for _ in contenders]
    for turn in range(rounds):
        image_bgr = images_bgr[turn % len(images_bgr)]
        for contender, taken in zip(contenders, frames, strict=True):
            time_frame(contender.predictor, image_bgr, encode)
            taken.append(time_frame(contender.predictor, image_bgr, encode))
    stages = STAGES if encode is not None else STAGES[:-1]
    return [
        _times_of(contender, taken, frames[0], stages)
        for contender, taken in zip(contenders, frames, strict=True)
    ]


def _times_of(
    contender: Contender,
    frames: Sequence[FrameTime],
    reference: Sequence[FrameTime],
    stages: Iterable[str],
) -> ContenderTimes:
    spreads = {stage: Spread.of([frame.stages_ms[stage] for frame in frames]) for stage in stages}
    whole = Spread.of([frame.whole_ms for frame in frames])
    cpu = Spread.of([frame.cpu_ms for frame in frames])
    network = Spread.of([frame.stages_ms["network"] for frame in reference])
    return ContenderTimes(
        label=contender.label,
        stages=spreads,
        whole=whole,
        cpu=cpu,
        network_ratio=_ratio(network.median_ms, spreads["network"].median_ms),
        network_min_ratio=_ratio(network.min_ms, spreads["network"].min_ms),
        whole_ratio=_ratio(
            Spread.of([frame.whole_ms for frame in reference]).median_ms, whole.median_ms
        ),
        cpu_ratio=_ratio(
            Spread.of([frame.cpu_ms for frame in reference]).median_ms, cpu.median_ms
        ),
        instances=float(np.mean([frame.instances for frame in frames])),
        memory=contender.memory,
    )


def _ratio(reference_ms: float, own_ms: float) -> float:
    return reference_ms / own_ms if own_ms > 0.0 else 0.0
