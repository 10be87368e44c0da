"""``yolact models``: which trained models there are, what they are, and getting them here."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

from tqdm import tqdm

from yolact_ros.cli.model_file import open_model
from yolact_ros.cli.options import add_options
from yolact_ros.config import YolactConfig
from yolact_ros.models.costs import keep_costs, read_costs
from yolact_ros.models.zoo import (
    ModelStatus,
    cache_folder,
    fetch_model,
    list_models,
    models_folder,
    verify_model,
)

__all__ = ["add_parser", "run"]


def add_parser(subparsers: Any) -> None:
    """Add ``models`` and its actions to the subparsers of ``yolact``."""
    parser = subparsers.add_parser(
        "models",
        help="list, show, fetch and verify trained models",
        description="Trained models by name. Downloads go to $YOLACT_ROS_CACHE "
        "(~/.cache/yolact_ros/models).",
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)

    listing = actions.add_parser("list", help="every known model and where it is")
    listing.add_argument("--json", action="store_true", help="print JSON instead of a table")
    listing.add_argument(
        "--measure",
        action="store_true",
        help="measure those that were not measured on this machine yet, also the ones that are "
        "not downloaded; minutes",
    )
    listing.set_defaults(action=_list)

    fetch = actions.add_parser(
        "fetch",
        help="download models",
        description="Download models into the cache. A broken download continues where it "
        "stopped; the file appears when it is complete and its sha256 is right.",
    )
    names = fetch.add_mutually_exclusive_group(required=True)
    names.add_argument("names", nargs="*", metavar="NAME", default=[], help="name from `list`")
    names.add_argument("--all", action="store_true", help="every model that has an address")
    source = fetch.add_mutually_exclusive_group()
    source.add_argument("--url", help="address or path of the file, for one NAME")
    source.add_argument(
        "--mirror",
        metavar="BASE",
        help="address or folder that holds the files under their names, for robots without "
        "internet access (default: $YOLACT_ROS_MIRROR)",
    )
    fetch.add_argument(
        "--force", action="store_true", help="download again and record the new sha256"
    )
    fetch.set_defaults(action=_fetch, parser=fetch)

    show = actions.add_parser(
        "show",
        help="what a file of weights is: network, classes, prototypes, input size",
        description="Says what a model is taken for, as every command would take it.",
    )
    show.add_argument("model", metavar="MODEL", help="name from `list` or path")
    add_options(show, "class-names")
    show.set_defaults(action=_show)

    verify = actions.add_parser("verify", help="compare files with their sha256")
    verify.add_argument(
        "names", nargs="*", metavar="NAME", help="name from `list`; default: all that are here"
    )
    verify.set_defaults(action=_verify)


def run(args: argparse.Namespace) -> int:
    """Run the chosen action."""
    return int(args.action(args))


def _list(args: argparse.Namespace) -> int:
    statuses = list_models()
    if args.measure:
        _measure(statuses)
    measured = read_costs()
    costs = {
        status.entry.name: cost
        for status in statuses
        if (cost := measured.get(status.entry.name)) and cost.file == status.entry.file
    }
    if args.json:
        rows = [
            {
                **asdict(s.entry),
                "state": s.state,
                "path": str(s.path) if s.path else None,
                "cost": asdict(costs[s.entry.name]) if s.entry.name in costs else None,
            }
            for s in statuses
        ]
        print(json.dumps(rows, indent=2))
        return 0
    width = max(len(status.entry.name) for status in statuses)
    print(f"{'name':<{width}}  mask AP  ms here   MiB  {'state':<17}  description")
    for status in statuses:
        ap = "-" if status.entry.mask_ap is None else f"{status.entry.mask_ap:.1f}"
        cost = costs.get(status.entry.name)
        ms, mib = (f"{cost.whole_ms:.0f}", f"{cost.memory_mib:.0f}") if cost else ("-", "-")
        print(
            f"{status.entry.name:<{width}}  {ap:>7}  {ms:>7}  {mib:>4}  {status.state:<17}  "
            f"{status.entry.description}"
        )
    if not costs:
        print("\nms and memory on this machine: yolact models list --measure")
    print(f"\nbundled models: {models_folder()}\ndownloads:      {cache_folder()}")
    return 0


def _measure(statuses: Sequence[ModelStatus]) -> None:
    # Imported here: the list itself needs no torch.
    from yolact_ros.evaluation.benchmark.model_costs import measure_cost

    costs = read_costs()
    for status in statuses:
        name = status.entry.name
        if name in costs and costs[name].file == status.entry.file:
            continue
        print(f"measuring {name}", file=sys.stderr, flush=True)
        costs[name] = measure_cost(status)
        keep_costs(costs)


def _fetch(args: argparse.Namespace) -> int:
    names = args.names
    if args.all:
        names = [s.entry.name for s in list_models() if s.entry.url is not None]
    if args.url is not None and len(names) != 1:
        args.parser.error("--url needs exactly one NAME")
    for name in names:
        before = {status.entry.name: status for status in list_models()}.get(name)
        # The delay keeps the bar away until the first byte, so that errors stand alone.
        with tqdm(desc=name, unit="B", unit_scale=True, leave=False, delay=0.1) as bar:
            path = fetch_model(
                name,
                url=args.url,
                mirror=args.mirror,
                force=args.force,
                progress=partial(_show_progress, bar),
            )
        print(f"{name}: {path}{_note(before, args.force)}")
    return 0


def _show_progress(bar: tqdm[Any], done_bytes: int, total_bytes: int | None) -> None:
    if bar.n == 0:
        bar.initial = bar.n = done_bytes  # of an earlier try, and so not of this one's rate
    # A server that starts from zero again moves the bar back.
    bar.total = total_bytes
    bar.update(done_bytes - bar.n)


def _note(before: ModelStatus | None, force: bool) -> str:
    if before is None or before.path is None:
        return ""
    if before.state == "bundled":
        return " (comes with the package)"
    return "" if force else " (was there already)"


def _show(args: argparse.Namespace) -> int:
    model = open_model(args.model, args.class_names)
    config = model.config
    kind = config.backbone if isinstance(config, YolactConfig) else config.family
    rows = {
        "file": model.path,
        "network": f"{config.name} ({kind}), {model.num_weights / 1e6:.1f} M parameters",
        "input size": str(config.input_shape),
        "prototypes": f"k = {config.num_prototypes}",
        "classes": f"{config.num_classes}: {', '.join(config.class_names)}",
        "names from": model.names_from,
    }
    for name, value in rows.items():
        print(f"{name:<12}{value}")
    return 0


def _verify(args: argparse.Namespace) -> int:
    names = args.names or [s.entry.name for s in list_models() if s.path is not None]
    if not names:
        print("no model is on this machine; see `yolact models list`")
    for name in names:
        path, compared = verify_model(name)
        print(f"{name}: {path}: {'ok' if compared else 'no sha256 known, recorded this one'}")
    return 0
