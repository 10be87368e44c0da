"""The images that a benchmark works on: a folder's, or made ones."""

from __future__ import annotations

import itertools
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from yolact_ros.errors import ImageError
from yolact_ros.inference.sources import open_source

__all__ = ["read_images", "synthetic_images"]


def synthetic_images(size_px: tuple[int, int], count: int) -> list[NDArray[np.uint8]]:
    """So many images of smooth coloured noise, uint8[height, width, 3], the same every time.

    The size is width and height.
    """
    random = np.random.default_rng(0)
    pictures = []
    for _ in range(count):
        coarse = random.integers(0, 256, (12, 16, 3), np.uint8)
        smooth = cv2.resize(coarse, size_px, interpolation=cv2.INTER_CUBIC)
        pictures.append(np.asarray(smooth, np.uint8))
    return pictures


def read_images(
    source: str | Path, count: int, size_px: tuple[int, int] | None = None
) -> list[NDArray[np.uint8]]:
    """The first images, ``count`` at most, of a folder, a video or an image file.

    They are scaled to a width and height where those are given.

    Raises:
        ImageError: there is none that can be read.
    """
    with open_source(source) as opened:
        pictures = [frame.image_bgr for frame in itertools.islice(opened, count)]
    if not pictures:
        raise ImageError(f"{source}: not one image in it can be read")
    if size_px is None:
        return pictures
    return [
        np.asarray(cv2.resize(picture, size_px, interpolation=cv2.INTER_CUBIC), np.uint8)
        for picture in pictures
    ]
