"""How well objects are followed: HOTA against frame rate, dropped frames, detector and tracker.

    ./dev run python benchmarks/tracking.py            # the tables of docs/tracking.md
    ./dev run python benchmarks/tracking.py --cost     # milliseconds for 50 objects

Scenes are drawn by test/track_worlds.py: two people who cross, one who goes behind a wall, one who
leaves and returns, a shaken camera, a crowd. Every tracker has the same detections.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "test")]

from track_worlds import Detector, Scene, Thing, away, draw, going, times  # noqa: E402

from yolact_ros.evaluation.track_measures import TrackFrame, track_measures  # noqa: E402
from yolact_ros.tracking import TRACKERS, Tracker, TrackerName, TrackerSettings  # noqa: E402
from yolact_ros.tracking.association import pairwise_box_iou  # noqa: E402

SIZE_PX = (480, 640)
SCORE_THRESHOLD, LOW_SCORE = 0.3, 0.1
# Share missed, false alarms an image, error of the edges as a share of the box.
DETECTORS = ((0.0, 0.0, 0.01), (0.1, 0.2, 0.03), (0.3, 0.5, 0.06), (0.5, 1.0, 0.1))


def crowd(seed: int = 0, people: int = 8) -> Scene:
    """People who walk to and fro at different speeds, behind and in front of each other."""
    chance = np.random.default_rng(seed)
    things = []
    for _ in range(people):
        left, top, size = chance.uniform(60, 580), chance.uniform(150, 330), chance.uniform(40, 80)
        speed, phase = chance.uniform(0.15, 0.4), chance.uniform(0, 6.28)
        width = chance.uniform(60, 150)

        def place(
            time_s: float, x: float = left, y: float = top, w: float = width, v: float = speed,
            p: float = phase,
        ) -> tuple[float, float]:  # fmt: skip
            return x + w * float(np.sin(2 * np.pi * v * time_s / 2 + p)), y

        things.append(Thing(place, (size, 2 * size)))
    return Scene(things, seconds=8)


SCENES = {
    "crossing": Scene([Thing(going((60, 200), (130, 10))), Thing(going((580, 260), (-130, 0)))]),
    "behind a wall": Scene([Thing(going((60, 240), (150, 0)))], seconds=3.5, walls=[(250, 340)]),
    "away 0.6 s": Scene(
        [Thing(away(going((100, 240), (60, 0)), 1.5, 2.1)), Thing(going((500, 200), (0, 20)))]
    ),
    "shaken camera": Scene(
        [Thing(going((120, 240), (20, 0))), Thing(going((320, 240), (20, 0)))],
        seconds=3,
        camera=lambda time_s: (90 * float(np.sin(2 * np.pi * time_s)), 0),
    ),
    "crowd": crowd(),
}


def follow(
    scene: Scene, name: TrackerName, stamps: Sequence[float], detector: Detector
) -> list[TrackFrame]:
    """A scene as a tracker sees it against the truth."""
    tracker = Tracker(TrackerSettings(name))
    frames = []
    for view, boxes, scores, class_ids in detector.views(scene, stamps):
        used = scores >= LOW_SCORE
        boxes, class_ids = boxes[used].astype(float), class_ids[used]
        reported = int((scores > SCORE_THRESHOLD).sum())
        tracks = tracker.update(
            boxes,
            class_ids,
            view.time_s,
            image_size_px=SIZE_PX,
            num_reported=reported,
            image_bgr=draw(scene, view.time_s) if tracker.settings.uses_camera_motion else None,
        )
        shown = np.flatnonzero(tracks.ids[:reported] > 0)
        # What is hardly visible need not be found.
        there = view.visible >= SCORE_THRESHOLD
        frames.append(
            TrackFrame(
                view.ids[there],
                tracks.ids[shown],
                pairwise_box_iou(view.boxes_xyxy[there].astype(float), boxes[shown]),
            )
        )
    return frames


def percent(measures: dict[str, float | int | None], name: str) -> str:
    """A measure for a table."""
    value = measures[name]
    return "-" if value is None else f"{100 * value:.0f}"


def table(title: str, rows: dict[str, dict[str, list[list[TrackFrame]]]]) -> None:
    """HOTA and id switches of every tracker, a line for each row."""
    print(f"\n| {title} | " + " | ".join(f"{name}" for name in TRACKERS) + " |")
    print("|---|" + "---|" * len(TRACKERS))
    for label, by_tracker in rows.items():
        cells = []
        for name in TRACKERS:
            measures = track_measures(by_tracker[name])
            cells.append(f"{percent(measures, 'hota')} ({measures['id_switches']})")
        print(f"| {label} | " + " | ".join(cells) + " |")


def all_scenes(
    rate_hz: float, drop: Sequence[bool], detector: Detector
) -> dict[str, list[list[TrackFrame]]]:
    """Every scene with every tracker."""
    return {
        name: [follow(s, name, times(s.seconds, rate_hz, drop), detector) for s in SCENES.values()]
        for name in TRACKERS
    }


def tables() -> None:
    """Print the tables of docs/tracking.md."""
    usual = Detector(jitter=0.03, miss=0.1, false_alarms=0.2, seed=1)
    print("HOTA in per cent, in brackets the id switches")
    table(
        "scene, at 30 Hz",
        {
            label: {n: [follow(s, n, times(s.seconds, 30), usual)] for n in TRACKERS}
            for label, s in SCENES.items()
        },
    )
    table(
        "frame rate, all scenes",
        {f"{rate} Hz": all_scenes(rate, (False,), usual) for rate in (30, 15, 10, 5)},
    )
    table(
        "dropped frames, all scenes at 30 Hz",
        {
            "none": all_scenes(30, (False,), usual),
            "every third": all_scenes(30, (False, False, True), usual),
            "two of three": all_scenes(30, (False, True, True), usual),
            "15 of 30 in a row": all_scenes(30, (False,) * 15 + (True,) * 15, usual),
        },
    )
    table(
        "detector, all scenes at 15 Hz",
        {
            f"misses {miss:.0%}, {false:g} false an image, boxes off by {jitter:.0%}": all_scenes(
                15, (False,), Detector(jitter, miss, false, 1)
            )
            for miss, false, jitter in DETECTORS
        },
    )


def cost() -> None:
    """Print what 50 objects cost."""
    chance = np.random.default_rng(0)
    middles, speeds = chance.uniform(50, 1500, (50, 2)), chance.uniform(-60, 60, (50, 2))
    sizes = chance.uniform(30, 120, (50, 2))
    image = draw(SCENES["crossing"], 0.0)
    print("\n| 50 objects | median ms | p95 ms |\n|---|---|---|")
    for name in TRACKERS:
        tracker, taken_ms = Tracker(TrackerSettings(name)), []
        for index in range(200):
            here = middles + speeds * index / 30 + chance.normal(0, 1, (50, 2))
            boxes = np.concatenate((here - sizes / 2, here + sizes / 2), axis=1)
            begun_s = time.perf_counter()
            tracker.update(
                boxes, np.zeros(50, np.int64), index / 30, image_size_px=SIZE_PX,
                num_reported=40 if index % 2 else 50, image_bgr=image,
            )  # fmt: skip
            taken_ms.append((time.perf_counter() - begun_s) * 1e3)
        print(f"| {name} | {np.median(taken_ms):.2f} | {np.quantile(taken_ms, 0.95):.2f} |")


def main() -> None:
    """Parse the arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cost", action="store_true", help="only what it costs")
    args = parser.parse_args()
    if not args.cost:
        tables()
    cost()


if __name__ == "__main__":
    main()
