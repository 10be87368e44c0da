"""What a model found in a data set, as COCO results."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from yolact_ros.datasets.coco_results import CocoResult
from yolact_ros.datasets.values import Id
from yolact_ros.ops.coco_rle import encode_crop
from yolact_ros.prediction import Prediction

__all__ = ["collect_results", "prediction_to_results"]


def prediction_to_results(
    prediction: Prediction, image_id: Id, category_ids: Sequence[Id | None]
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
        if len(prediction.track_ids) and prediction.track_ids[row]:
            result["track_id"] = int(prediction.track_ids[row])
            result["track_age"] = int(prediction.track_ages[row])
        results.append(result)
    return results


def collect_results(
    predict: Callable[[NDArray[np.uint8]], Prediction],
    images: Iterable[tuple[Id, NDArray[np.uint8]]],
    category_ids: Sequence[Id | None],
) -> list[CocoResult]:
    """Run ``predict`` over images and gather COCO results.

    Args:
        predict: for example ``Predictor.predict``; the paper's protocol keeps 100 detections.
        images: image id and uint8 BGR [H, W, 3] of each image; read lazily.
        category_ids: category id of each class of the model,
            :func:`yolact_ros.datasets.categories.match_categories`.
    """
    results: list[CocoResult] = []
    for image_id, image_bgr in images:
        results += prediction_to_results(predict(image_bgr), image_id, category_ids)
    return results
