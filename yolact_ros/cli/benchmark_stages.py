"""The stages of a frame in every runtime, in turns."""

from __future__ import annotations

import argparse
import importlib.util
from dataclasses import asdict
from typing import TYPE_CHECKING

from yolact_ros.dependencies import require
from yolact_ros.evaluation.benchmark.contenders import (
    ContenderName,
    default_contenders,
    open_contenders,
)
from yolact_ros.evaluation.benchmark.machine import LoadMeter, describe_machine
from yolact_ros.evaluation.benchmark.network import random_network, trained_network
from yolact_ros.evaluation.benchmark.plots import plot_stages
from yolact_ros.evaluation.benchmark.sample_images import read_images, synthetic_images
from yolact_ros.evaluation.benchmark.stages import Encode, measure_stages
from yolact_ros.evaluation.benchmark.tables import stage_table
from yolact_ros.evaluation.output_folder import make_output_folder, write_json
from yolact_ros.inference.predictor import choose_device
from yolact_ros.inference.runtimes.selection import default_engine_folder
from yolact_ros.inference.settings import PredictionSettings
from yolact_ros.models.families import network_variant

if TYPE_CHECKING:
    from yolact_ros.models.network import Network
    from yolact_ros.prediction import Prediction

__all__ = ["load_benchmark_network", "run_stages"]

NUM_IMAGES = 16


def load_benchmark_network(args: argparse.Namespace, input_size_px: int) -> Network:
    """The trained model or the variant that the options name; input size 0 is its own."""
    if not args.variant:
        return trained_network(args.model, input_size_px=input_size_px)
    config = network_variant(args.variant)
    return random_network(config.with_input_size(input_size_px) if input_size_px else config)


def run_stages(args: argparse.Namespace, settings: PredictionSettings) -> int:
    """Measure, print, save; 0."""
    device = choose_device(args.device)
    names = [ContenderName.parse(text, args.precision) for text in args.runtimes]
    names = names or list(default_contenders(device, args.precision))
    output = make_output_folder(args.output)
    require("matplotlib", extra="benchmark")
    if args.images:
        images = read_images(args.images, NUM_IMAGES, args.image_size)
    else:
        images = synthetic_images(args.image_size, NUM_IMAGES)
    model = load_benchmark_network(args, args.input_size)
    machine = describe_machine(str(device))
    print(
        f"{machine['cpu']}, {machine['torch_threads']} threads; opening the runtimes", flush=True
    )
    contenders, left_out = open_contenders(
        names,
        model,
        device=device,
        settings=settings,
        cache_folder=default_engine_folder(),
        calibration_folder=args.calibration,
    )
    meter = LoadMeter()
    try:
        results = measure_stages(contenders, images, rounds=args.rounds, encode=_encoder())
    finally:
        for contender in contenders:
            contender.predictor.close()
    load = meter.read()

    network = args.variant or args.model
    width_px, height_px = args.image_size
    title = (
        f"{network} at {model.config.input_size_px} px, images of {width_px}x{height_px}, "
        f"{results[0].instances:.1f} instances, {args.rounds} rounds"
    )
    print(f"\n{title}: medians in ms, ratios against {results[0].label}\n")
    print(stage_table(results))
    for out in left_out:
        print(f"left out: {out.name}: {out.reason}")
    if load.warning:
        print(load.warning)
    write_json(
        output / "stages.json",
        {
            "benchmark": "stages",
            "title": title,
            "network": network,
            "input_size_px": model.config.input_size_px,
            "image_size_px": [width_px, height_px],
            "rounds": args.rounds,
            "environment": machine,
            "load": asdict(load),
            "results": [asdict(result) for result in results],
            "left_out": [asdict(out) for out in left_out],
        },
    )
    plot_stages(results, title, output / "stages.png")
    print(f"files: {output / 'stages.json'}  {output / 'stages.png'}")
    return 0


def _encoder() -> Encode | None:
    """Makes the node's message of a prediction; None where its messages are not built."""
    if any(importlib.util.find_spec(name) is None for name in ("rclpy", "yolact_ros.msg")):
        return None
    from yolact_ros.inference.cdr import MessageHeader
    from yolact_ros.ros.conversions import to_instance_array

    header = MessageHeader(0, 0, "camera")

    def encode(prediction: Prediction) -> object:
        return to_instance_array(header, prediction, "bits")

    return encode
