"""Made-up scenes of moving objects with their true ids, boxes and masks; small, drawn by code.

A scene says where everything is at a time, so that it can be looked at with any frame rate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

Place = Callable[[float], tuple[float, float] | None]
"""The middle of an object in pixels at a time in seconds; None while it is not there."""

WIDTH_PX, HEIGHT_PX = 640, 480


@dataclass(frozen=True)
class Thing:
    """An object.

    Attributes:
        place: where its middle is.
        size_px: width and height of the ellipse that it is.
        class_id: of it.
    """

    place: Place
    size_px: tuple[float, float] = (60.0, 120.0)
    class_id: int = 0


@dataclass(frozen=True)
class Scene:
    """What there is to see; later things are in front of earlier ones.

    Attributes:
        things: their ids are 1, 2, ...
        seconds: how long it lasts.
        camera: how far the camera has turned, in pixels by which the picture has shifted.
        walls: x from and to, in pixels, of what hides everything.
    """

    things: Sequence[Thing]
    seconds: float = 4.0
    camera: Callable[[float], tuple[float, float]] = lambda time_s: (0.0, 0.0)
    walls: Sequence[tuple[float, float]] = ()
    texture: NDArray[np.uint8] = field(default_factory=lambda: _texture(), repr=False)


@dataclass(frozen=True)
class View:
    """A scene at one time.

    Attributes:
        time_s: since its beginning.
        ids (int64[n]): of the things that can be seen.
        boxes_xyxy (float32[n, 4]): around what can be seen of them, pixels.
        class_ids (int64[n]): of them.
        visible (float64[n]): share of each that can be seen.
        masks (bool[n, H, W]): of what can be seen of them.
    """

    time_s: float
    ids: NDArray[np.int64]
    boxes_xyxy: NDArray[np.float32]
    class_ids: NDArray[np.int64]
    visible: NDArray[np.float64]
    masks: NDArray[np.bool_]


def going(start: tuple[float, float], velocity: tuple[float, float]) -> Place:
    """Straight on; pixels and pixels a second."""
    return lambda time_s: (start[0] + velocity[0] * time_s, start[1] + velocity[1] * time_s)


def away(place: Place, from_s: float, to_s: float) -> Place:
    """As a place, but not there for some time."""
    return lambda time_s: None if from_s <= time_s < to_s else place(time_s)


def times(seconds: float, rate_hz: float, drop: Sequence[bool] = (False,)) -> list[float]:
    """The stamps of a camera; ``drop`` says over and over which frames are lost."""
    count = int(seconds * rate_hz)
    return [index / rate_hz for index in range(count) if not drop[index % len(drop)]]


def look(scene: Scene, time_s: float) -> View:
    """The truth of one image."""
    shift = scene.camera(time_s)
    covered = np.zeros((HEIGHT_PX, WIDTH_PX), np.bool_)
    for left, right in scene.walls:
        begin, end = (int(np.clip(edge + shift[0], 0, WIDTH_PX)) for edge in (left, right))
        covered[:, begin:end] = True
    seen = []
    # From the front to the back, so that what is nearer hides what is behind.
    for number in reversed(range(len(scene.things))):
        thing = scene.things[number]
        place = thing.place(time_s)
        if place is None:
            continue
        middle = (place[0] + shift[0], place[1] + shift[1])
        whole = _ellipse(middle, thing.size_px)
        mask = whole & ~covered
        covered |= whole
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if len(rows):
            box = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
            area = np.pi / 4 * thing.size_px[0] * thing.size_px[1]
            seen.append((number + 1, box, thing.class_id, min(mask.sum() / area, 1.0), mask))
    seen.sort(key=lambda row: row[0])
    return View(
        time_s,
        np.array([row[0] for row in seen], np.int64),
        np.array([row[1] for row in seen], np.float32).reshape(-1, 4),
        np.array([row[2] for row in seen], np.int64),
        np.array([row[3] for row in seen], np.float64),
        np.array([row[4] for row in seen], np.bool_).reshape(-1, HEIGHT_PX, WIDTH_PX),
    )


def draw(scene: Scene, time_s: float) -> NDArray[np.uint8]:
    """The image itself (uint8[H, W, 3]): flat shapes on a textured background."""
    x, y = (round(value) for value in scene.camera(time_s))
    tall, wide = scene.texture.shape[:2]
    rows = (np.arange(HEIGHT_PX) - y) % tall
    columns = (np.arange(WIDTH_PX) - x) % wide
    image = np.ascontiguousarray(scene.texture[rows[:, None], columns])
    view = look(scene, time_s)
    for thing_id, mask in zip(view.ids.tolist(), view.masks, strict=True):
        color = np.array(cv2.applyColorMap(np.uint8([[thing_id * 67 % 256]]), cv2.COLORMAP_HSV))
        image[mask] = color[0, 0]
    for left, right in scene.walls:
        image[:, max(0, int(left + x)) : max(0, int(right + x))] = 90
    return image


@dataclass(frozen=True)
class Detector:
    """A detector that misses and errs.

    Attributes:
        jitter: standard deviation of the edges of its boxes, as a share of the box.
        miss: share of the objects that it does not find, by chance.
        false_alarms: boxes an image that are not there.
        seed: of its chance.
    """

    jitter: float = 0.02
    miss: float = 0.0
    false_alarms: float = 0.0
    seed: int = 0

    def views(
        self, scene: Scene, stamps: Sequence[float]
    ) -> Iterator[tuple[View, NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]]:
        """For each image the truth, and the boxes, scores and class ids found, best first.

        The score is 0.9 for what is wholly visible and falls with it to 0 where nothing is.
        """
        chance = np.random.default_rng(self.seed)
        for time_s in stamps:
            view = look(scene, time_s)
            sizes = view.boxes_xyxy[:, 2:] - view.boxes_xyxy[:, :2]
            noise = chance.normal(0, self.jitter, (len(sizes), 4)) * np.tile(sizes, 2)
            found = chance.random(len(sizes)) >= self.miss
            boxes = (view.boxes_xyxy + noise)[found]
            scores = 0.9 * view.visible[found]
            class_ids = view.class_ids[found]
            false = int(chance.poisson(self.false_alarms)) if self.false_alarms else 0
            corners = chance.uniform((0, 0), (WIDTH_PX - 80, HEIGHT_PX - 80), (false, 2))
            boxes = np.concatenate((boxes, np.concatenate((corners, corners + 70), axis=1)))
            scores = np.concatenate((scores, chance.uniform(0.3, 0.7, false)))
            class_ids = np.concatenate((class_ids, np.zeros(false, np.int64)))
            order = np.argsort(-scores, kind="stable")
            yield (
                view,
                boxes[order].astype(np.float32),
                scores[order].astype(np.float32),
                class_ids[order],
            )


def _ellipse(middle: tuple[float, float], size_px: tuple[float, float]) -> NDArray[np.bool_]:
    rows, columns = np.ogrid[:HEIGHT_PX, :WIDTH_PX]
    across = (columns + 0.5 - middle[0]) / (size_px[0] / 2)
    down = (rows + 0.5 - middle[1]) / (size_px[1] / 2)
    inside: NDArray[np.bool_] = across**2 + down**2 <= 1
    return inside


def _texture() -> NDArray[np.uint8]:
    noise = np.random.default_rng(7).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(noise, (960, 720), interpolation=cv2.INTER_CUBIC), np.uint8)
