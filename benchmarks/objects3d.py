"""How exactly objects are placed in 3D, against taking the median of the depth in their boxes.

    ./dev run python benchmarks/objects3d.py         # the tables of docs/objects3d.md
    ./dev run python benchmarks/objects3d.py --cost  # milliseconds for 20 objects

Scenes are drawn by test/depth_scenes.py: plates, boxes and balls in front of a wall, as a stereo
depth camera sees them. The truth is the visible surface: its median distance, and the sides of
the box around it along the camera's axes. Both methods have the same masks and depth.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "test")]

from depth_scenes import (  # noqa: E402
    CAMERA,
    Ball,
    Box,
    Sensor,
    Thing,
    crop,
    look,
    mask_of,
    motorcycle,
    turn,
    visible_points,
)

from yolact_ros.depth import DepthSettings, ObjectPlace, locate_objects  # noqa: E402

DISTANCES_M = (0.5, 1.0, 2.0, 4.0, 8.0)
SIZES_PX = (30, 60, 120)
KINDS = ("plate", "turned plate", "box", "ball")
ROUNDS = 3
# What is a mask, and a part of it that shows the thing and nothing else; left, top, right, bottom.
REAL_THINGS = {
    "headlight": ((512, 132, 570, 182), (528, 143, 554, 169)),
    "can on the shelf": ((392, 50, 428, 98), (404, 62, 416, 85)),
    "carton on the shelf": ((520, 25, 600, 102), (535, 40, 580, 90)),
    "motorcycle, its engine": ((120, 60, 685, 455), (345, 310, 400, 350)),
}
SETTINGS = DepthSettings()
Mask = NDArray[np.bool_]


class Errors(NamedTuple):
    """In per cent: of the distance, the larger of width and height, the depth side.

    The depth side is compared with the largest side, since that of a plate is 0.
    """

    distance: float
    sides: float
    depth_side: float


class Sample(NamedTuple):
    """One object: the errors of both methods, None where it was not placed."""

    ours: Errors | None
    median: Errors | None


def thing_of(kind: str, z: float, size_px: float, chance: np.random.Generator) -> Thing:
    """An object somewhere in the image, turned by chance."""
    size = size_px * z / CAMERA.fx
    center = (chance.uniform(-0.35, 0.35) * z, chance.uniform(-0.25, 0.25) * z, z)
    yaw = chance.uniform(-50, 50)
    if kind == "plate":
        return Box(center, (size, size, 0))
    if kind == "turned plate":
        return Box(center, (size / np.cos(np.radians(yaw)), size, 0), turn(yaw))
    if kind == "box":
        return Box(center, (0.75 * size, size, 0.75 * size), turn(yaw))
    return Ball(center, size / 2)


def sample(
    thing: Thing,
    others: list[Thing],
    seed: int,
    *,
    sensor: Callable[..., NDArray[np.float32]],
    change: Callable[[Mask], Mask] = lambda mask: mask,
) -> Sample:
    """Place one object by both methods."""
    things = [thing, *others]
    points = visible_points(things, 0, CAMERA)
    truth = float(np.median(np.linalg.norm(points, axis=1))), np.ptp(points, axis=0)
    view = look(things, CAMERA)
    depth_m = sensor(view.depth_m, CAMERA, seed)
    mask = change(mask_of(view, 0))
    (place,) = locate_objects([crop(mask)], depth_m, CAMERA, SETTINGS)
    ours = None
    if isinstance(place, ObjectPlace):
        ours = errors(place.distance_m, place.box_size_m, *truth)
    return Sample(ours, median_of_the_box(mask, depth_m, *truth))


def median_of_the_box(
    mask: Mask, depth_m: NDArray[np.float32], distance: float, sides: NDArray[np.float64]
) -> Errors | None:
    """What peers do: the median of all depth in the 2D box, and the box's sides at that depth."""
    part = crop(mask)
    box = depth_m[
        part.y_offset : part.y_offset + part.height, part.x_offset : part.x_offset + part.width
    ]
    if not np.isfinite(box).any():
        return None
    z = float(np.nanmedian(box))
    middle = np.array(
        [[part.x_offset + (part.width - 1) / 2, part.y_offset + (part.height - 1) / 2]]
    )
    found = z * float(np.hypot(1, np.linalg.norm(CAMERA.rays(middle))))
    size = np.array([part.width * z / CAMERA.fx, part.height * z / CAMERA.fy, 0.0])
    return errors(found, size, distance, sides)


def errors(
    distance: float, size: NDArray[np.float64], true_distance: float, sides: NDArray[np.float64]
) -> Errors:
    """Of a place."""
    across = np.abs(size[:2] / sides[:2] - 1).max()
    deep = abs(size[2] - sides[2]) / sides.max()
    return Errors(100 * abs(distance / true_distance - 1), 100 * float(across), 100 * float(deep))


def wall(z: float) -> Box:
    """Behind an object at z."""
    return Box((0.0, 0.0, 1.4 * z + 0.3), (60.0, 60.0, 0.0))


def samples(
    kinds: Iterable[str],
    distances_m: Iterable[float],
    sizes_px: Iterable[float],
    **options: object,
) -> list[Sample]:
    """Objects of all these kinds, distances and sizes."""
    chance = np.random.default_rng(0)
    return [
        sample(
            thing_of(kind, z, size_px, chance), [wall(z)], round_, **{"sensor": Sensor()} | options
        )  # type: ignore[arg-type]
        for kind in kinds
        for z in distances_m
        for size_px in sizes_px
        for round_ in range(ROUNDS)
    ]


