"""``yolact bag evaluate``."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import Any

from yolact_ros.cli.bag_limits import add_limits, limits_of
from yolact_ros.cli.bag_progress import ProgressBars
from yolact_ros.cli.model_file import add_class_names, open_model
from yolact_ros.errors import ConfigError
from yolact_ros.inference.settings import NMS_NAMES
from yolact_ros.models.zoo import BUNDLED

__all__ = ["DESCRIPTION", "add_arguments", "run"]

DESCRIPTION = """\
Runs a model on every frame of bags and scores it against a truth; writes metrics.json,
frames.csv and report.html. A killed run goes on where it was when started again.

  yolact bag evaluate drive/ --truth truth.json
  yolact bag evaluate drive/ --truth /truth --real-time --budget 33.3 --load 1
  yolact bag evaluate drive/ --truth /truth --predictions /yolact/instances@recorded/

exit code: 0 done, 1 a limit is broken, 2 nothing could be done"""

# Offline the paper's protocol, in real time the node's defaults.
OFFLINE_SCORE, OFFLINE_TOP_K = 0.05, 100
NODE_SCORE, NODE_TOP_K = 0.3, 15


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("bags", nargs="+", type=Path, metavar="BAG", help="folder, .mcap or .db3")
    parser.add_argument("--topic", default="", help="of images; the only one needs no naming")
    parser.add_argument(
        "--output", type=Path, default=Path("bag_evaluation"), help="folder (default: %(default)s)"
    )
    parser.add_argument("--overwrite", action="store_true", help="throw away what is there")
    parser.add_argument("--limit", type=int, default=0, metavar="N", help="first N frames only")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes")
    _add_truth(parser)
    _add_model(parser)
    _add_real_time(parser)
    output = parser.add_argument_group("output")
    output.add_argument(
        "--write", type=Path, metavar="BAG", help="new mcap bag with instances, overlay and truth"
    )
    output.add_argument(
        "--overlay", choices=["jpeg", "raw", "none"], default="jpeg", help="in the new bag"
    )
    output.add_argument(
        "--worst", type=int, default=12, metavar="N", help="frames to show (default: %(default)s)"
    )
    add_limits(parser)


def _add_truth(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("truth")
    group.add_argument(
        "--truth",
        nargs="+",
        default=[],
        metavar="WHAT",
        help="COCO JSON, /topic or /topic@BAG; one for all bags, or one each",
    )
    group.add_argument(
        "--truth-key",
        choices=["auto", "stamp", "index", "order"],
        default="auto",
        help="what ties an image of the JSON to a frame (default: what all images have)",
    )
    group.add_argument(
        "--classes",
        metavar="A,B",
        help="score these only; `all` also those that the model does not know",
    )
    group.add_argument(
        "--operating-threshold",
        type=float,
        default=NODE_SCORE,
        metavar="S",
        help="score from which on the robot acts: for precision, recall, counts and steadiness "
        "(default: %(default)g)",
    )


def _add_model(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what is scored")
    group.add_argument("--model", default=BUNDLED, help="name or path (default: %(default)s)")
    add_class_names(group)
    group.add_argument(
        "--predictions",
        metavar="TOPIC[@BAG]",
        help="InstanceArray messages recorded from a robot, instead of running a model",
    )
    group.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    group.add_argument("--threads", type=int, default=0, metavar="N", help="of torch, a process")
    group.add_argument(
        "--input-size",
        type=int,
        nargs="+",
        default=[],
        metavar="PX",
        help="network input; with --real-time several, best first: the levels of the budget",
    )
    group.add_argument(
        "--score-threshold", type=float, metavar="S", help="default: 0.05, in real time 0.3"
    )
    group.add_argument("--top-k", type=int, metavar="N", help="default: 100, in real time 15")
    group.add_argument(
        "--nms", choices=NMS_NAMES, help="default: the network's own, fast for YOLACT, standard "
        "for YOLO",
    )  # fmt: skip
    group.add_argument("--nms-threshold", type=float, default=0.5, metavar="IOU")


def _add_real_time(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("real time")
    group.add_argument(
        "--real-time", action="store_true", help="play at the recorded pace, as on the robot"
    )
    group.add_argument("--rate", type=float, default=1.0, metavar="R", help="R times as fast")
    group.add_argument(
        "--load", type=int, default=0, metavar="N", help="busy processes beside the network"
    )
    group.add_argument(
        "--budget",
        type=float,
        default=33.3,
        metavar="MS",
        help="deadline from reception to publication; 0 for none (default: %(default)g)",
    )
    group.add_argument(
        "--overrun-policy", choices=["publish", "drop"], default="publish", help="of late results"
    )


def run(args: argparse.Namespace) -> int:
    """Evaluate, print the numbers; 0, or 1 when a limit is broken.

    Raises:
        YolactError: bags, truth, model or options cannot be used.
    """
    from yolact_ros.evaluation.bag.evaluate import evaluate_bags
    from yolact_ros.evaluation.bag.summary import summary_text

    options = _options(args)
    with ProgressBars() as bars:
        metrics = evaluate_bags(options, bars)
        if args.write is not None:
            _write(args, options, bars)
    print(summary_text(metrics))
    print(f"report: {options.output / 'report.html'}")
    broken = limits_of(args).broken(metrics)
    for text in broken:
        print(f"yolact: limit broken: {text}", file=sys.stderr)
    return 1 if broken else 0


def _options(args: argparse.Namespace) -> Any:
    from yolact_ros.evaluation.bag.options import EvaluationOptions, TopicAddress
    from yolact_ros.evaluation.bag.replay_options import ReplayOptions

    if not args.real_time and len(args.input_size) > 1:
        raise ConfigError("several input sizes are the levels of a budget: add --real-time")
    if args.write is not None and len(args.bags) > 1:
        raise ConfigError("--write makes one bag: evaluate one bag at a time with it")
    replay = None
    if args.real_time:
        sizes = tuple(args.input_size)
        replay = ReplayOptions(args.rate, args.load, args.budget, args.overrun_policy, sizes)
    chosen = [name.strip() for name in (args.classes or "").split(",") if name.strip()]
    return EvaluationOptions(
        bags=tuple(args.bags),
        output=args.output,
        topic=args.topic,
        source=None if args.predictions else _source(args),
        predictions=TopicAddress.parse(args.predictions) if args.predictions else None,
        truth=tuple(args.truth),
        truth_key=args.truth_key,
        classes=() if chosen == ["all"] else tuple(chosen),
        all_classes=chosen == ["all"],
        operating_threshold=args.operating_threshold,
        replay=replay,
        jobs=args.jobs,
        limit=args.limit,
        num_worst=args.worst,
        overwrite=args.overwrite,
        command=shlex.join(["yolact", *sys.argv[1:]]),
    )


def _source(args: argparse.Namespace) -> Any:
    from yolact_ros.evaluation.bag.model_source import ModelSource

    # Opened here once: its remarks are told once, and a wrong file before any process starts.
    names = open_model(args.model, args.class_names).config.class_names
    score, top_k = (NODE_SCORE, NODE_TOP_K) if args.real_time else (OFFLINE_SCORE, OFFLINE_TOP_K)
    threads = args.threads
    if not threads and args.jobs > 1:
        import torch

        threads = max(1, torch.get_num_threads() // args.jobs)
    return ModelSource(
        model=args.model,
        class_names=names if args.class_names else (),
        device=args.device,
        input_size_px=args.input_size[0] if args.input_size else 0,
        score_threshold=score if args.score_threshold is None else args.score_threshold,
        top_k=top_k if args.top_k is None else args.top_k,
        nms_threshold=args.nms_threshold,
        nms=args.nms,
        num_threads=threads,
    )


def _write(args: argparse.Namespace, options: Any, bars: ProgressBars) -> None:
    from yolact_ros.evaluation.bag.export import ExportOptions
    from yolact_ros.evaluation.bag.export_evaluation import export_evaluation

    export = ExportOptions(
        args.write, args.overlay, args.operating_threshold, overwrite=args.overwrite
    )
    export_evaluation(options, export, bars)
    print(f"bag: {args.write}")
