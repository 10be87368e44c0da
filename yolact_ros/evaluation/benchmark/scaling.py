"""How the cost grows: with instances, input size and prototypes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from yolact_ros.errors import YolactError
from yolact_ros.evaluation.benchmark.scenes import make_scene
from yolact_ros.evaluation.benchmark.spread import Spread
from yolact_ros.evaluation.benchmark.stages import time_frame
from yolact_ros.inference.postprocess import Postprocessor
from yolact_ros.inference.predictor import Predictor
from yolact_ros.inference.settings import PredictionSettings
from yolact_ros.models.yolact import Yolact
from yolact_ros.ops.prior_decoder import PriorDecoder

__all__ = [
    "INPUT_SIZES_PX",
    "INSTANCES",
    "PROTOTYPES",
    "Curve",
    "instance_curve",
    "network_curve",
]

INSTANCES = (0, 5, 15, 28, 50, 75, 100)
INPUT_SIZES_PX = (300, 400, 550, 700)
PROTOTYPES = (8, 16, 32, 64, 128, 256)
"""The values of table 2b of the paper."""


@dataclass(frozen=True)
class Curve:
    """Times over one quantity.

    Attributes:
        name: of the quantity.
        values: of it.
        series: by name, one spread for each value.
        notes: further figures by name, one for each value.
    """

    name: str
    values: tuple[int, ...]
    series: Mapping[str, tuple[Spread, ...]]
    notes: Mapping[str, tuple[float, ...]]


def instance_curve(
    model: Yolact,
    *,
    image_size_px: tuple[int, int],
    rounds: int,
    counts: Sequence[int] = INSTANCES,
) -> Curve:
    """NMS and mask assembly with a given number of instances, on the CPU.

    Args:
        model: whose config, priors and prototypes' size count; its weights do not.
        image_size_px: width and height of the source image.
        rounds: measurements of each count, in turns.
        counts: most is 100.

    Raises:
        YolactError: the postprocessor reports another number than there is.
    """
    width_px, height_px = image_size_px
    config, priors = model.config, model.priors.cpu()
    side = _prototype_side(model)
    postprocessor = Postprocessor(config, PriorDecoder(priors))
    settings = PredictionSettings(score_threshold=0.3, top_k=max(*counts, 1))
    scenes = [make_scene(config, priors, count, prototype_side=side) for count in counts]

    def run(index: int) -> tuple[float, float]:
        scene = scenes[index]
        begun_s = time.perf_counter()
        detections = postprocessor.detect(scene, settings)
        detected_s = time.perf_counter()
        found = postprocessor.assemble(detections, scene.prototypes[0], height_px, width_px)
        if len(found) != counts[index]:
            raise YolactError(f"{len(found)} instances came out of a scene of {counts[index]}")
        return (detected_s - begun_s) * 1e3, (time.perf_counter() - detected_s) * 1e3

    times_ms = _in_turns(len(scenes), rounds, run)
    return Curve(
        name="instances",
        values=tuple(counts),
        series={
            "nms": tuple(Spread.of([nms_ms for nms_ms, _ in taken]) for taken in times_ms),
            "masks": tuple(Spread.of([masks_ms for _, masks_ms in taken]) for taken in times_ms),
        },
        notes={},
    )


def network_curve(
    name: str,
    values: Sequence[int],
    make_predictor: Callable[[int], Predictor],
    *,
    image_bgr: NDArray[np.uint8],
    rounds: int,
) -> Curve:
    """The network alone and the whole frame for several networks, in turns.

    Args:
        name: of the quantity that they differ in.
        values: of it.
        make_predictor: for one of ``values``; warmed up and closed here.
        image_bgr: uint8[H, W, 3].
        rounds: measurements of each.
    """
    predictors = [make_predictor(value) for value in values]
    try:
        for predictor in predictors:
            predictor.warm_up()

        def run(index: int) -> tuple[float, float, float]:
            time_frame(predictors[index], image_bgr)
            frame = time_frame(predictors[index], image_bgr)
            return frame.stages_ms["network"], frame.whole_ms, frame.cpu_ms

        times_ms = _in_turns(len(predictors), rounds, run)
    finally:
        for predictor in predictors:
            predictor.close()
    series = {
        title: tuple(Spread.of([times[column] for times in taken]) for taken in times_ms)
        for column, title in enumerate(("network", "whole", "cpu"))
    }
    return Curve(name, tuple(values), series, {})


def _in_turns(
    count: int, rounds: int, run: Callable[[int], tuple[float, ...]]
) -> list[list[tuple[float, ...]]]:
    """The results of ``run`` for every index, ``rounds`` of each after one to warm up."""
    results: list[list[tuple[float, ...]]] = [[] for _ in range(count)]
    for turn in range(rounds + 1):
        for index in range(count):
            result = run(index)
            if turn:
                results[index].append(result)
    return results


def _prototype_side(model: Yolact) -> int:
    side = model.config.input_size_px
    parameter = next(model.parameters())
    with torch.inference_mode():
        output = model(torch.zeros(1, 3, side, side, device=parameter.device))
    return int(output.prototypes.shape[1])
