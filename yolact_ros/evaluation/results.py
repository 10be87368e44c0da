"""What a model found in a data set, as COCO results."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from yolact_ros.classes import COCO_CATEGORY_IDS, COCO_CLASSES
from yolact_ros.errors import DataError
from yolact_ros.ops.coco_rle import encode_crop
from yolact_ros.prediction import Prediction

__all__ = [
    "CocoResult",
    "collect_results",
    "default_category_ids",
    "load_results",
    "match_categories",
    "prediction_to_results",
    "read_json",
]

CocoResult = dict[str, Any]
"""One entry of a COCO results file: image_id, category_id, score, bbox, segmentation."""


def load_results(path: Path) -> list[CocoResult]:
    """Read a COCO results file: a list of image_id, category_id, score and bbox or segmentation.

    Raises:
        DataError: not readable, not JSON, or not such a list.
    """
    data = read_json(path)
    if not isinstance(data, list) or not all(isinstance(row, dict) for row in data):
        raise DataError(f"{path}: not a COCO results file: expected a list of detections")
    return data


def match_categories(
    class_names: Sequence[str], categories: Iterable[Mapping[str, Any]]
) -> tuple[int | None, ...]:
    """Category id of each class of a model, by name; None where the data set has no such name.

    Raises:
        DataError: not one name is in both.
    """
    ids = {_normal(str(row["name"])): int(row["id"]) for row in categories}
    matched = tuple(ids.get(_normal(name)) for name in class_names)
    if all(category_id is None for category_id in matched):
        raise DataError(
            "the model and the data set share no class name: "
            f"the model has {', '.join(class_names[:5])}..., the data set "
            f"{', '.join(list(ids)[:5])}..."
        )
    return matched


def default_category_ids(class_names: Sequence[str]) -> tuple[int, ...]:
    """COCO's category ids where every class is one of COCO's, else 1, 2, ..."""
    coco_ids = dict(zip(COCO_CLASSES, COCO_CATEGORY_IDS, strict=True))
    if all(name in coco_ids for name in class_names):
        return tuple(coco_ids[name] for name in class_names)
    return tuple(range(1, len(class_names) + 1))


def prediction_to_results(
    prediction: Prediction, image_id: int, category_ids: Sequence[int | None]
) -> list[CocoResult]:
    """The COCO results of one image: score, bbox, and an RLE segmentation where there are masks.

    Args:
        prediction: of the image, masks at the image's resolution.
        image_id: of the data set.
        category_ids: category of each class id; instances of a class with None are left out.
    """
    shape = (prediction.image_height_px, prediction.image_width_px)
    results: list[CocoResult] = []
    for row in range(len(prediction)):
        category_id = category_ids[int(prediction.class_ids[row])]
        if category_id is None:
            continue
        x_min, y_min, x_max, y_max = (float(edge) for edge in prediction.boxes_xyxy[row])
        result: CocoResult = {
            "image_id": image_id,
            "category_id": category_id,
            "bbox": [round(v, 2) for v in (x_min, y_min, x_max - x_min, y_max - y_min)],
            "score": round(float(prediction.scores[row]), 6),
        }
        if prediction.mask_crops:
            result["segmentation"] = encode_crop(prediction.mask_crops[row], *shape)
        results.append(result)
    return results


def collect_results(
    predict: Callable[[NDArray[np.uint8]], Prediction],
    images: Iterable[tuple[int, NDArray[np.uint8]]],
    category_ids: Sequence[int | None],
) -> list[CocoResult]:
    """Run ``predict`` over images and gather COCO results.

    Args:
        predict: for example ``Predictor.predict``; the paper's protocol keeps 100 detections.
        images: image id and uint8 BGR [H, W, 3] of each image; read lazily.
        category_ids: category id of each class of the model, see :func:`match_categories`.
    """
    results: list[CocoResult] = []
    for image_id, image_bgr in images:
        results += prediction_to_results(predict(image_bgr), image_id, category_ids)
    return results


def read_json(path: Path) -> Any:
    """Content of a JSON file.

    Raises:
        DataError: not readable or not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise DataError(f"{path}: not JSON: {error}") from error


def _normal(name: str) -> str:
    return name.strip().lower().replace("_", " ")
