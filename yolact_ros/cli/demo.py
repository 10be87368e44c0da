"""``yolact demo``: a clip through camera topic, node and viewer, each in its own process."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

from yolact_ros.cli.demo_plan import NODE_NAME, DemoPlan, make_plan
from yolact_ros.cli.demo_processes import Child, require_ros, stop_all
from yolact_ros.cli.options import add_options, image_size
from yolact_ros.tracking import TRACKERS
from yolact_ros.workers import how_it_ended

__all__ = ["NO_RESULTS_EXIT_CODE", "add_parser", "run", "run_plan"]

NO_RESULTS_EXIT_CODE = 3


def add_parser(subparsers: Any) -> None:
    """Add ``demo`` to the subparsers of ``yolact``."""
    parser = subparsers.add_parser(
        "demo",
        help="play a clip through the ROS 2 node and keep the overlays",
        description="Plays a clip as a camera topic, segments it in yolact_node and watches the "
        "results, in three processes over DDS. Leaves overlay.mp4, contact_sheet.png, "
        "summary.json and the processes' logs in the output folder.",
    )
    parser.add_argument(
        "--source",
        help="a video, an image, a folder of images, a camera index, or an existing image topic "
        "such as /camera/image_raw (default: a clip of a man in a car)",
    )
    add_options(parser, "model", "device")
    parser.add_argument(
        "--duration",
        type=float,
        default=20.0,
        metavar="S",
        help="seconds, from the beginning again where the source is shorter (default: "
        "%(default)g); 0 plays it once, and a camera or topic until Ctrl-C",
    )
    parser.add_argument("--rate", type=float, metavar="HZ", help="default: the source's own")
    parser.add_argument(
        "--size", type=image_size, metavar="WIDTHxHEIGHT", help="scale the images to this before"
    )
    parser.add_argument(
        "--track",
        nargs="?",
        choices=TRACKERS,
        const=TRACKERS[0],
        metavar="TRACKER",
        help="follow the objects, with a colour and a trail for each: bytetrack (default), "
        "ocsort or botsort",
    )
    parser.add_argument(
        "--output", type=Path, default=Path("demo_output"), help="folder (default: %(default)s)"
    )
    add_options(parser, "param")
    parser.add_argument(
        "--timeout",
        type=float,
        default=60.0,
        metavar="S",
        help="longest wait for a result (default: %(default)g)",
    )


def run(args: argparse.Namespace) -> int:
    """Run the demo; 0 when it went through, 1 when a process failed, 130 after Ctrl-C.

    Raises:
        DependencyError: ROS 2, the messages or the default clip are missing.
        YolactError: the source or the model cannot be used.
    """
    require_ros()
    return run_plan(make_plan(args, os.environ))


def run_plan(plan: DemoPlan) -> int:
    """Start the processes, watch them, end them and print the summary; returns the exit code."""
    for name in ("overlay.mp4", "contact_sheet.png", "summary.json"):
        (plan.output / name).unlink(missing_ok=True)
    previous = signal.signal(signal.SIGTERM, _interrupt)
    children: list[Child] = []
    viewer = camera = None
    try:
        print(f"playing {plan.title}; loading the model", flush=True)
        node = Child(NODE_NAME, plan.node, plan.output / "node.log", plan.environment)
        children.append(node)
        viewer = Child("viewer", plan.viewer, None, plan.environment)
        children.append(viewer)
        if plan.camera is not None:
            camera = Child("camera", plan.camera, plan.output / "camera.log", plan.environment)
            children.append(camera)
        code = _watch(node, viewer, camera)
    except KeyboardInterrupt:
        code = 130
    finally:
        if viewer is not None:
            # First, and with time to finish the video. It takes both signals alike; while it still
            # imports, SIGINT would print a traceback to the terminal that it shares.
            stop_all([viewer], patience_s=15.0, first=signal.SIGTERM)
        stop_all(children)
        signal.signal(signal.SIGTERM, previous)
    if code in (0, 130):
        _print_summary(plan.output, camera)
    return code


def _watch(node: Child, viewer: Child, camera: Child | None) -> int:
    while True:
        time.sleep(0.1)
        viewer_code = viewer.exit_code()
        if viewer_code == 0:
            return 0
        if viewer_code is not None:
            if viewer_code == NO_RESULTS_EXIT_CODE:
                _report(node, "no result came")
                if camera is not None:
                    _print_last_lines(camera)
            elif viewer_code < 0:
                print(f"\nyolact: error: viewer: {how_it_ended(viewer_code)}", file=sys.stderr)
            return 1
        if (code := node.exit_code()) is not None:
            _report(node, how_it_ended(code))
            return 1
        if camera is not None and (code := camera.exit_code()):
            _report(camera, how_it_ended(code))
            return 1


def _report(child: Child, what: str) -> None:
    print(f"\nyolact: error: {child.name}: {what}", file=sys.stderr)
    _print_last_lines(child)


def _print_last_lines(child: Child) -> None:
    print(f"last lines of {child.name} ({child.log}):", file=sys.stderr)
    for line in child.last_lines() or ["(it wrote nothing)"]:
        print(f"  {line}", file=sys.stderr)


def _print_summary(output: Path, camera: Child | None) -> None:
    try:
        summary = json.loads((output / "summary.json").read_text())
    except (OSError, ValueError):
        return
    if not summary["results"]:
        return
    played = camera.last_json() if camera is not None else {}
    if played:
        # The node reports its drops with the next result: what is left was lost on the way, or
        # came after the last result.
        known = summary["results"] + summary["frames_dropped"]
        print(
            f"camera:  {played['published']} frames published, {known} seen by the node, "
            f"{summary['frames_dropped']} of them dropped for a newer one"
        )
    rate = "" if summary["rate_hz"] is None else f" at {summary['rate_hz']:.1f} Hz"
    print(
        f"results: {summary['results']} in {summary['seconds']:.1f} s{rate}, "
        f"{summary['deadline_met_percent']:.0f} % inside the frame budget"
    )
    print(
        f"latency: p50 {summary['latency_p50_ms']:.0f} ms, p95 {summary['latency_p95_ms']:.0f} "
        f"ms from stamp to viewer; p50 {summary['node_total_p50_ms']:.0f} ms, "
        f"p95 {summary['node_total_p95_ms']:.0f} ms in the node"
    )
    seen = [
        f"{name} in {100 * count / summary['results']:.0f} %"
        for name, count in summary["frames_with_class"].items()
    ]
    print(f"classes: {', '.join(seen) or 'none'} of the results")
    if summary["overlays"]:
        print(f"files:   {output / 'overlay.mp4'}  {output / 'contact_sheet.png'}")
    else:
        print("files:   no overlay arrived, so there are no pictures")


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
