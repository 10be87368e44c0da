"""Average precision on validation images while training, through the code that serves robots."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import cv2

from yolact_ros.datasets.coco_data import CocoAnnotation, CocoCategory, CocoData, CocoImage
from yolact_ros.datasets.coco_results import CocoResult
from yolact_ros.evaluation.coco import evaluate_results
from yolact_ros.inference.predictor import Predictor
from yolact_ros.inference.settings import PredictionSettings
from yolact_ros.models.network import Network
from yolact_ros.training.annotations import ImageRecord
from yolact_ros.training.sample import load_sample
from yolact_ros.visualization import draw_overlay

__all__ = ["PictureWriter", "Validator", "ground_truth"]

# COCO's protocol: up to 100 detections an image, whatever their score.
PROTOCOL = PredictionSettings(score_threshold=0.0, top_k=100)


class Validator:
    """Scores networks on fixed images.

    Detections of classes that an image does not label are left out: nobody knows whether they
    are right.
    """

    def __init__(self, records: Sequence[ImageRecord], class_names: Sequence[str]) -> None:
        self._records = tuple(records)
        self._class_names = tuple(class_names)
        self._truth = ground_truth(records, class_names)

    def __call__(self, network: Network, step: int) -> dict[str, float]:
        """``mask_ap``, ``box_ap``, ``mask_ap50`` and the mask AP of every class, 0..1.

        Means over the classes that have objects in the validation images; a class without is left
        out. ``step`` is not used.
        """
        del step
        results = self.detect(network)
        masks = evaluate_results(self._truth, results, "segm")
        boxes = evaluate_results(self._truth, results, "bbox")
        values = {"mask_ap": masks.ap, "mask_ap50": masks.ap50, "box_ap": boxes.ap}
        for row in masks.per_class:
            values[f"mask_ap_{row.name}"] = row.ap
        return {name: value for name, value in values.items() if not math.isnan(value)}

    def detect(self, network: Network) -> list[CocoResult]:
        """COCO results of all validation images; image ids count from 0."""
        predictor = Predictor(network, device=next(network.parameters()).device, settings=PROTOCOL)
        results: list[CocoResult] = []
        for number, record in enumerate(self._records):
            image = load_sample(record).image_bgr
            categories = [i if known else None for i, known in enumerate(record.labelled)]
            results += predictor.predict(image).to_coco(number, categories)
        predictor.close()
        return results


def ground_truth(records: Sequence[ImageRecord], class_names: Sequence[str]) -> CocoData:
    """Records as a COCO data set: image ids count from 0, category ids are class ids."""
    annotations: list[CocoAnnotation] = []
    for image_id, record in enumerate(records):
        for item in record.objects:
            x1, y1, x2, y2 = item.box_xyxy
            annotations.append(
                CocoAnnotation(
                    id=len(annotations) + 1,
                    own_id=None,
                    image_id=image_id,
                    category_id=item.class_id,
                    bbox_xywh=(x1, y1, x2 - x1, y2 - y1),
                    counts=item.counts,
                    is_crowd=item.is_crowd,
                )
            )
    images = [
        CocoImage(image_id, record.height_px, record.width_px, record.path.name, record.path)
        for image_id, record in enumerate(records)
    ]
    categories = [CocoCategory(class_id, name) for class_id, name in enumerate(class_names)]
    return CocoData(tuple(images), tuple(annotations), tuple(categories))


NUM_IMAGES = 8


class PictureWriter:
    """Draws what a network finds, as the node would publish it.

    Args:
        folder: pictures go to ``<folder>/<image name>/<step>.jpg``.
        records: the first few that have objects are drawn.
    """

    def __init__(self, folder: Path, records: Sequence[ImageRecord]) -> None:
        self._folder = folder
        self._records = [record for record in records if record.objects][:NUM_IMAGES]

    def write(self, network: Network, step: int) -> None:
        predictor = Predictor(
            network, device=next(network.parameters()).device, settings=PredictionSettings()
        )
        for record in self._records:
            image = load_sample(record).image_bgr
            overlay = draw_overlay(image, predictor.predict(image), network.config.class_names)
            path = self._folder / record.path.stem / f"{step:07d}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), overlay)
        predictor.close()
