"""Loading a model with a word about what it left out, and opening it as the options say."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from yolact_ros.models.zoo import find_model

if TYPE_CHECKING:
    from yolact_ros.inference.predictor import Predictor
    from yolact_ros.inference.settings import PredictionSettings
    from yolact_ros.models.checkpoint import Checkpoint
    from yolact_ros.models.network import Network
    from yolact_ros.models.yolo_seg_file import YoloSegFile

__all__ = ["open_model", "open_predictor"]


def open_model(
    name_or_path: str, class_names: tuple[str, ...] = (), *, input_size_px: int = 0
) -> Checkpoint | YoloSegFile:
    """Read a model by its name or file; remarks go to stderr.

    Raises:
        YolactError: no such model, a file that cannot be used, or wrong class names.
    """
    from yolact_ros.models.checkpoint import read_model

    model = read_model(
        find_model(name_or_path), class_names=class_names, input_size_px=input_size_px
    )
    for remark in model.remarks:
        print(f"yolact: note: {remark}", file=sys.stderr)
    return model


def open_predictor(
    network: Network, args: argparse.Namespace, settings: PredictionSettings
) -> Predictor:
    """On the device and in the runtime and precision of the command's options.

    Raises:
        YolactError: no such device here, or the runtime cannot run there.
    """
    from yolact_ros.inference.predictor import Predictor, choose_device
    from yolact_ros.inference.runtimes.selection import default_engine_folder, open_runtime

    device = choose_device(args.device)
    runtime = open_runtime(
        args.runtime,
        network.eval().to(device),
        device=device,
        precision=args.precision,
        cache_folder=default_engine_folder(),
    )
    return Predictor(network, device=device, settings=settings, runtime=runtime)
