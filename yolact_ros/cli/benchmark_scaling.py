"""Scaling curves: instances, input size, prototypes and cameras."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import asdict, replace

from yolact_ros.cli.benchmark_stages import load_benchmark_network
from yolact_ros.dependencies import require
from yolact_ros.errors import ConfigError
from yolact_ros.evaluation.benchmark.contenders import ContenderName
from yolact_ros.evaluation.benchmark.machine import LoadMeter, describe_machine
from yolact_ros.evaluation.benchmark.network import random_network
from yolact_ros.evaluation.benchmark.plots import plot_curves
from yolact_ros.evaluation.benchmark.sample_images import read_images, synthetic_images
from yolact_ros.evaluation.benchmark.scaling import (
    INPUT_SIZES_PX,
    PROTOTYPES,
    Curve,
    instance_curve,
    network_curve,
)
from yolact_ros.evaluation.benchmark.scaling_cameras import camera_curve
from yolact_ros.evaluation.benchmark.tables import curve_table
from yolact_ros.evaluation.output_folder import make_output_folder, write_json
from yolact_ros.inference.predictor import Predictor, choose_device
from yolact_ros.inference.runtimes.selection import default_engine_folder, open_runtime
from yolact_ros.inference.settings import PredictionSettings
from yolact_ros.models.network import Network
from yolact_ros.models.yolact import Yolact

__all__ = ["run_scaling"]


def run_scaling(args: argparse.Namespace, settings: PredictionSettings) -> int:
    """Measure, print, save; 0."""
    device = choose_device(args.device)
    named = ContenderName.parse(args.runtimes[0] if args.runtimes else "eager", args.precision)
    output = make_output_folder(args.output)
    require("matplotlib", extra="benchmark")
    if args.images:
        image_bgr = read_images(args.images, 1, args.image_size)[0]
    else:
        image_bgr = synthetic_images(args.image_size, 1)[0]
    model = load_benchmark_network(args, args.input_size)
    if not isinstance(model, Yolact):
        raise ConfigError(
            f"--scaling builds networks with other k and needs a YOLACT network, not "
            f"{model.config.name}; name one with --variant or --model"
        )
    machine = describe_machine(str(device))

    def predictor_of(network: Network) -> Predictor:
        runtime = open_runtime(
            named.runtime,
            network,
            device=device,
            precision=named.precision,
            cache_folder=default_engine_folder(),
            calibration_folder=args.calibration,
        )
        return Predictor(network, device=device, settings=settings, runtime=runtime)

    def at_size(size_px: int) -> Predictor:
        return predictor_of(load_benchmark_network(args, size_px))

    def with_prototypes(k: int) -> Predictor:
        # Only fresh weights can have another k.
        return predictor_of(random_network(replace(model.config, num_prototypes=k)))

    def cameras() -> Curve:
        predictor = predictor_of(model)
        try:
            predictor.warm_up()
            return camera_curve(
                predictor, image_bgr=image_bgr, rate_hz=args.rate, duration_s=args.duration
            )
        finally:
            predictor.close()

    measurements: tuple[Callable[[], Curve], ...] = (
        lambda: instance_curve(model, image_size_px=args.image_size, rounds=args.rounds),
        lambda: network_curve(
            "input size", INPUT_SIZES_PX, at_size, image_bgr=image_bgr, rounds=args.rounds
        ),
        lambda: network_curve(
            "prototypes", PROTOTYPES, with_prototypes, image_bgr=image_bgr, rounds=args.rounds
        ),
        cameras,
    )
    network = args.variant or args.model
    title = (
        f"{network} at {model.config.input_size_px} px, {named} on {device}, images of "
        f"{args.image_size[0]}x{args.image_size[1]}"
    )
    print(f"{title}; {machine['cpu']}, {machine['torch_threads']} threads", flush=True)
    meter = LoadMeter()
    curves = []
    for measure in measurements:
        curves.append(measure())
        print(f"\n{curve_table(curves[-1])}", flush=True)
    load = meter.read()
    if load.warning:
        print(load.warning)
    write_json(
        output / "scaling.json",
        {
            "benchmark": "scaling",
            "title": title,
            "network": network,
            "runtime": str(named),
            "rounds": args.rounds,
            "environment": machine,
            "load": asdict(load),
            "curves": [asdict(curve) for curve in curves],
        },
    )
    plot_curves(curves, title, output / "scaling.png")
    print(f"files: {output / 'scaling.json'}  {output / 'scaling.png'}")
    return 0
