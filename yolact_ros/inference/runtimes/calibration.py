"""Images that quantisation measures the range of activations on."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from yolact_ros.config import NetworkConfig
from yolact_ros.errors import DataError, ImageError
from yolact_ros.inference.image_file import IMAGE_SUFFIXES, read_image
from yolact_ros.inference.preprocess import Preprocessor

__all__ = ["calibration_images", "folder_images", "images_digest", "network_inputs", "spread"]

# Mask AP of the bundled model on 90 photographs (fp32 40.6) by images calibrated on, and their CPU
# time: 10: 38.8 in 6 s, 30: 39.4 in 10 s, 100: 39.5 in 18 s, 300: 39.4 in 39 s.
MOST_IMAGES = 50

_logger = logging.getLogger(__name__)


def folder_images(folder: str | os.PathLike[str]) -> list[Path]:
    """The images of a folder and the folders in it, by name.

    Raises:
        DataError: no such folder, or no image in it.
    """
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise DataError(f"the calibration folder {root} does not exist or is not a folder")
    images = sorted(path for path in root.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    if not images:
        raise DataError(
            f"the calibration folder {root} has no image; expected some with one of the endings "
            f"{', '.join(IMAGE_SUFFIXES)}"
        )
    return images


def calibration_images(folder: str | os.PathLike[str]) -> list[Path]:
    """At most :data:`MOST_IMAGES` images of a folder, spread evenly over their names.

    Raises as :func:`folder_images`.
    """
    return spread(folder_images(folder), MOST_IMAGES)


def spread(images: Sequence[Path], count: int) -> list[Path]:
    """At most ``count`` of the images, evenly over all."""
    step = max(len(images) / count, 1.0)
    return [images[int(index * step)] for index in range(min(len(images), count))]


def images_digest(images: Sequence[Path]) -> str:
    """A text that changes when names or sizes of the images do."""
    digest = hashlib.blake2b(digest_size=10)
    for path in images:
        digest.update(f"{path.name}\0{path.stat().st_size}\n".encode())
    return digest.hexdigest()


def network_inputs(images: Sequence[Path], config: NetworkConfig) -> Iterator[NDArray[np.float32]]:
    """Each image as the network sees it, ``float32[1, 3, S, S]``; unreadable ones are left out.

    Raises:
        DataError: not one could be read.
    """
    preprocess = Preprocessor(config)
    read = 0
    for path in images:
        try:
            image_bgr = read_image(path)
        except ImageError as error:
            _logger.warning("a calibration image is left out: %s", error)
            continue
        read += 1
        yield preprocess(image_bgr).numpy().copy()
    if read == 0:
        raise DataError(f"none of the {len(images)} calibration images can be read")
