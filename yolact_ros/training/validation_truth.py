"""Training records as the data set that the evaluator compares with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from yolact_ros.training.annotations import ImageRecord
from yolact_ros.training.sample import decode_segmentation

__all__ = ["ground_truth"]


def ground_truth(records: Sequence[ImageRecord], class_names: Sequence[str]) -> dict[str, Any]:
    """Records as a COCO data set: image ids count from 0, category ids are class ids."""
    from pycocotools import mask as coco_mask

    annotations: list[dict[str, Any]] = []
    for number, record in enumerate(records):
        for item in record.objects:
            x1, y1, x2, y2 = item.box_xyxy
            mask = decode_segmentation(item.segmentation, record.height_px, record.width_px)
            encoded = coco_mask.encode(mask.copy(order="F"))
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": item.class_id,
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "area": float(mask.sum()),
                    "iscrowd": int(item.is_crowd),
                    "segmentation": encoded,
                }
            )
    images = [
        {"id": n, "file_name": r.path.name, "height": r.height_px, "width": r.width_px}
        for n, r in enumerate(records)
    ]
    categories = [{"id": i, "name": name} for i, name in enumerate(class_names)]
    return {"images": images, "annotations": annotations, "categories": categories}
