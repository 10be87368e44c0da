"""Reads COCO results files of any tool: what somebody's network found in a data set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from yolact_ros.datasets.coco_data import CocoData
from yolact_ros.datasets.defects import Defects
from yolact_ros.datasets.geometry import read_geometry
from yolact_ros.datasets.json_file import read_json
from yolact_ros.datasets.values import identity, number
from yolact_ros.errors import DataError

__all__ = ["CocoResult", "parse_results", "read_results"]

CocoResult = dict[str, Any]
"""One entry of a COCO results file: image_id, category_id, score, and bbox, segmentation or both.

Boxes are left, top, width and height in pixels, masks compressed RLE.
"""


def read_results(path: Path, truth: CocoData) -> tuple[list[CocoResult], Defects]:
    """Read a COCO results file, whose ids stand for images and categories of the truth.

    Returns:
        the results that can be scored, all in one form, and what was left out or mended.

    Raises:
        DataError: not readable, not JSON, not such a list, or not one result can be scored.
    """
    rows = read_json(path)
    try:
        return parse_results(rows, truth)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def parse_results(rows: Any, truth: CocoData) -> tuple[list[CocoResult], Defects]:
    """The results in parsed JSON; see :func:`read_results`."""
    if not isinstance(rows, list):
        raise DataError("not a COCO results file: expected a list of detections")
    defects = Defects()
    images = {image.id: image for image in truth.images}
    categories = {row.id for row in truth.categories}
    results: list[CocoResult] = []
    for index, row in enumerate(rows):
        label = f"result {index}"
        if not isinstance(row, dict):
            defects.add("result that is no JSON object", f"{label}: {row!r}")
            continue
        image_id, category_id = identity(row.get("image_id")), identity(row.get("category_id"))
        score = number(row.get("score"))
        image = None if image_id is None else images.get(image_id)
        if image is None:
            kind = "result of an image that the annotations do not have"
            defects.add(kind, f"{label}: image {row.get('image_id')!r}")
        elif category_id is None or category_id not in categories:
            kind = "result of a category that the annotations do not have"
            defects.add(kind, f"{label}: category {row.get('category_id')!r}")
        elif score is None:
            kind = "result whose score is no number"
            defects.add(kind, f"{label}: score {row.get('score')!r}")
        else:
            geometry = read_geometry(row, image)
            if geometry.bbox_xywh is None and geometry.counts is None:
                kind = "result with neither bbox nor segmentation that can be read"
                defects.add(kind, f"{label}: {geometry.reasons}")
                continue
            geometry.count_problems("result", label, defects)
            result: CocoResult = {
                "image_id": image.id, "category_id": category_id, "score": score,
            }  # fmt: skip
            if geometry.bbox_xywh is not None:
                result["bbox"] = list(geometry.bbox_xywh)
            if geometry.counts is not None:
                size = [image.height_px, image.width_px]
                result["segmentation"] = {"size": size, "counts": geometry.counts}
            results.append(result)
    if rows and not results:
        kinds = "; ".join(" ".join(line.split()) for line in defects.report().splitlines())
        raise DataError(f"none of its {len(rows)} results can be scored: {kinds}")
    for field in ("segmentation", "bbox"):
        lacking = [number for number, row in enumerate(results) if field not in row]
        if 0 < len(lacking) < len(results):
            kind = f"result without {field}, though others have one"
            defects.mend(kind, f"usable result {lacking[0]}", len(lacking))
    return results, defects
