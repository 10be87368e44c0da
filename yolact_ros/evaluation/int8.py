"""What int8 costs: AP before and after, or without annotations how far the instances agree."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from yolact_ros.datasets.categories import match_categories
from yolact_ros.datasets.coco_data import CocoData
from yolact_ros.datasets.coco_results import CocoResult
from yolact_ros.datasets.values import Id
from yolact_ros.evaluation.coco import evaluate_results
from yolact_ros.evaluation.pairs import best_pairs
from yolact_ros.prediction import Prediction

__all__ = ["Agreement", "ApChange", "measure_agreement", "measure_ap_change"]

MATCH_IOU = 0.5

Predict = Callable[[NDArray[np.uint8]], Prediction]


@dataclass(frozen=True)
class ApChange:
    """COCO's AP of the float and of the int8 network, fractions 0..1.

    Attributes:
        num_images: of the data set.
        mask_ap, box_ap: of the float network.
        int8_mask_ap, int8_box_ap: of the int8 network.
    """

    num_images: int
    mask_ap: float
    int8_mask_ap: float
    box_ap: float
    int8_box_ap: float

    def __str__(self) -> str:
        return (
            f"{_change('mask AP', self.mask_ap, self.int8_mask_ap)}, "
            f"{_change('box AP', self.box_ap, self.int8_box_ap)} on {_images(self.num_images)}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {"kind": "ap", **asdict(self)}


@dataclass(frozen=True)
class Agreement:
    """How far the instances of the int8 network are those of the float network.

    Attributes:
        num_images: that were compared.
        num_instances: that the float network shows.
        found: share of them that the int8 network shows too: same class, mask IoU 0.5 or more.
        added: instances that the int8 network shows beside them, as a share of ``num_instances``.
        mask_iou: mean over the pairs; NaN without one.
        score_difference: mean of the absolute difference over the pairs; NaN without one.
    """

    num_images: int
    num_instances: int
    found: float
    added: float
    mask_iou: float
    score_difference: float

    def __str__(self) -> str:
        if self.num_instances == 0:
            return (
                f"nothing to compare: the float network finds nothing on {self.num_images} images"
            )
        return (
            f"{self.found:.0%} of {self.num_instances} instances found again, {self.added:.0%} "
            f"added, mean mask IoU {self.mask_iou:.3f}, mean score difference "
            f"{self.score_difference:.3f} on {_images(self.num_images)}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; NaN becomes None."""
        values = {key: None if value != value else value for key, value in asdict(self).items()}
        return {"kind": "agreement", **values}


def measure_ap_change(
    exact: Predict,
    quantized: Predict,
    truth: CocoData,
    images: Iterable[tuple[Id, NDArray[np.uint8]]],
    class_names: tuple[str, ...],
) -> ApChange:
    """Score both networks on a COCO data set, on the categories that the model knows.

    Args:
        exact, quantized: predictors of the float and of the int8 network, with the protocol's
            settings: no score threshold, 100 detections.
        truth: COCO annotations.
        images: id and uint8 BGR [H, W, 3]; gone through twice.
        class_names: of the model.

    Raises:
        DataError: model and data set share no class name.
        DependencyError: pycocotools is not installed.
    """
    category_ids = match_categories(class_names, truth.categories)
    known = [category_id for category_id in category_ids if category_id is not None]
    values: list[float] = []
    count = 0
    for predict in (exact, quantized):
        ids: list[Id] = []
        results: list[CocoResult] = []
        for image_id, image_bgr in images:
            ids.append(image_id)
            results += predict(image_bgr).to_coco(image_id, category_ids)
        for iou_type in ("segm", "bbox"):
            metrics = evaluate_results(truth, results, iou_type, category_ids=known, image_ids=ids)
            values.append(metrics.ap)
            count = metrics.num_images
    mask_ap, box_ap, int8_mask_ap, int8_box_ap = values
    return ApChange(count, mask_ap, int8_mask_ap, box_ap, int8_box_ap)


def measure_agreement(
    exact: Predict, quantized: Predict, images: Iterable[NDArray[np.uint8]]
) -> Agreement:
    """Compare what both networks show on images that nobody has annotated.

    Args:
        exact, quantized: predictors of the float and of the int8 network, with the settings of
            the robot.
        images: uint8 BGR [H, W, 3].
    """
    num_images = num_instances = added = 0
    ious: list[float] = []
    differences: list[float] = []
    for image_bgr in images:
        expected, found = exact(image_bgr), quantized(image_bgr)
        pairs = _pairs(expected, found)
        num_images += 1
        num_instances += len(expected)
        added += len(found) - len(pairs)
        for row, column, iou in pairs:
            ious.append(iou)
            differences.append(abs(float(expected.scores[row] - found.scores[column])))
    return Agreement(
        num_images=num_images,
        num_instances=num_instances,
        found=len(ious) / max(num_instances, 1),
        added=added / max(num_instances, 1),
        mask_iou=float(np.mean(ious)) if ious else float("nan"),
        score_difference=float(np.mean(differences)) if ious else float("nan"),
    )


def _pairs(expected: Prediction, found: Prediction) -> list[tuple[int, int, float]]:
    """Row, column and IoU of the instances that belong together, best IoU first."""
    num_pixels = expected.image_height_px * expected.image_width_px
    masks, others = (
        side.masks.reshape(len(side), num_pixels).astype(np.float32) for side in (expected, found)
    )
    overlap_px = masks @ others.T
    union_px = masks.sum(1)[:, None] + others.sum(1) - overlap_px
    ious = np.divide(overlap_px, union_px, out=np.ones_like(overlap_px), where=union_px > 0)
    same_class = expected.class_ids[:, None] == found.class_ids
    return best_pairs(np.where(same_class, ious, 0.0), MATCH_IOU)


def _change(name: str, before: float, after: float) -> str:
    return f"{name} {100 * before:.1f} to {100 * after:.1f} ({100 * (after - before):+.1f})"


def _images(count: int) -> str:
    return f"{count} image{'s' * (count != 1)}"