def cells(found: list[Sample], field: str) -> str:
    """Median and 90 per cent of the errors of both methods."""
    texts = []
    for method in ("ours", "median"):
        values = [getattr(e, field) for e in (getattr(s, method) for s in found) if e is not None]
        texts.append(
            "-" if not values else f"{np.median(values):.1f} ({np.quantile(values, 0.9):.1f})"
        )
    return " | ".join(texts)


def located(found: list[Sample]) -> str:
    """Share of the objects that have a place."""
    return f"{100 * np.mean([s.ours is not None for s in found]):.0f} %"


def table(title: str, rows: dict[str, list[Sample]], fields: tuple[str, ...]) -> None:
    """Print a line for each row; a number is the median, in brackets 90 per cent are below."""
    names = {"distance": "distance", "sides": "width, height", "depth_side": "depth side"}
    heads = " | ".join(f"{names[f]}, ours | box median" for f in fields)
    print(f"\n| {title} | {heads} | located |\n|---|" + "---|---|" * len(fields) + "---|")
    for label, found in rows.items():
        print(f"| {label} | {' | '.join(cells(found, f) for f in fields)} | {located(found)} |")


def tables() -> None:
    """Print the tables of docs/objects3d.md."""
    print("Errors in per cent: the median, in brackets what 90 per cent are below")
    by_place = {
        f"{z:g} m, {size_px} px": samples(KINDS, [z], [size_px])
        for z in DISTANCES_M
        for size_px in SIZES_PX
    }
    table("distance, size", by_place, ("distance", "sides"))
    table(
        "shape, 0.5 to 4 m, 30 to 120 px",
        {kind: samples([kind], DISTANCES_M[:-1], SIZES_PX) for kind in KINDS},
        ("distance", "sides", "depth_side"),
    )
    faults: dict[str, dict[str, object]] = {
        "exact depth": {"sensor": Sensor(0, mixed=0, holes=0, shadow=False, millimetres=False)},
        "a stereo camera": {},
        "4 of 10 readings missing": {"sensor": Sensor(holes=0.4)},
        "mask 3 px too large": {"change": lambda mask: _grown(mask, 3)},
        "mask 3 px too small": {"change": lambda mask: ~_grown(~mask, 3)},
        "mask a quarter to the right": {"change": _shifted},
        "mask of the whole box": {"change": _boxed},
    }
    table(
        "fault, 1 and 4 m, 60 px",
        {name: samples(KINDS, (1.0, 4.0), [60], **options) for name, options in faults.items()},
        ("distance", "sides"),
    )
    behind_bars()
    garage()


def behind_bars() -> None:
    """A bar of a third of the width in front of the object, in the mask and not."""
    rows: dict[str, list[Sample]] = {"bar not in the mask": [], "bar in the mask": []}
    for z in DISTANCES_M[:-1]:
        size = 90 * z / CAMERA.fx
        bar = Box((0.0, 0.0, 0.7 * z), (0.3 * size * 0.7, 3.0, 0.0))
        for seed in range(ROUNDS):
            for row, change in zip(rows, (lambda mask: mask, _boxed), strict=True):
                thing = Box((0.0, 0.0, z), (size, size, 0))
                rows[row].append(
                    sample(thing, [bar, wall(z)], seed, sensor=Sensor(), change=change)
                )
    table("behind a bar, 0.5 to 4 m, 90 px", rows, ("distance", "sides"))


def garage() -> None:
    """Print what is found in a real scene where a mask is a whole box."""
    image, depth_m, camera = motorcycle()
    print("\n| true depth of a garage, mask is the whole box | there | ours | box median |")
    print("|---|---|---|---|")
    for name, (outer, inner) in REAL_THINGS.items():
        mask = np.zeros(image.shape[:2], np.bool_)
        mask[outer[1] : outer[3], outer[0] : outer[2]] = True
        (place,) = locate_objects([crop(mask)], depth_m, camera, SETTINGS, with_points=True)
        assert isinstance(place, ObjectPlace)
        assert place.points_m is not None
        depths = (
            np.nanmedian(depth_m[inner[1] : inner[3], inner[0] : inner[2]]),
            np.median(place.points_m[:, 2]),
            np.nanmedian(depth_m[mask]),
        )
        print(f"| {name} | " + " | ".join(f"{depth:.2f} m" for depth in depths) + " |")


def _grown(mask: Mask, by_px: int) -> Mask:
    return cv2.dilate(mask.astype(np.uint8), np.ones((2 * by_px + 1,) * 2)) > 0


def _shifted(mask: Mask) -> Mask:
    width = crop(mask).width
    shifted: Mask = np.roll(mask, width // 4, axis=1)
    return shifted


def _boxed(mask: Mask) -> Mask:
    part, boxed = crop(mask), np.zeros_like(mask)
    rows = slice(part.y_offset, part.y_offset + part.height)
    boxed[rows, part.x_offset : part.x_offset + part.width] = True
    return boxed


def cost() -> None:
    """Print what 20 objects cost, in the thread's own time."""
    chance = np.random.default_rng(0)
    print("\n| 20 objects at 640x480 | ms | upright boxes, ms |\n|---|---|---|")
    for size_px in (40, 80, 160):
        things = [thing_of("box", chance.uniform(1, 4), size_px, chance) for _ in range(20)]
        depth_m = Sensor()(look([*things, wall(5)], CAMERA).depth_m, CAMERA)
        masks = [crop(mask_of(look([thing], CAMERA), 0)) for thing in things]
        taken = []
        for gravity in (None, np.array([0.0, 1.0, 0.0])):
            times_ms = []
            for _ in range(30):
                begun = time.thread_time()
                locate_objects(masks, depth_m, CAMERA, SETTINGS, gravity=gravity)
                times_ms.append((time.thread_time() - begun) * 1e3)
            taken.append(f"{np.median(times_ms):.1f}")
        print(f"| {size_px} px | {' | '.join(taken)} |")


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
