"""Camera to subscriber through real DDS: latency, rate, drops and CPU of a running node."""

from __future__ import annotations

import argparse
import os
import shlex
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import cv2

from yolact_ros.cli.benchmark_live import KEPT_IMAGES, LiveRun, LiveSettings, run_live
from yolact_ros.cli.demo_plan import default_clip, model_parameters
from yolact_ros.cli.demo_processes import require_ros
from yolact_ros.errors import ConfigError, DependencyError
from yolact_ros.evaluation.benchmark.contenders import ContenderName
from yolact_ros.evaluation.benchmark.live_record import find_untruths, summarise
from yolact_ros.evaluation.benchmark.machine import LoadMeter, describe_machine
from yolact_ros.evaluation.benchmark.sample_images import synthetic_images
from yolact_ros.evaluation.benchmark.tables import LIVE_COLUMNS, live_cells
from yolact_ros.evaluation.output_folder import make_output_folder, write_json
from yolact_ros.evaluation.text import markdown_table
from yolact_ros.models.zoo import find_model

__all__ = ["camera_source", "run_ros"]

MOST_UNTRUTHS = 5


def run_ros(args: argparse.Namespace) -> int:
    """Measure every size with every profile, print, save; 0."""
    require_ros()
    if args.variant:
        raise ConfigError("--ros runs the node, which needs a --model, not a --variant")
    find_model(args.model)
    runtime = ContenderName.parse(args.runtimes[0] if args.runtimes else "auto", args.precision)
    output = make_output_folder(args.output)
    settings = LiveSettings(
        source=args.images or camera_source(output),
        size_px=args.sizes[0],
        rate_hz=args.rate,
        duration_s=args.duration,
        parameters=(
            *model_parameters(args.model, args.device),
            f"runtime:={runtime.runtime}",
            f"precision:={runtime.precision}",
            f"input_size:=[{args.input_size}]",
            f"frame_budget_ms:={float(args.budget)}",
            f"score_threshold:={float(args.score_threshold)}",
            f"top_k:={args.top_k}",
            *args.param,
        ),
        shipped_profile=True,
        output=output,
        node_prefix=tuple(shlex.split(args.node_prefix)),
    )
    machine = describe_machine(args.device)
    print(f"{machine['cpu']}; {args.model}, {runtime}, camera at {args.rate:g} Hz", flush=True)
    meter = LoadMeter()
    rows: list[list[str]] = []
    results: list[dict[str, Any]] = []
    for size_px in args.sizes:
        for profile in args.profiles:
            folder = make_output_folder(output / f"{size_px[0]}x{size_px[1]}_{profile}")
            run = run_live(
                replace(
                    settings,
                    size_px=size_px,
                    shipped_profile=profile == "shipped",
                    output=folder,
                ),
                os.environ,
            )
            rows.append(_row(f"{size_px[0]}x{size_px[1]}", profile, run, args.budget))
            results.append(_values(size_px, profile, run, args.budget))
            print(f"{folder.name}: {len(run.records)} results", flush=True)
    load = meter.read()
    header = ["images", "profile", "sent", "received", *LIVE_COLUMNS, "node CPU %"]
    print(f"\n{markdown_table(header, rows)}")
    _print_untruths(results)
    if load.warning:
        print(load.warning)
    write_json(
        output / "ros.json",
        {
            "benchmark": "ros",
            "model": args.model,
            "runtime": str(runtime),
            "parameters": list(settings.parameters),
            "rate_hz": args.rate,
            "duration_s": args.duration,
            "environment": machine,
            "load": asdict(load),
            "results": results,
        },
    )
    print(f"files: {output / 'ros.json'}, and the records of every message below {output}")
    return 0


def camera_source(output: Path) -> str:
    """The demo's clip, or coloured noise in ``output`` where it is not installed."""
    try:
        return str(default_clip())
    except DependencyError:
        folder = make_output_folder(output / "pictures")
        for index, picture in enumerate(synthetic_images((640, 480), KEPT_IMAGES)):
            cv2.imwrite(str(folder / f"{index:02d}.png"), picture)
        return str(folder)


def _row(size: str, profile: str, run: LiveRun, budget_ms: float) -> list[str]:
    return [
        size,
        profile,
        str(run.published),
        str(run.counter("received")),
        *live_cells(summarise(run.records, budget_ms)),
        f"{run.cpu_percent:.0f}",
    ]


def _values(
    size_px: tuple[int, int], profile: str, run: LiveRun, budget_ms: float
) -> dict[str, Any]:
    best_px = max(record.input_size for record in run.records)
    return {
        "image_size_px": list(size_px),
        "profile": profile,
        "frames_sent": run.published,
        "frames_received": run.counter("received"),
        "frames_lost": run.counter("lost in transport"),
        "delivery": run.counters.get("delivery", ""),
        "node_cpu_percent": run.cpu_percent,
        **asdict(summarise(run.records, budget_ms)),
        "untruths": find_untruths(run.records, best_input_px=best_px, account=run.account),
    }


def _print_untruths(results: list[dict[str, Any]]) -> None:
    for result in results:
        for text in result["untruths"][:MOST_UNTRUTHS]:
            width_px, height_px = result["image_size_px"]
            print(f"warning: {width_px}x{height_px} {result['profile']}: {text}")
