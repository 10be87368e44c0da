"""``yolact benchmark``: stages and runtimes, scaling curves, and latency through real DDS."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from yolact_ros.cli.options import (
    add_options,
    image_size,
    require_not_negative,
    require_positive,
)
from yolact_ros.inference.settings import PredictionSettings

__all__ = ["add_parser", "run"]

_EPILOG = """\
examples:
  yolact benchmark                                       the bundled model in every runtime here
  yolact benchmark --variant yolact_resnet50 --runtimes openvino compiled --threads 1
  yolact benchmark --runtimes openvino:fp32 openvino:int8 --calibration photographs/
  yolact benchmark --scaling --variant yolact_resnet50   instances, input size, k, cameras
  yolact benchmark --ros --runtimes openvino             camera to subscriber, over DDS
"""


def add_parser(subparsers: Any) -> None:
    """Add ``benchmark`` to the subparsers of ``yolact``."""
    parser = subparsers.add_parser(
        "benchmark",
        help="time stages, runtimes, scaling and the way through ROS",
        description="Times a network and all that belongs around it, in all runtimes in turns, "
        "against eager fp32. Leaves JSON and a plot in the output folder.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument(
        "--scaling", action="store_true", help="curves over instances, input size, prototypes "
        "and cameras instead",
    )  # fmt: skip
    mode.add_argument(
        "--ros", action="store_true", help="a node between a camera and a subscriber over DDS "
        "instead",
    )  # fmt: skip
    parser.add_argument("--output", type=Path, default=Path("benchmark_output"), metavar="FOLDER",
                        help="folder (default: %(default)s)")  # fmt: skip
    parser.add_argument("--rounds", type=int, default=20, metavar="N",
                        help="measurements of each (default: %(default)s)")  # fmt: skip
    parser.add_argument("--threads", type=int, default=0, metavar="N", help="of torch and "
                        "OpenCV; 0 takes their own choice")  # fmt: skip
    _add_network_options(parser)
    _add_ros_options(parser)


def _add_network_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("network")
    which = group.add_mutually_exclusive_group()
    add_options(which, "model")
    which.add_argument(
        "--variant", metavar="NAME", help="random weights of this network, such as "
        "yolact_resnet50; they find nothing, so masks cost nothing: see --scaling",
    )  # fmt: skip
    add_options(group, "device", "input-size")
    group.add_argument(
        "--runtimes", nargs="+", default=[], metavar="NAME[:PRECISION]", help="such as eager, "
        "compiled, openvino:int8 (default: all that are here); --scaling and --ros take the first",
    )  # fmt: skip
    group.add_argument("--precision", default="auto", help="of runtimes without one of their own")
    group.add_argument("--calibration", type=Path, metavar="FOLDER", help="images for int8")
    group.add_argument("--images", metavar="SOURCE", help="a folder, video or image (default: "
                       "coloured noise; with --ros a clip of a man in a car)")  # fmt: skip
    group.add_argument(
        "--image-size", type=image_size, default=(640, 480), metavar="WIDTHxHEIGHT",
        help="of the images (default: 640x480)",
    )  # fmt: skip
    add_options(group, "score-threshold", default=0.3)
    add_options(group, "top-k", default=15)


def _add_ros_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("cameras, with --ros and --scaling")
    group.add_argument(
        "--sizes", type=image_size, nargs="+", default=[(640, 480), (1280, 720), (1920, 1080)],
        metavar="WIDTHxHEIGHT", help="of the camera (default: 640x480 1280x720 1920x1080)",
    )  # fmt: skip
    group.add_argument(
        "--profiles", nargs="+", choices=("default", "shipped"), default=["default", "shipped"],
        help="of Fast DDS: its own, or config/fastdds.xml (default: both)",
    )  # fmt: skip
    group.add_argument("--rate", type=float, default=30.0, metavar="HZ",
                       help="of a camera (default: %(default)g)")  # fmt: skip
    group.add_argument("--duration", type=float, default=10.0, metavar="S",
                       help="of each measurement (default: %(default)g)")  # fmt: skip
    group.add_argument("--budget", type=float, default=33.3, metavar="MS",
                       help="frame_budget_ms of the node (default: %(default)g)")  # fmt: skip
    group.add_argument("--node-prefix", default="", metavar="COMMAND", help="what the node is "
                       "started with, such as 'chrt --rr 1'")  # fmt: skip
    add_options(group, "param")


def run(args: argparse.Namespace) -> int:
    """Measure, print, save; 0."""
    require_positive(args, "rounds", "rate", "duration")
    require_not_negative(args, "threads", "budget")
    if args.ros:
        from yolact_ros.cli.benchmark_ros import run_ros

        return run_ros(args)
    import cv2
    import torch

    if args.threads:
        torch.set_num_threads(args.threads)
        cv2.setNumThreads(args.threads)
    settings = PredictionSettings(score_threshold=args.score_threshold, top_k=args.top_k)
    if args.scaling:
        from yolact_ros.cli.benchmark_scaling import run_scaling

        return run_scaling(args, settings)
    from yolact_ros.cli.benchmark_stages import run_stages

    return run_stages(args, settings)
