"""The picture of docs/objects3d.md: boxes in a real garage, and the depth inside one mask.

./dev run python benchmarks/objects3d_picture.py docs/images/objects3d.png
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import matplotlib

matplotlib.use("Agg")
import numpy as np
from matplotlib import pyplot as plt

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "test"), str(ROOT / "benchmarks")]

from depth_scenes import crop, motorcycle  # noqa: E402
from objects3d import REAL_THINGS  # noqa: E402

from yolact_ros.depth import CameraModel, DepthSettings, ObjectPlace, locate_objects  # noqa: E402

# Its box would cover all else.
LARGE = "motorcycle, its engine"
SHOWN = "headlight"
PART = (slice(0, 250), slice(330, 741))
GREEN = (80, 255, 80)
# Pairs of corners, as bits of x, y and z.
EDGES = [(a, a | bit) for a in range(8) for bit in (1, 2, 4) if not a & bit]


def corners_px(place: ObjectPlace, camera: CameraModel) -> np.ndarray:
    """Where the corners of the box are in the image, int[8, 2]."""
    signs = np.array([[(c >> bit & 1) - 0.5 for bit in range(3)] for c in range(8)])
    corners = place.box_center_m + signs * place.box_size_m @ place.box_rotation.T
    x = camera.fx * corners[:, 0] / corners[:, 2] + camera.cx
    y = camera.fy * corners[:, 1] / corners[:, 2] + camera.cy
    return np.stack((x, y), 1).round().astype(int)


def main(target: Path) -> None:
    """Draw it."""
    image, depth_m, camera = motorcycle()
    canvas = image.copy()
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.4), width_ratios=(2, 1))
    for name, ((x0, y0, x1, y1), _) in REAL_THINGS.items():
        if name == LARGE:
            continue
        mask = np.zeros(depth_m.shape, np.bool_)
        mask[y0:y1, x0:x1] = True
        (place,) = locate_objects([crop(mask)], depth_m, camera, DepthSettings(), with_points=True)
        assert isinstance(place, ObjectPlace)
        assert place.points_m is not None
        corners = corners_px(place, camera)
        for a, b in EDGES:
            cv2.line(canvas, corners[a].tolist(), corners[b].tolist(), GREEN, 1, cv2.LINE_AA)
        at = (int(corners[:, 0].min()), int(corners[:, 1].min()) - 4)
        text = f"{place.distance_m:.2f} m"
        cv2.putText(canvas, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 3, cv2.LINE_AA)
        cv2.putText(canvas, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.45, GREEN, 1, cv2.LINE_AA)
        if name == SHOWN:
            bins = np.geomspace(2, 5.2, 96)
            right.hist(depth_m[mask], bins=bins, color="0.7", label="inside the mask")
            right.hist(place.points_m[:, 2], bins=bins, color="C2", label="the object's")
            right.axvline(
                float(np.nanmedian(depth_m[mask])), color="C3", ls="--", label="median of all"
            )
            right.set(
                xscale="log", xlabel="depth, m", ylabel="pixels", title=f"mask of the {name}"
            )
            right.set_xticks([2, 3, 4, 5], ["2", "3", "4", "5"])
            right.minorticks_off()
            right.legend()
    left.imshow(canvas[PART][..., ::-1])
    left.axis("off")
    figure.tight_layout()
    figure.savefig(target, dpi=75, pil_kwargs={"optimize": True})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
