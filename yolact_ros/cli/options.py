"""The options that several commands have, and values that none can work with."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

from yolact_ros.errors import ConfigError
from yolact_ros.inference.runtimes.names import PRECISIONS, RUNTIMES
from yolact_ros.inference.settings import NMS_NAMES
from yolact_ros.models.zoo import BUNDLED

__all__ = [
    "add_options",
    "image_size",
    "listed",
    "require_not_negative",
    "require_positive",
    "split_names",
]

TOO_LARGE = 1_000_000


def split_names(text: str) -> tuple[str, ...]:
    """One path of a file, or names between commas."""
    return (text,) if Path(text).expanduser().is_file() else tuple(listed(text))


def listed(text: str | None) -> list[str]:
    """The names between the commas of an option; none where it was not given."""
    return [name.strip() for name in (text or "").split(",") if name.strip()]


def image_size(text: str) -> tuple[int, int]:
    """Width and height in pixels."""
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if match is None or not (int(match[1]) and int(match[2])):
        raise argparse.ArgumentTypeError(f"{text!r}: expected WIDTHxHEIGHT, for example 640x480")
    return int(match[1]), int(match[2])


def _parameter(text: str) -> str:
    if ":=" not in text:
        raise ConfigError(f"--param {text}: expected NAME:=VALUE")
    return text


_OPTIONS: dict[str, dict[str, Any]] = {
    "model": {
        "default": BUNDLED,
        "help": "name from `yolact models list` or path (default: %(default)s)",
    },
    "class-names": {
        "type": split_names,
        "default": (),
        "metavar": "FILE|A,B",
        "help": "names of all classes of the model in the order of training: a file (.txt, "
        ".names, .yaml, COCO .json) or with commas between (default: those of the model's file, "
        "or of a .txt of its name beside it)",
    },
    "device": {"default": "auto", "help": "auto, cpu, cuda or cuda:N"},
    "runtime": {
        "choices": RUNTIMES,
        "default": "eager",
        "help": "what runs the network; graph is the fastest on a GPU, compiled for a minute "
        "(default: %(default)s)",
    },
    "precision": {
        "choices": PRECISIONS,
        "default": "auto",
        "help": "auto: fp32 for eager, the device's fastest float for the others",
    },
    "input-size": {"type": int, "default": 0, "metavar": "PX", "help": "0: the model's own"},
    "score-threshold": {
        "type": float,
        "metavar": "S",
        "help": "least score, 0..1 (default: %(default)g)",
    },
    "top-k": {
        "type": int,
        "metavar": "N",
        "help": "most instances an image (default: %(default)s)",
    },
    "nms": {
        "choices": NMS_NAMES,
        "help": "default: the network's own, fast for YOLACT, standard for YOLO",
    },
    "nms-threshold": {
        "type": float,
        "default": 0.5,
        "metavar": "IOU",
        "help": "overlap above which the lower score is dropped (default: %(default)g)",
    },
    "param": {
        "type": _parameter,
        "action": "append",
        "default": [],
        "metavar": "NAME:=VALUE",
        "help": "parameter of the node, for example top_k:=5",
    },
    "json": {"type": Path, "metavar": "FILE", "help": "write everything measured"},
}


def add_options(parser: argparse._ActionsContainer, *names: str, **changes: Any) -> None:
    """Add options that several commands have; ``changes`` are of all that are named."""
    for name in names:
        flags = ["-p", "--param"] if name == "param" else [f"--{name}"]
        parser.add_argument(*flags, **{**_OPTIONS[name], **changes})


def require_positive(args: argparse.Namespace, *names: str) -> None:
    """Check options by their attributes' names; None, an option that was not given, is good.

    Raises:
        ConfigError: one is zero, negative, not a number or absurdly large.
    """
    for name in names:
        value = getattr(args, name)
        if value is not None and not 0 < value < TOO_LARGE:
            raise ConfigError(f"{_flag(name)} is {value:g}, expected a positive number")


def require_not_negative(args: argparse.Namespace, *names: str) -> None:
    """:func:`require_positive`, where zero has a meaning."""
    for name in names:
        value = getattr(args, name)
        if value is not None and not 0 <= value < TOO_LARGE:
            raise ConfigError(f"{_flag(name)} is {value:g}, expected 0 or more")


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
