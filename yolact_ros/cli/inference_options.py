"""The options that every command with a network has, and the predictor they make."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING

from yolact_ros.cli.model_file import add_class_names, load_model
from yolact_ros.errors import ConfigError
from yolact_ros.inference.settings import NMS_NAMES, PredictionSettings
from yolact_ros.models.zoo import BUNDLED

if TYPE_CHECKING:
    from yolact_ros.inference.predictor import Predictor
    from yolact_ros.models.network import Network

__all__ = ["add_inference_options", "class_ids_of", "make_predictor", "settings_of"]


def add_inference_options(
    parser: argparse.ArgumentParser, *, score_threshold: float, top_k: int
) -> None:
    """Add model, device and post-processing options with these defaults."""
    group = parser.add_argument_group("network")
    group.add_argument(
        "--model", default=BUNDLED, help="name from `yolact models list` or path (default: "
        "%(default)s)",
    )  # fmt: skip
    add_class_names(group)
    group.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    group.add_argument(
        "--input-size", type=int, default=0, metavar="PX", help="0: the model's own"
    )
    group.add_argument(
        "--score-threshold",
        type=float,
        default=score_threshold,
        metavar="S",
        help="least score, 0..1 (default: %(default)g)",
    )
    group.add_argument(
        "--top-k", type=int, default=top_k, metavar="N", help="most instances an image "
        "(default: %(default)s)",
    )  # fmt: skip
    group.add_argument(
        "--classes", metavar="A,B", help="names of the classes to keep, with commas between"
    )
    group.add_argument(
        "--nms", choices=NMS_NAMES, help="default: the network's own, fast for YOLACT, standard "
        "for YOLO",
    )  # fmt: skip
    group.add_argument(
        "--nms-threshold", type=float, default=0.5, metavar="IOU", help="default: %(default)g"
    )


def settings_of(args: argparse.Namespace) -> PredictionSettings:
    """The post-processing settings without the classes, which need the model's names.

    Raises:
        ConfigError: a value is out of range.
    """
    return PredictionSettings(
        score_threshold=args.score_threshold,
        top_k=args.top_k,
        nms_threshold=args.nms_threshold,
        nms=args.nms,
    )


def make_predictor(
    args: argparse.Namespace, settings: PredictionSettings
) -> tuple[Network, Predictor]:
    """Load the model that the options name; the network itself and its predictor.

    Raises:
        YolactError: the model, device, input size or a class name cannot be used.
    """
    from yolact_ros.inference.predictor import Predictor

    network = load_model(args.model, args.class_names, input_size_px=args.input_size)
    class_ids = class_ids_of(args.classes, network.config.class_names)
    settings = replace(settings, class_ids=class_ids)
    return network, Predictor(network, device=args.device, settings=settings)


def class_ids_of(names: str | None, class_names: tuple[str, ...]) -> tuple[int, ...] | None:
    """Class ids of comma-separated names; None for None.

    Raises:
        ConfigError: the model has no such class.
    """
    if names is None:
        return None
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    unknown = [name for name in wanted if name not in class_names]
    if unknown or not wanted:
        raise ConfigError(
            f"the model has no class {unknown[0] if unknown else names!r}; it has "
            f"{', '.join(class_names)}"
        )
    return tuple(class_names.index(name) for name in wanted)
