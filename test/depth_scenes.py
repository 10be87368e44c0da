"""Scenes with known geometry as a depth camera sees them: the truth, and a sensor's faults."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from yolact_ros.depth import CameraModel
from yolact_ros.ops.packing import pack_bits
from yolact_ros.structures import MaskCrop

Floats = NDArray[np.float64]
CAMERA = CameraModel(640, 480, 615.0, 615.0, 320.5, 240.5)
# A RealSense D435 at this size: 50 mm between its cameras, matches good to 0.08 px.
BASELINE_M = 0.05
MATCH_PX = 0.08
# The truth is the surface at so many points a pixel and axis.
FINE = 4


def turn(yaw_deg: float = 0, pitch_deg: float = 0) -> Floats:
    """A rotation about y (down), then about x (right)."""
    yaw, pitch = np.radians((yaw_deg, pitch_deg))
    about_y = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    about_x = np.array(
        [[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]]
    )
    return about_x @ about_y


@dataclass(frozen=True, eq=False)
class Box:
    """A box; with a side of 0 a plate."""

    center_m: tuple[float, float, float]
    size_m: tuple[float, float, float]
    rotation: Floats = field(default_factory=lambda: np.eye(3))

    def depth_m(self, rays: Floats) -> Floats:
        """Depth along rays (float64[..., 2]), infinite where they miss."""
        directions = np.concatenate((rays, np.ones((*rays.shape[:-1], 1))), -1) @ self.rotation
        center = np.asarray(self.center_m) @ self.rotation
        half = np.maximum(np.asarray(self.size_m) / 2, 1e-9)
        with np.errstate(divide="ignore", invalid="ignore"):
            one, other = (center - half) / directions, (center + half) / directions
        near = np.minimum(one, other).max(-1)
        far = np.maximum(one, other).min(-1)
        return np.where((near <= far) & (near > 0), near, np.inf)


@dataclass(frozen=True)
class Ball:
    """A sphere."""

    center_m: tuple[float, float, float]
    radius_m: float

    def depth_m(self, rays: Floats) -> Floats:
        """Depth along rays (float64[..., 2]), infinite where they miss."""
        directions = np.concatenate((rays, np.ones((*rays.shape[:-1], 1))), -1)
        center = np.asarray(self.center_m)
        a, b = (directions**2).sum(-1), directions @ center
        inside = b * b - a * (center @ center - self.radius_m**2)
        return np.where(inside > 0, (b - np.sqrt(np.maximum(inside, 0))) / a, np.inf)


Thing = Box | Ball


@dataclass(frozen=True, eq=False)
class View:
    """What a camera sees: depth (0: nothing), and which thing each pixel shows (-1: none)."""

    depth_m: Floats
    things: NDArray[np.int64]


def look(things: Sequence[Thing], camera: CameraModel) -> View:
    """The exact view of things, by the ray through the middle of each pixel."""
    return _look_along(things, np.moveaxis(camera.ray_table.astype(np.float64), 0, -1))


def _look_along(things: Sequence[Thing], rays: Floats) -> View:
    depths = np.stack([thing.depth_m(rays) for thing in things])
    depth_m = depths.min(0)
    seen = np.isfinite(depth_m)
    return View(np.where(seen, depth_m, 0.0), np.where(seen, depths.argmin(0), -1))


def mask_of(view: View, index: int) -> NDArray[np.bool_]:
    """The pixels that show a thing."""
    return view.things == index


def crop(mask: NDArray[np.bool_]) -> MaskCrop:
    """A mask as the node holds it."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return MaskCrop(0, 0, 0, 0, np.zeros(0, np.uint8))
    part = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return MaskCrop(int(columns[0]), int(rows[0]), part.shape[1], part.shape[0], pack_bits(part))


def visible_points(things: Sequence[Thing], index: int, camera: CameraModel) -> Floats:
    """The visible surface of a thing, float64[n, 3], at 16 points a pixel."""
    part = crop(mask_of(look(things, camera), index))
    left, top = max(part.x_offset - 1, 0), max(part.y_offset - 1, 0)
    right = min(part.x_offset + part.width + 1, camera.width_px)
    bottom = min(part.y_offset + part.height + 1, camera.height_px)
    x = np.arange(left * FINE, right * FINE)
    y = np.arange(top * FINE, bottom * FINE)
    fine = camera.resized(camera.width_px * FINE, camera.height_px * FINE)
    rays = fine.rays(np.stack(np.meshgrid(x, y), -1).reshape(-1, 2))
    view = _look_along(things, rays)
    seen = mask_of(view, index)
    depth_m = view.depth_m[seen, None]
    return np.concatenate((rays[seen] * depth_m, depth_m), 1)


