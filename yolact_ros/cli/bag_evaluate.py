"""``yolact bag evaluate``."""

from __future__ import annotations

import argparse
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from yolact_ros.cli.bag_limits import add_limits, broken_limits
from yolact_ros.cli.bag_progress import ProgressBars
from yolact_ros.cli.model_file import open_model
from yolact_ros.cli.options import add_options, listed
from yolact_ros.errors import ConfigError
from yolact_ros.tracking import TRACKERS, TrackerSettings
from yolact_ros.tracking.settings import DEFAULT_BUFFER_MS

__all__ = ["DESCRIPTION", "add_arguments", "run"]

DESCRIPTION = """\
Runs a model on every frame of bags and scores it against a truth; writes metrics.json,
frames.parquet, instances.parquet and report.html. A killed run goes on where it was when started
again.

  yolact bag evaluate drive/ --truth truth.json
  yolact bag evaluate drive/ --truth /truth --real-time --budget 33.3 --load 1
  yolact bag evaluate drive/ --truth /truth --predictions /yolact/instances@recorded/

exit code: 0 done, 1 a limit is broken, 2 nothing could be done, 3 bags were left out and the
others keep the limits"""

INCOMPLETE = 3
AUTO, RECORDED = "auto", "recorded"
NODE_SCORE = 0.3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument(
        "bags",
        nargs="+",
        metavar="BAG",
        help="folder, .mcap or .db3, as path or address (s3://, gs://, http://), with * for "
        "several; or a manifest (.csv: path, topic, truth, tags)",
    )
    parser.add_argument("--topic", default="", help="of images; the only one needs no naming")
    parser.add_argument(
        "--output", type=Path, default=Path("bag_evaluation"), help="folder (default: %(default)s)"
    )
    parser.add_argument("--overwrite", action="store_true", help="throw away what is there")
    parser.add_argument("--limit", type=int, default=0, metavar="N", help="first N frames only")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes")
    parser.add_argument(
        "--ray",
        default="",
        metavar="ADDRESS",
        help="work on a Ray cluster instead: auto, or ray://HEAD:10001; bags, model and truth are "
        "at the same place for each of its machines",
    )
    _add_truth(parser)
    _add_tracking(parser)
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
        help="COCO JSON, MOT or MOTS .txt, /topic or /topic@BAG; one for all bags, or one each",
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


