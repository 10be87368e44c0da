"""Training records as the data set that the evaluator compares with."""

from __future__ import annotations

from collections.abc import Sequence

from yolact_ros.datasets.coco_data import CocoAnnotation, CocoCategory, CocoData, CocoImage
from yolact_ros.training.annotations import ImageRecord

__all__ = ["ground_truth"]


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