@dataclass(frozen=True)
class Sensor:
    """The faults of a stereo depth camera.

    Attributes:
        match_px: standard deviation of a match, which neighbours share.
        grain_px: over so many pixels.
        mixed: edges show a mixture of what is before and behind, this share of their pixels.
        holes: share of the image without readings.
        shadow: no readings left of what is near, where only one of its cameras sees.
        millimetres: whole millimetres, as 16UC1 has them.
    """

    match_px: float = MATCH_PX
    grain_px: float = 1.0
    mixed: float = 0.7
    holes: float = 0.03
    shadow: bool = True
    millimetres: bool = True

    def __call__(self, depth_m: Floats, camera: CameraModel, seed: int = 0) -> NDArray[np.float32]:
        """What it reads of the exact depth; NaN without a reading."""
        chance = np.random.default_rng(seed)
        depth_m = np.where(depth_m > 0, depth_m, np.inf)
        read = self._mix(depth_m, chance)
        focal = camera.fx * BASELINE_M
        noise = cv2.GaussianBlur(chance.normal(size=depth_m.shape), (0, 0), self.grain_px)
        read = focal / (focal / read + noise / noise.std() * self.match_px)
        if self.millimetres:
            read = np.round(read * 1e3) / 1e3
        patches = cv2.GaussianBlur(chance.normal(size=depth_m.shape), (0, 0), 3)
        hole = patches < np.quantile(patches, self.holes) if self.holes else np.zeros_like(patches)
        if self.shadow:
            hole = hole.astype(bool) | self._shadow(depth_m, focal)
        bad = hole.astype(bool) | ~np.isfinite(read) | (read <= 0)
        return np.where(bad, np.nan, read).astype(np.float32)

    def _mix(self, depth_m: Floats, chance: np.random.Generator) -> Floats:
        """Pixels at jumps of more than 3 per cent get a depth between both sides."""
        far = np.where(np.isfinite(depth_m), depth_m, 0).astype(np.float32)
        near = np.where(np.isfinite(depth_m), depth_m, 1e6).astype(np.float32)
        behind, before = cv2.dilate(far, np.ones((3, 3))), cv2.erode(near, np.ones((3, 3)))
        jump = (behind > 1.03 * before) & (chance.random(depth_m.shape) < self.mixed)
        part = chance.random(depth_m.shape)
        # The nearer side has more of the pixels that show it.
        part = np.where(depth_m < (behind + before) / 2, part / 2, (1 + part) / 2)
        return np.where(jump, before + part * (behind - before), depth_m)

    @staticmethod
    def _shadow(depth_m: Floats, focal: float) -> NDArray[np.bool_]:
        """Pixels whose match is covered by something to their right that is nearer."""
        disparity = focal / depth_m
        columns = np.arange(depth_m.shape[1]) - disparity
        nearest = np.minimum.accumulate(columns[:, ::-1], axis=1)[:, ::-1]
        return columns > nearest + 0.5


PERFECT = Sensor(match_px=0, mixed=0, holes=0, shadow=False, millimetres=False)


def motorcycle() -> tuple[NDArray[np.uint8], NDArray[np.float32], CameraModel]:
    """A garage with a motorcycle (Middlebury 2014): image in BGR, true depth in metres, camera.

    It is skimage.data.stereo_motorcycle(); only the files of scikit-image are read. The constants
    of the camera are in that function's documentation.

    Raises:
        FileNotFoundError: scikit-image is not installed.
    """
    spec = importlib.util.find_spec("skimage")
    places = (spec.submodule_search_locations or []) if spec is not None else []
    for folder in (Path(place) / "data" for place in places):
        if (folder / "motorcycle_disp.npz").is_file():
            with np.load(folder / "motorcycle_disp.npz") as data:
                disparity_px = data["arr_0"].astype(np.float64)
            image = np.asarray(cv2.imread(str(folder / "motorcycle_left.png")), np.uint8)
            height, width = disparity_px.shape
            camera = CameraModel(width, height, 994.978, 994.978, 311.193, 254.877)
            # The principal points of the two cameras are 31.086 px apart.
            depth_m = 0.193001 * camera.fx / (disparity_px + 31.086)
            known = np.isfinite(disparity_px) & (depth_m > 0)
            return image, np.where(known, depth_m, np.nan).astype(np.float32), camera
    raise FileNotFoundError("scikit-image is not here: pip install --no-deps scikit-image")
