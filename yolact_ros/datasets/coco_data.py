"""A COCO data set as frozen records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from yolact_ros.datasets.defects import Defects
from yolact_ros.datasets.values import Id

__all__ = ["CocoAnnotation", "CocoCategory", "CocoData", "CocoImage"]


@dataclass(frozen=True, slots=True)
class CocoCategory:
    """A class of the data set; its name is never empty."""

    id: Id
    name: str


@dataclass(frozen=True, slots=True)
class CocoImage:
    """An image of the data set.

    Attributes:
        height_px, width_px: of the file, in the rows and columns that it is annotated in.
        file_name: with / between folders; empty where the file names none.
        path: of the image; None where it was not found or no folder was named.
        frame: what ties it to a frame of a recording, as in the file: some of ``stamp_ns``,
            ``stamp``, ``frame_index`` and ``index``.
        position: in the file's list, from 0; those that were left out count.
    """

    id: Id
    height_px: int
    width_px: int
    file_name: str = ""
    path: Path | None = None
    frame: Mapping[str, Any] = field(default_factory=dict)
    position: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class CocoAnnotation:
    """An annotated object.

    Attributes:
        id: from 1 in the order of the file, whatever its own ids are.
        own_id: of the file; None where it gives none.
        image_id, category_id: of an image and a category of the data set.
        bbox_xywh: left, top, width and height in pixels.
        counts: COCO's compressed run lengths over the whole image; None for a box without a mask.
        area_px: of the file; None where it gives none.
        is_crowd: a region of many objects.
        track_id: of the object in a video; 0 where the file gives none.
    """

    id: int
    own_id: Id | None
    image_id: Id
    category_id: Id
    bbox_xywh: tuple[float, float, float, float]
    counts: str | None = None
    area_px: float | None = None
    is_crowd: bool = False
    track_id: int = 0

    @property
    def label(self) -> str:
        return (
            f"annotation {self.id} (no id)" if self.own_id is None else f"annotation {self.own_id}"
        )


@dataclass(frozen=True)
class CocoData:
    """Images, their objects and the classes, consistent: every id is that of a record.

    Attributes:
        defects: what was left out or mended while reading.
    """

    images: tuple[CocoImage, ...]
    annotations: tuple[CocoAnnotation, ...]
    categories: tuple[CocoCategory, ...]
    defects: Defects = field(default_factory=Defects, compare=False)
