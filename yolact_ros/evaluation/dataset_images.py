"""The images of a COCO data set, found and read."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from yolact_ros.datasets.coco_data import CocoData
from yolact_ros.datasets.values import Id
from yolact_ros.errors import DataError
from yolact_ros.inference.image_file import read_annotated_image

__all__ = ["DatasetImages"]

MOST_LISTED = 5

_logger = logging.getLogger(__name__)


class DatasetImages:
    """Image ids with their pixels, in the data set's order; iterate as often as needed.

    Pixels are uint8 BGR [H, W, 3] as :func:`read_annotated_image` has them: turned as EXIF says,
    or as stored where only that fits the annotated size. Images are read when their turn comes.

    Args:
        data: COCO annotations, read with the folder of their images.
        folder: of the images, for messages.
        limit: the first so many images only; None takes all.

    Raises:
        DataError: there is no image, or files are missing; the message counts and names them.
    """

    def __init__(self, data: CocoData, folder: Path, limit: int | None = None) -> None:
        self._rows = data.images[:limit]
        self._told_of_stored = False
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
            image_bgr, as_stored = read_annotated_image(row.path, (row.height_px, row.width_px))
            if as_stored and not self._told_of_stored:
                self._told_of_stored = True
                _logger.warning(
                    "%s: its size fits the image before EXIF turns it; this and others like it "
                    "are read as they are stored",
                    row.path,
                )
            yield row.id, image_bgr