def _add_tracking(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("tracks")
    group.add_argument(
        "--track",
        nargs="?",
        choices=(AUTO, RECORDED, *TRACKERS),
        const=AUTO,
        metavar="TRACKER",
        help="hold tracks against the truth's track ids: HOTA, IDF1, MOTA; by bytetrack, ocsort, "
        "botsort, or with --predictions the ids recorded (default: bytetrack; with --predictions "
        "recorded)",
    )
    group.add_argument(
        "--track-buffer",
        type=float,
        default=DEFAULT_BUFFER_MS,
        metavar="MS",
        help="how long an object that is not found keeps its id (default: %(default)g)",
    )


def _tracker(args: argparse.Namespace) -> TrackerSettings | None:
    if args.track is None:
        return None
    name = args.track
    if name == AUTO:
        name = RECORDED if args.predictions else TRACKERS[0]
    if name == RECORDED:
        if not args.predictions:
            raise ConfigError("--track recorded takes the ids of --predictions: name their topic")
        return None
    return TrackerSettings(name, args.track_buffer)


def _add_model(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what is scored")
    add_options(group, "model", "class-names")
    group.add_argument(
        "--predictions",
        metavar="TOPIC[@BAG]",
        help="InstanceArray messages recorded from a robot, instead of running a model",
    )
    add_options(group, "device")
    group.add_argument("--threads", type=int, default=0, metavar="N", help="of torch, a process")
    add_options(
        group,
        "input-size",
        nargs="+",
        default=[],
        help="network input; with --real-time several, best first: the levels of the budget",
    )
    add_options(group, "score-threshold", help="default: 0.05, in real time 0.3")
    add_options(group, "top-k", help="default: 100, in real time 15")
    add_options(group, "nms", "nms-threshold")


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
    """Evaluate, print the numbers; 0, 1 when a limit is broken, or 3 when bags were left out."""
    from yolact_ros.evaluation.bag.evaluate import evaluate_bags
    from yolact_ros.evaluation.bag.summary import summary_text

    options = _options(args)
    with ProgressBars() as bars:
        metrics = evaluate_bags(options, bars)
        if args.write is not None:
            from yolact_ros.evaluation.bag.writing.export import export_evaluation

            export_evaluation(options, args.write, args.overlay, bars)
            print(f"bag: {args.write}")
    print(summary_text(metrics))
    print(f"report: {options.output / 'report.html'}")
    broken = broken_limits(args, metrics)
    for text in broken:
        print(f"yolact: limit broken: {text}", file=sys.stderr)
    failed = metrics.get("bags_failed", [])
    for row in failed:
        print(f"yolact: bag left out: {row['reason']}", file=sys.stderr)
    if broken:
        return 1
    return INCOMPLETE if failed else 0


def _options(args: argparse.Namespace) -> Any:
    from yolact_ros.evaluation.bag.options import EvaluationOptions, ReplayOptions, TopicAddress
    from yolact_ros.evaluation.bag.reading.location import without_secrets
    from yolact_ros.evaluation.bag.reading.sources import read_sources

    if not args.real_time and len(args.input_size) > 1:
        raise ConfigError("several input sizes are the levels of a budget: add --real-time")
    sources, unusable = read_sources(args.bags, args.topic, args.truth)
    if args.write is not None and len(sources) > 1:
        raise ConfigError("--write makes one bag: evaluate one bag at a time with it")
    replay = None
    if args.real_time:
        replay = ReplayOptions(
            args.rate, args.load, args.budget, args.overrun_policy, tuple(args.input_size)
        )
    chosen = listed(args.classes)
    return EvaluationOptions(
        bags=tuple(source.absolute() if args.ray else source for source in sources),
        output=args.output,
        unusable=unusable,
        source=None if args.predictions else _source(args),
        predictions=TopicAddress.parse(args.predictions) if args.predictions else None,
        truth_key=args.truth_key,
        classes=() if chosen == ["all"] else tuple(chosen),
        all_classes=chosen == ["all"],
        operating_threshold=args.operating_threshold,
        replay=replay,
        tracker=_tracker(args),
        measure_tracks=args.track is not None,
        jobs=args.jobs,
        ray=args.ray,
        limit=args.limit,
        num_worst=args.worst,
        overwrite=args.overwrite,
        command=without_secrets(shlex.join(["yolact", *sys.argv[1:]])),
    )


def _source(args: argparse.Namespace) -> Any:
    from yolact_ros.evaluation.bag.units.model_source import (
        NODE_SETTINGS,
        OFFLINE_SETTINGS,
        ModelSource,
    )

    # Opened here once: its remarks are told once, and a wrong file before any process starts.
    names = open_model(args.model, args.class_names).config.class_names
    default = NODE_SETTINGS if args.real_time else OFFLINE_SETTINGS
    given = {
        name: getattr(args, name) for name in ("score_threshold", "top_k", "nms_threshold", "nms")
    }
    threads = args.threads or (1 if args.ray else 0)
    if not threads and args.jobs > 1:
        import torch

        threads = max(1, torch.get_num_threads() // args.jobs)
    is_file = args.ray and Path(args.model).is_file()
    return ModelSource(
        model=str(Path(args.model).absolute()) if is_file else args.model,
        class_names=names if args.class_names else (),
        device=args.device,
        input_size_px=args.input_size[0] if args.input_size else 0,
        settings=replace(default, **{name: v for name, v in given.items() if v is not None}),
        num_threads=threads,
    )
