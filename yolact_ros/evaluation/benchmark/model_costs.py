"""Measures what a model of the manifest costs on this machine."""

from __future__ import annotations

import statistics

import torch

from yolact_ros.evaluation.benchmark.memory import MemoryMeter
from yolact_ros.evaluation.benchmark.network import random_network, trained_network
from yolact_ros.evaluation.benchmark.sample_images import synthetic_images
from yolact_ros.evaluation.benchmark.stages import time_frame
from yolact_ros.inference.predictor import Predictor
from yolact_ros.inference.runtimes.selection import default_engine_folder, open_runtime
from yolact_ros.models.costs import ModelCost
from yolact_ros.models.families import network_variant
from yolact_ros.models.zoo import ModelStatus

__all__ = ["measure_cost"]

IMAGE_SIZE_PX = (640, 480)
ROUNDS = 9


def measure_cost(status: ModelStatus) -> ModelCost:
    """Run a model; one that is not downloaded runs with random weights, which takes as long.

    Raises:
        YolactError: the model cannot be loaded, or no runtime can run it.
    """
    if status.path is not None:
        network = trained_network(status.path)
        cache_folder = default_engine_folder()
    else:
        network = random_network(network_variant(status.entry.config))
        cache_folder = None  # nobody opens these weights again
    device = torch.device("cpu")
    meter = MemoryMeter(device)
    runtime = open_runtime("auto", network, device=device, cache_folder=cache_folder)
    image_bgr = synthetic_images(IMAGE_SIZE_PX, 1)[0]
    with Predictor(network, device=device, runtime=runtime) as predictor:
        predictor.warm_up()
        memory = meter.read()
        whole_ms = statistics.median(
            time_frame(predictor, image_bgr).whole_ms for _ in range(ROUNDS)
        )
    return ModelCost(
        status.entry.file, whole_ms, memory.peak_mib, f"{runtime.name} {runtime.precision}"
    )
