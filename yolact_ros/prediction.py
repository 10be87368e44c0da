"""What was found in an image: iterate over its instances, or take them as arrays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from yolact_ros.dependencies import require
from yolact_ros.ops.coco_rle import encode_crop
from yolact_ros.ops.packing import unpack_bits
from yolact_ros.structures import MaskCrop

if TYPE_CHECKING:
    import supervision

__all__ = ["Instance", "Prediction"]

CAPTIONS_IN_REPR = 5


@dataclass(frozen=True, eq=False)
class Instance:
    """One object in an image.

    Attributes:
        class_id: index in the model's class list.
        class_name: its name there.
        score: 0..1.
        box_xyxy: left, top, right, bottom in pixels of the image; right and bottom exclusive.
        mask (bool[H, W]): in the whole image; None where masks were not asked for.
        track_id: of the object that it is, the same in every image; 0 where it is not tracked.
        track_age: images in which that object was found, this one included; 0 likewise.
    """

    class_id: int
    class_name: str
    score: float
    box_xyxy: tuple[float, float, float, float]
    mask: NDArray[np.bool_] | None
    track_id: int = 0
    track_age: int = 0

    def __repr__(self) -> str:
        box = ", ".join(f"{edge:.0f}" for edge in self.box_xyxy)
        pixels = "" if self.mask is None else f", {int(self.mask.sum())} pixels"
        track = f" #{self.track_id}" if self.track_id else ""
        return f"Instance({self.class_name}{track} {self.score:.2f}, box ({box}){pixels})"


@dataclass(frozen=True, eq=False, repr=False)
class Prediction:
    """What was found in one image, in NumPy; n instances, highest score first.

    It is a sequence of :class:`Instance`; masks are unpacked when they are asked for.

    Attributes:
        class_ids (int64[n]): index in the model's class list.
        scores (float32[n]): 0..1.
        boxes_xyxy (float32[n, 4]): source-image pixels, clipped to the image, max exclusive.
        mask_crops: n masks as bits, or empty when masks were not asked for.
        class_names: of the model; the index is the class id.
        track_ids, track_ages (int64[n]): of each instance's object, as in :class:`Instance`, or
            empty where nothing is tracked.
    """

    image_height_px: int
    image_width_px: int
    class_ids: NDArray[np.int64]
    scores: NDArray[np.float32]
    boxes_xyxy: NDArray[np.float32]
    mask_crops: tuple[MaskCrop, ...] = ()
    class_names: tuple[str, ...] = ()
    track_ids: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    track_ages: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    def __len__(self) -> int:
        return int(self.scores.shape[0])

    def __getitem__(self, index: int) -> Instance:
        row = range(len(self))[index]
        left, top, right, bottom = self.boxes_xyxy[row].tolist()
        return Instance(
            class_id=int(self.class_ids[row]),
            class_name=self.class_name(row),
            score=float(self.scores[row]),
            box_xyxy=(left, top, right, bottom),
            mask=self._mask(row) if self.mask_crops else None,
            track_id=int(self.track_ids[row]) if len(self.track_ids) else 0,
            track_age=int(self.track_ages[row]) if len(self.track_ages) else 0,
        )

    def __iter__(self) -> Iterator[Instance]:
        return (self[row] for row in range(len(self)))

    def __repr__(self) -> str:
        found = [f"{self.class_name(row)} {self.scores[row]:.2f}" for row in range(len(self))]
        more = ["..."] if len(found) > CAPTIONS_IN_REPR else []
        what = ", ".join(found[:CAPTIONS_IN_REPR] + more) or "nothing"
        return f"Prediction({self.image_width_px}x{self.image_height_px}, {len(self)}: {what})"

    @property
    def masks(self) -> NDArray[np.bool_]:
        """All masks in the whole image (bool[n, H, W], a new array); all False without masks."""
        full = np.zeros((len(self), self.image_height_px, self.image_width_px), np.bool_)
        for row in range(len(self.mask_crops)):
            self._unpack(row, full[row])
        return full

    def class_name(self, index: int) -> str:
        """Name of an instance's class; ``class 3`` where the names are not known."""
        class_id = int(self.class_ids[index])
        known = class_id < len(self.class_names)
        return self.class_names[class_id] if known else f"class {class_id}"

    def to_coco(
        self, image_id: int | str = 0, category_ids: Sequence[int | str | None] | None = None
    ) -> list[dict[str, Any]]:
        """The instances as entries of a COCO results file.

        Args:
            category_ids: the data set's id of each class id, None for a class to leave out;
                without them the class id plus 1.

        Returns:
            image_id, category_id, bbox (left, top, width, height), score, and segmentation
            (compressed RLE) where there are masks, track_id and track_age where it is tracked.
        """
        results: list[dict[str, Any]] = []
        for row in range(len(self)):
            class_id = int(self.class_ids[row])
            category_id = class_id + 1 if category_ids is None else category_ids[class_id]
            if category_id is None:
                continue
            left, top, right, bottom = (float(edge) for edge in self.boxes_xyxy[row])
            result: dict[str, Any] = {
                "image_id": image_id,
                "category_id": category_id,
                "bbox": [round(v, 2) for v in (left, top, right - left, bottom - top)],
                "score": round(float(self.scores[row]), 6),
            }
            if self.mask_crops:
                size = (self.image_height_px, self.image_width_px)
                result["segmentation"] = encode_crop(self.mask_crops[row], *size)
            if len(self.track_ids) and self.track_ids[row]:
                result["track_id"] = int(self.track_ids[row])
                result["track_age"] = int(self.track_ages[row])
            results.append(result)
        return results

    def to_supervision(self) -> supervision.Detections:
        """The instances as ``supervision.Detections``.

        Raises:
            DependencyError: the package supervision is not installed.
        """
        detections = require("supervision", extra="supervision").Detections(
            xyxy=self.boxes_xyxy.copy(),
            mask=self.masks if self.mask_crops else None,
            confidence=self.scores.copy(),
            class_id=self.class_ids.astype(int),
        )
        if len(self.track_ids):
            detections.tracker_id = self.track_ids.copy()
        detections.data["class_name"] = np.array([self.class_name(i) for i in range(len(self))])
        return detections

    def _mask(self, row: int) -> NDArray[np.bool_]:
        full = np.zeros((self.image_height_px, self.image_width_px), np.bool_)
        self._unpack(row, full)
        return full

    def _unpack(self, row: int, full: NDArray[np.bool_]) -> None:
        crop = self.mask_crops[row]
        crop.window(full)[...] = unpack_bits(crop.bits, crop.height, crop.width)
