"""The images of a COCO data set, found and read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from yolact_ros.datasets.coco_data import CocoData
from yolact_ros.datasets.values import Id
from yolact_ros.errors import DataError
from yolact_ros.inference.sources import read_image

__all__ = ["DatasetImages"]

MOST_LISTED = 5


class DatasetImages:
    """Image ids with their pixels, in the data set's order; iterate as often as needed.

    Pixels are uint8 BGR [H, W, 3] with the rows and columns that the annotations are made for,
    whatever the EXIF orientation says. Images are read when their turn comes.

    Args:
        data: COCO annotations, read with the folder of their images.
        folder: of the images, for messages.
        limit: the first so many images only; None takes all.

    Raises:
        DataError: there is no image, or files are missing; the message counts and names them.
    """

    def __init__(self, data: CocoData, folder: Path, limit: int | None = None) -> None:
        self._rows = data.images[:limit]
        if not self._rows:
            raise DataError("the data set has no images to evaluate")
        missing = [
            row.file_name or f"image {row.id} (no file_name)"
            for row in self._rows
            if row.path is None
        ]
        if missing:
            more = ", ..." if len(missing) > MOST_LISTED else ""
            raise DataError(
                f"{folder}: {len(missing)} of {len(self._rows)} images are not there: "
                f"{', '.join(missing[:MOST_LISTED])}{more}; is it the right folder?"
            )

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def ids(self) -> tuple[Id, ...]:
        """Ids of the images."""
        return tuple(row.id for row in self._rows)

    def __iter__(self) -> Iterator[tuple[Id, NDArray[np.uint8]]]:
        """Yield id and pixels.

        Raises:
            ImageError: a file is no image.
            DataError: its size is not the one that the annotations were made for.
        """
        for row in self._rows:
            assert row.path is not None
            image_bgr = read_image(row.path, apply_orientation=False)
            height_px, width_px = image_bgr.shape[:2]
            if (height_px, width_px) != (row.height_px, row.width_px):
                raise DataError(
                    f"{row.path}: is {width_px}x{height_px}, its annotations are for "
                    f"{row.width_px}x{row.height_px}"
                )
            yield row.id, image_bgr
