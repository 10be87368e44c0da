"""A small COCO file and the results of a network that finds everything in it."""

from __future__ import annotations

from typing import Any

import numpy as np

from yolact_ros.ops.coco_rle import encode_box

HEIGHT_PX, WIDTH_PX = 48, 64
OBJECTS = ((1, 1, 10, 10), (1, 2, 36, 20), (2, 1, 30, 10), (3, 2, 5, 5))
"""Image id, category id, left and top of squares of 20 pixels."""
SIDE_PX = 20


def polygon(x: int, y: int) -> list[int]:
    """The square as one polygon."""
    return [x, y, x + SIDE_PX, y, x + SIDE_PX, y + SIDE_PX, x, y + SIDE_PX]


def compressed(x: int, y: int) -> dict[str, Any]:
    """The square as compressed RLE."""
    return encode_box((x, y, SIDE_PX, SIDE_PX), HEIGHT_PX, WIDTH_PX)


def uncompressed(x: int, y: int) -> dict[str, Any]:
    """The square as plain run lengths."""
    mask = np.zeros((HEIGHT_PX, WIDTH_PX), np.uint8)
    mask[y : y + SIDE_PX, x : x + SIDE_PX] = 1
    flat = mask.T.reshape(-1)
    changes = np.flatnonzero(np.diff(flat, prepend=0))
    runs = np.diff(changes, prepend=0, append=flat.size)
    return {"size": [HEIGHT_PX, WIDTH_PX], "counts": runs.tolist()}


def truth_content() -> dict[str, Any]:
    """Three images with four objects of two classes."""
    return {
        "images": [
            {"id": number, "file_name": f"{number}.png", "height": HEIGHT_PX, "width": WIDTH_PX}
            for number in (1, 2, 3)
        ],
        "categories": [{"id": 1, "name": "bolt"}, {"id": 2, "name": "nut"}],
        "annotations": [
            {
                "id": number,
                "image_id": image_id,
                "category_id": category_id,
                "bbox": [x, y, SIDE_PX, SIDE_PX],
                "area": SIDE_PX**2,
                "iscrowd": 0,
                "segmentation": [polygon(x, y)],
            }
            for number, (image_id, category_id, x, y) in enumerate(OBJECTS, 1)
        ],
    }


def result_rows() -> list[dict[str, Any]]:
    """Every object, found exactly."""
    return [
        {
            "image_id": image_id,
            "category_id": category_id,
            "score": 0.9,
            "bbox": [x, y, SIDE_PX, SIDE_PX],
            "segmentation": compressed(x, y),
        }
        for image_id, category_id, x, y in OBJECTS
    ]
