"""A small synthetic COCO data set for the training tests."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from yolact_ros.training.annotations import DataSource

CATEGORIES = [{"id": 3, "name": "disc"}, {"id": 7, "name": "box"}]
COLORS_BGR = {3: (40, 40, 220), 7: (220, 120, 30)}


def write_coco(
    folder: Path,
    *,
    num_images: int = 6,
    width: int = 96,
    height: int = 72,
    seed: int = 0,
    change: Callable[[dict[str, Any]], None] | None = None,
) -> DataSource:
    """Images with one disc and one rectangle each, as polygons; ``change`` may spoil the JSON."""
    random = np.random.default_rng(seed)
    (folder / "images").mkdir(parents=True)
    content: dict[str, Any] = {"images": [], "annotations": [], "categories": CATEGORIES}
    for number in range(num_images):
        image = random.integers(90, 130, (height, width, 3)).astype(np.uint8)
        name = f"{number:03d}.png"
        for category in (3, 7):
            x = int(random.integers(4, width // 2 - 22)) + (category == 7) * width // 2
            y, side = int(random.integers(4, height - 40)), int(random.integers(18, 30))
            if category == 3:
                angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
                ring = np.stack([np.cos(angles), np.sin(angles)], 1) * side / 2 + side / 2
                points = ring + np.array([x, y])
            else:
                points = np.array([[x, y], [x + side, y], [x + side, y + side], [x, y + side]])
            cv2.fillPoly(image, [points.round().astype(np.int32)], COLORS_BGR[category])
            left, top = points.min(axis=0)
            right, bottom = points.max(axis=0)
            content["annotations"].append(
                {
                    "id": len(content["annotations"]) + 1,
                    "image_id": number,
                    "category_id": category,
                    "bbox": [float(v) for v in (left, top, right - left, bottom - top)],
                    "area": float((right - left) * (bottom - top)),
                    "iscrowd": 0,
                    "segmentation": [[float(v) for v in points.reshape(-1)]],
                }
            )
        cv2.imwrite(str(folder / "images" / name), image)
        content["images"].append(
            {"id": number, "file_name": name, "width": width, "height": height}
        )
    if change is not None:
        change(content)
    (folder / "labels.json").write_text(json.dumps(content), encoding="utf-8")
    return DataSource("shapes", folder / "images", folder / "labels.json")
