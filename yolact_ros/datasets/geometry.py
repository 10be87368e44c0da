"""Box and mask of one entry, annotation or result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from yolact_ros.datasets.coco_data import CocoImage
from yolact_ros.datasets.defects import Defects
from yolact_ros.datasets.segmentation import has_segmentation, to_counts
from yolact_ros.datasets.values import numbers
from yolact_ros.errors import DataError

__all__ = ["Geometry", "read_geometry"]

BoxXywh = tuple[float, float, float, float]

# Products of larger numbers are too coarse to compare boxes.
MAX_BOX_PX = 1e6


@dataclass(frozen=True)
class Geometry:
    """What could be read.

    Attributes:
        bbox_xywh: left, top, width and height in pixels; None without a usable box.
        problems: what could not be read, and why; empty where box and mask are fine or absent.
    """

    bbox_xywh: BoxXywh | None
    counts: str | None
    problems: tuple[tuple[str, str], ...] = ()

    def count_problems(self, noun: str, label: str, defects: Defects) -> None:
        """Count the problems of an entry that is used all the same."""
        for what, reason in self.problems:
            defects.mend(f"{noun} with {what}", f"{label}: {reason}")

    @property
    def reasons(self) -> str:
        return "; ".join(reason for _, reason in self.problems) or "it has none"


def read_geometry(row: Mapping[str, Any], image: CocoImage) -> Geometry:
    """Read ``bbox`` and ``segmentation`` of an entry."""
    problems = []
    box = row.get("bbox")
    bbox_xywh = _box(box)
    if bbox_xywh is None and box is not None and box not in ([], {}, ""):
        problems.append(
            ("a box that is not four numbers of pixels, used by its mask", f"bbox is {box!r}")
        )
    counts: str | None = None
    segmentation = row.get("segmentation")
    if has_segmentation(segmentation):
        try:
            counts, lost = to_counts(segmentation, image.height_px, image.width_px)
        except DataError as error:
            problems.append(("a mask that cannot be read, used as a box", str(error)))
        else:
            if lost:
                what = "a polygon that cannot be read beside others"
                problems.append((what, f"{lost} left out"))
    return Geometry(bbox_xywh, counts, tuple(problems))


def _box(box: Any) -> BoxXywh | None:
    values = numbers(box, 4)
    if values is None or max(map(abs, values)) > MAX_BOX_PX or min(values[2:]) < 0:
        return None
    x, y, width, height = values
    return x, y, width, height
